"""Measuring a model. `vita eval` is the caller.

names.py, tasks.py   which tasks there are
measuring.py         settings, model and rows of one run; rows.py: rows on disk
statistics.py        intervals and tests; tables.py: figures, sections; comparison.py: two runs
report.py, plots.py  Markdown, HTML, JSON, charts
pocket.py            the pocket world's own test split (pocket_cases.py, voices_installed.py)
interaction/         state tokens, live conversations, long recordings, load
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vita.evaluate.measuring import Settings


def run(tasks: Sequence[str], settings: Settings) -> None:
    """Measure, print the tables, and write the report to `settings.out` if it is given.

    Args:
        tasks: by name, see names.py.
        settings: see measuring.Settings.

    Raises ConfigError for an unknown task before anything is measured.
    """
    import time

    from vita import __version__
    from vita.evaluate import report
    from vita.evaluate.measuring import Run
    from vita.evaluate.tasks import get_task

    modules = [(name, get_task(name)) for name in dict.fromkeys(tasks)]
    sections, assistant, started_s, cpu_s = [], None, time.perf_counter(), time.process_time()
    counts = []
    for name, task in modules:
        current = Run(settings, name, assistant=assistant)
        rows = task.measure(current)
        assistant = current.__dict__.get("assistant", assistant)
        counts.append(f"{name} {len(rows)}")
        mine = task.sections(rows)
        for section in mine:
            print("\n\n".join([f"## {section.title}", *map(report.markdown_table, section.tables)]), flush=True)
        sections += mine
    facts = {
        "model": settings.url or settings.model,
        **({"system": settings.system} if settings.system != "model" else {}),
        "data": settings.data or "made by the package",
        "cases": ", ".join(counts),
        "version": f"vita {__version__}",
        "time": f"{time.perf_counter() - started_s:.0f} s, of which {time.process_time() - cpu_s:.0f} s of CPU",
    }
    if settings.out is not None:
        report.write(report.Report(title="Evaluation", facts=facts, sections=sections), settings.out)


def compare(first: Path, second: Path, out: Path | None) -> None:
    """Print which differences between two runs are real; write them to `out` if it is given."""
    from vita.evaluate import comparison, report

    section = comparison.section(comparison.compare(comparison.read_run(first), comparison.read_run(second)))
    print("\n\n".join([section.text, *map(report.markdown_table, section.tables)]))
    if out is not None:
        report.write(report.Report(title="Comparison", facts={"A": first, "B": second}, sections=[section]), out)

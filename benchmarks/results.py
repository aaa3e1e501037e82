"""The full report on the pocket model, as it is committed in docs/results/pocket.

    python benchmarks/results.py [--limit N] [--work out/results] [--out docs/results/pocket]

Runs every task that needs no download, and the live ones again with the two baselines; then all figures are put beside
each other, and the baselines are compared with the model. Rows stay in --work: the same command goes on where it ended.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SYSTEMS = ("model", "vad-only", "no-barge-in")
MODEL_TASKS = ("pocket", "states", "asr")
DUPLEX = ("take_over", "latency_s", "in_pause", "as_wanted", "stop_s", "response_s", "stops", "stops_after_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=30, help="cases of a group; a third of it recordings of a kind")
    parser.add_argument("--work", type=Path, default=Path("out/results"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/pocket"))
    options = parser.parse_args()

    import torch

    from vita import __version__
    from vita.api import load
    from vita.evaluate import report
    from vita.evaluate.interaction.duplex_data import make_set
    from vita.evaluate.interaction.long_data import make_recordings
    from vita.evaluate.measuring import fingerprint

    torch.set_num_threads(1)
    started_s = time.process_time()
    assistant = load("pocket")
    recordings = max(1, options.limit // 3)
    data = {"duplex": options.work / "data" / "duplex", "long": options.work / "data" / "long"}
    make_set(data["duplex"], recordings)
    make_recordings(data["long"], max(1, options.limit // 10))

    sections: list[Any] = []
    rows: dict[str, dict[str, Any]] = {system: {} for system in SYSTEMS}
    for task in MODEL_TASKS:
        found, mine = measure(task, assistant, out=options.work / "model", limit=options.limit, snr=(10.0, 0.0))
        sections += mine
        rows["model"][task] = found
    for system in SYSTEMS:
        for task, folder in data.items():
            found, mine = measure(task, assistant, out=options.work / system, data=folder, system=system)
            rows[system][task] = found
            sections += mine if system == "model" else []
    sections += beside(rows)
    facts = {
        "model": f"pocket, weights {fingerprint(assistant)}",
        "made by": f"python benchmarks/results.py --limit {options.limit}",
        "cases": ", ".join(f"{task} {len(found)}" for task, found in rows["model"].items()),
        "CPU time of the last run": f"{time.process_time() - started_s:.0f} s on one thread",
        "version": f"vita {__version__}",
    }
    report.write(report.Report(title="The pocket model", facts=facts, sections=sections), options.out)


def measure(task: str, assistant: Any, **settings: Any) -> tuple[list[Any], list[Any]]:
    """The rows of a task, and what its report says."""
    from vita.evaluate.measuring import Run, Settings
    from vita.evaluate.tasks import get_task

    module = get_task(task)
    rows = module.measure(Run(Settings(**settings), task, assistant=assistant))
    return rows, module.sections(rows)


def beside(rows: dict[str, dict[str, Sequence[Any]]]) -> list[Any]:
    """The systems beside each other, line by line, and which differences are real."""
    from vita.evaluate import comparison
    from vita.evaluate.tables import Measure, Section, Table, figure

    found = []
    for task, names in (("duplex", DUPLEX), ("long", ("false_stop", "false_answer", "missed_stop", "missed"))):
        groups = list(dict.fromkeys(row.group for row in rows["model"][task])) if task == "duplex" else ["all"]
        lines: list[list[Any]] = []
        for group in groups:
            for name in names:
                kind = "ratio" if name in ("stop_s", "response_s") else "mean" if name.endswith("_s") else "share"
                measure_ = Measure(name, name, kind)
                mine = {
                    system: [row for row in rows[system][task] if group in ("all", row.group)] for system in SYSTEMS
                }
                figures = [figure(mine[system], measure_) for system in SYSTEMS]
                if any(one.count for one in figures):
                    lines.append([group, name, *figures])
        title = {"duplex": "Full-Duplex-Bench: the model and two baselines", "long": "Long recordings: the same"}[task]
        text = "vad-only answers whatever the voice detector hears; no-barge-in hears nothing while it answers."
        found.append(Section(title=title, text=text, tables=[Table(columns=["set", "measure", *SYSTEMS], rows=lines)]))
    for system in SYSTEMS[1:]:
        live = [[row for task in ("duplex", "long") for row in rows[one][task]] for one in (system, "model")]
        section = comparison.section(comparison.compare(*live))
        found.append(Section(title=f"The model (B) against {system} (A)", text=section.text, tables=section.tables))
    return found


if __name__ == "__main__":
    main()

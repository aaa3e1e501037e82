"""A report: sections as Markdown, as one HTML page that needs nothing beside it, as JSON. Written by `vita eval`."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vita.evaluate.plots import draw
from vita.evaluate.tables import Cell, Chart, Figure, Section, Table

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}th{border-bottom:2px solid #888}
img{max-width:100%}p{max-width:45rem}"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is written.

    title: of the page.
    facts: what was measured, name and value.
    sections: of all tasks.
    """

    title: str
    facts: Mapping[str, Any]
    sections: Sequence[Section]


def write(report: Report, folder: Path) -> None:
    """report.md, report.json, report.html, and plots/ where matplotlib is there; for NAME.json that file alone."""
    if folder.suffix == ".json":
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text(to_json(report) + "\n", encoding="utf-8")
        return
    folder.mkdir(parents=True, exist_ok=True)
    plots = {}
    for chart in charts(report):
        path = folder / "plots" / f"{chart.name}.png"
        if draw(chart, path):
            plots[chart.name] = path
    names = {name: path.relative_to(folder).as_posix() for name, path in plots.items()}
    (folder / "report.md").write_text(markdown(report, names), encoding="utf-8")
    embedded = {name: base64.b64encode(path.read_bytes()).decode() for name, path in plots.items()}
    (folder / "report.html").write_text(page(report, embedded), encoding="utf-8")
    (folder / "report.json").write_text(to_json(report) + "\n", encoding="utf-8")


def charts(report: Report) -> list[Chart]:
    """All of them, in order."""
    return [chart for section in report.sections for chart in section.charts]


def markdown(report: Report, plots: Mapping[str, str]) -> str:
    """The report as Markdown; `plots` are paths by the name of the chart."""
    lines = [f"# {report.title}", "", *(f"- {name}: {value}" for name, value in report.facts.items()), ""]
    for section in report.sections:
        lines += [f"## {section.title}", "", *([section.text, ""] if section.text else [])]
        for table in section.tables:
            lines += [markdown_table(table), ""]
        for chart in section.charts:
            lines += [f"![{chart.title}]({plots[chart.name]})", ""] if chart.name in plots else []
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(table: Table) -> str:
    """A table as Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

    return "\n".join([line(table.columns), "|---" * len(table.columns) + "|", *map(line, table.texts())])


def page(report: Report, plots: Mapping[str, str]) -> str:
    """The report as one HTML page; `plots` are PNG files in base64 by the name of the chart."""
    text = html.escape
    body = [f"<h1>{text(report.title)}</h1><ul>"]
    body += [f"<li>{text(name)}: {text(str(value))}</li>" for name, value in report.facts.items()]
    body.append("</ul>")
    for section in report.sections:
        body.append(f"<h2>{text(section.title)}</h2>" + (f"<p>{text(section.text)}</p>" if section.text else ""))
        for table in section.tables:
            head = "".join(f"<th>{text(column)}</th>" for column in table.columns)
            rows = ["".join(f"<td>{text(cell)}</td>" for cell in row) for row in table.texts()]
            body.append(f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>")
        for chart in section.charts:
            if chart.name in plots:
                body.append(f'<img alt="{text(chart.title)}" src="data:image/png;base64,{plots[chart.name]}">')
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{text(report.title)}</title>'
    return f"{head}<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</html>\n"


def to_json(report: Report) -> str:
    """The figures, not rounded."""
    sections = [
        {"title": section.title, "text": section.text, "tables": [_table(table) for table in section.tables]}
        for section in report.sections
    ]
    whole = {
        "title": report.title,
        "facts": {name: str(value) for name, value in report.facts.items()},
        "sections": sections,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False)


def _table(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, map(_cell, row), strict=True)) for row in table.rows]


def _cell(cell: Cell) -> Any:
    if not isinstance(cell, Figure):
        return cell
    numbers = {"value": cell.value, "low": cell.low, "high": cell.high}
    return {
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "count": cell.count,
    }  # fmt: skip

"""Rows on disk, going on after an interruption, tables, reports and the comparison of two runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from vita import evaluate
from vita.api import Assistant
from vita.cli.main import main
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import ConfigError, DataError
from vita.evaluate import comparison, report, tasks
from vita.evaluate.measuring import Run, Settings
from vita.evaluate.rows import Row, RowLog, Score, read_rows
from vita.evaluate.tables import Chart, Measure, Section, Series, Table, by_group, figure
from vita.tokens import State


def row(case: str, group: str = "g", lang: str = "en", task: str = "t", **scores: Score) -> Row:
    return Row(task=task, case=case, group=group, lang=lang, scores=scores)


def test_rows_come_back_and_a_line_cut_short_is_dropped(tmp_path: Path) -> None:
    log = RowLog(tmp_path / "run", {"model": "a"})
    log.add([row("1", right=True), row("2", errors=[1.0, 4.0])])
    path = tmp_path / "run" / "rows.jsonl"
    path.write_text(path.read_text() + '{"task": "t", "ca', encoding="utf-8")
    again = RowLog(tmp_path / "run", {"model": "a"})
    assert again.get("t", "1") == row("1", right=True)
    assert again.get("t", "3") is None
    again.add([row("3", right=False)])
    assert [r.case for r in read_rows(path)] == ["1", "2", "3"]


def test_what_was_made_by_something_else_is_refused(tmp_path: Path) -> None:
    RowLog(tmp_path, {"model": "a", "weights": "1"})
    with pytest.raises(ConfigError, match=r"run with another weights \(got 2, expected 1\); choose another --out"):
        RowLog(tmp_path, {"model": "a", "weights": "2"})
    (tmp_path / "rows.jsonl").write_text('{"no": "row"}\n{}\n')
    with pytest.raises(DataError, match="line 1, is no row"):
        read_rows(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")


def test_a_second_run_asks_only_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []

    def measure(limit: int, fail_at: int | None = None) -> list[str]:
        def score(batch: Sequence[int]) -> list[Row]:
            if fail_at in batch:
                raise KeyboardInterrupt
            asked.extend(batch)
            return [row(str(number), right=number % 2 == 0) for number in batch]

        assistant = Assistant(ScriptedEngine([Line(State.TYPED_QUERY, ("a",))]))
        run = Run(Settings(out=tmp_path), "t", assistant=assistant)
        return [r.case for r in run.measure(range(limit), str, score, batch=2)]

    with pytest.raises(KeyboardInterrupt):
        measure(6, fail_at=4)
    assert asked == [0, 1, 2, 3]
    assert measure(6) == ["0", "1", "2", "3", "4", "5"]
    assert asked == [0, 1, 2, 3, 4, 5]
    assert measure(3) == ["0", "1", "2"]
    assert len(asked) == 6
    assert "t: 4 of 6 cases were there already" in capsys.readouterr().err
    assert (tmp_path / "t" / "rows.jsonl").exists()


def test_figures() -> None:
    rows = [row(str(n), right=n < 3, ms=100.0 * n, errors=[n, 10]) for n in range(5)] + [row("none", right=None)]
    share = figure(rows, Measure("right", "right"))
    assert (share.value, share.count) == (0.6, 5)
    assert figure(rows, Measure("ms", "ms", "p50")).value == 200.0
    assert figure(rows, Measure("ms", "ms", "p95")).value == pytest.approx(380.0)
    assert figure(rows, Measure("errors", "WER", "ratio")).value == 10 / 50
    empty = figure(rows, Measure("other", "x", "mean"))
    assert (empty.text(), empty.count) == ("-", 0)
    table = by_group([*rows[:2], row("z", group="h", right=True, ms=7.0)], [Measure("ms", "ms", "mean", 0)])
    assert [line[:2] for line in table.texts()] == [["g", "en"], ["h", "en"]]
    assert table.texts()[1] == ["h", "en", "7 [7, 7]", "1"]


ALSO = Series(name="s", x=[0, 1], y=[0.5, 1], intervals=[(0.2, 0.7), (0.9, 1)])
CHARTS = [
    Chart(name="b", title="B", kind="bars", labels=["x", "y"], series=[ALSO]),
    Chart(name="c", title="C", kind="curve", series=[Series(name="s", x=[0, 1], y=[0.5, 1])]),
    Chart(name="m", title="M", kind="matrix", labels=["x"], columns=["p", "q"], cells=[[0.2, 0.8]]),
]


def test_a_report_is_written_in_all_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(columns=["name", "share"], rows=[["a|<b>", figure([row("1", right=True)], Measure("right", ""))]])
    section = Section(title="S", text="why", tables=[table], charts=CHARTS)
    whole = report.Report(title="T & U", facts={"model": "m"}, sections=[section])
    report.write(whole, tmp_path / "a")
    markdown = (tmp_path / "a" / "report.md").read_text()
    assert "| a/<b> | 1.000 [0.207, 1.000] |" in markdown
    assert "![M](plots/m.png)" in markdown
    page = (tmp_path / "a" / "report.html").read_text()
    assert "<h1>T &amp; U</h1>" in page
    assert "a|&lt;b&gt;" in page
    assert page.count("data:image/png;base64,") == 3
    figures = json.loads((tmp_path / "a" / "report.json").read_text())["sections"][0]["tables"][0]
    share = {"value": 1.0, "low": pytest.approx(0.2065, abs=1e-4), "high": 1.0, "count": 1}
    assert figures == [{"name": "a|<b>", "share": share}]
    report.write(whole, tmp_path / "b" / "alone.json")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["alone.json"]
    monkeypatch.setattr("vita.evaluate.report.draw", lambda chart, path: False)
    report.write(whole, tmp_path / "c")
    assert "![" not in (tmp_path / "c" / "report.md").read_text()


def test_comparison_tells_real_differences_from_chance() -> None:
    first = [row(str(n), right=n % 2 == 0, ms=100.0 + n, errors=[n % 3, 10]) for n in range(40)]
    second = [row(str(n), right=n % 2 == 0 or n < 30, ms=100.0 + n, errors=[n % 3, 10]) for n in range(39)]
    found = {d.measure: d for d in comparison.compare(first, second)}
    assert found["right"].p == pytest.approx(2 / 2**15)  # 15 cases only the second has right
    assert (found["right"].is_real, found["ms"].is_real, found["errors"].is_real) == (True, False, False)
    assert found["right"].count == 39
    assert found["errors"].first == pytest.approx(sum(n % 3 for n in range(39)) / 390)
    with pytest.raises(DataError, match="no case in common"):
        comparison.compare(first, [row("other", right=True)])


def test_many_comparisons_need_smaller_p_values() -> None:
    """Ten groups, one with p = 0.03: alone that is real, among ten it is not."""

    def runs(num_groups: int) -> list[comparison.Difference]:
        first = [row(f"{g}/{n}", group=str(g), right=False) for g in range(num_groups) for n in range(6)]
        second = [row(f"{g}/{n}", group=str(g), right=g == 0) for g in range(num_groups) for n in range(6)]
        return comparison.compare(first, second)

    assert [d.p for d in runs(1)] == [2 / 2**6]
    assert [d.is_real for d in runs(1)] == [True]
    assert not any(d.is_real for d in runs(10))


class CountingTask:
    """A task of three cases that the model need not answer."""

    def measure(self, run: Run) -> list[Row]:
        right = run.settings.model == "good"
        return run.measure("abcdefghi", str, lambda batch: [row(case, right=right) for case in batch], batch=9)

    def sections(self, rows: Sequence[Row]) -> list[Section]:
        return [Section(title="Letters", tables=[by_group(rows, [Measure("right", "right")])])]


def test_the_command_measures_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tasks, "get_task", lambda name: CountingTask())
    engine = ScriptedEngine([Line(State.TYPED_QUERY, ("a",))])
    monkeypatch.setattr("vita.evaluate.measuring.load", lambda model, **options: Assistant(engine))
    for model in ("bad", "good"):
        assert main(["eval", "t", "--model", model, "--out", str(tmp_path / model)]) == 0
    assert "| g | en | 0.000 [0.000, 0.299] | 9 |" in capsys.readouterr().out
    assert "- cases: t 9" in (tmp_path / "good" / "report.md").read_text()
    assert main(["eval", "compare", str(tmp_path / "bad"), str(tmp_path / "good"), "--out", str(tmp_path / "c")]) == 0
    assert "1 of 1 differences are real" in capsys.readouterr().out
    assert "| t | g | en | right | 0.000 | 1.000 |" in (tmp_path / "c" / "report.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nothing"], "unknown evaluation (got nothing, expected pocket"),
        (["pocket", "--limit", "0"], "limit out of range (got 0, expected at least 1)"),
        (["compare", "a"], "compare takes two folders (got 1); vita eval compare A B"),
        (["compare", "no", "where"], "no holds no run (expected a folder written by"),
        (["pocket", "--sessions", "many"], "--sessions takes numbers (got many"),
    ],
)
def test_mistakes(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *arguments]) == 2
    assert line in capsys.readouterr().err


def test_an_unknown_task_is_found_before_the_first_is_run() -> None:
    with pytest.raises(ConfigError, match="unknown evaluation"):
        evaluate.run(["pocket", "world"], Settings())

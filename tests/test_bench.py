"""`make bench`: figures are read off what the scripts print, compared with the last commit, and drawn."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "bench.py"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "bench", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "now", "before", "by"),
    [
        ("help_s", 1.5, 1.0, 0.5),
        ("help_s", 0.5, 1.0, -0.5),
        ("samples_1_tiles_rate", 50.0, 100.0, 0.5),
        ("rows_full_packed_share", 1.0, 0.8, -0.25),
        ("new_ms", 1.0, None, None),
    ],
)
def test_change_is_told_as_worse_or_better(
    bench: ModuleType, name: str, now: float, before: float | None, by: float | None
) -> None:
    assert bench.change(name, now, before) == (None if by is None else pytest.approx(by))


def test_a_run_is_compared_with_the_last_commit(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"help_s": 0.1, **{f"question_{n}s_{way}_ms": 9.0 for n in (2, 8) for way in ("heard", "appended")}}
    monkeypatch.setattr(bench, "BENCHES", {"one": lambda: dict(figures)})
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    monkeypatch.setattr("sys.argv", ["bench.py", "--only", "one", "--check", "--out", str(tmp_path)])
    subprocess.run([*git, "init", "-q"], check=True)
    bench.main()
    subprocess.run([*git, "add", "bench.json"], check=True)
    subprocess.run([*git, "commit", "-qm", "figures"], check=True)
    bench.main()
    assert "worse" not in capsys.readouterr().out
    figures["help_s"] = 0.13
    with pytest.raises(SystemExit):
        bench.main()
    assert "worse by more than 20 %: help_s" in capsys.readouterr().out
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| help | 0.13 s | +30 % **worse** |" in report
    assert json.loads((tmp_path / "bench.json").read_text())["figures"]["help_s"] == 0.13
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "question.png").exists()


def test_scripts_that_print_something_else_are_named(bench: ModuleType) -> None:
    assert bench.numbers(r"ratio ([\d.]+)", "one 2, ratio 1.25") == [1.25]
    with pytest.raises(SystemExit, match="no 'ratio"):
        bench.numbers(r"ratio ([\d.]+)", "nothing")

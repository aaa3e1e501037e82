"""Fixtures of the parity tests: where the reference's numbers lie, and a record of every comparison made with them.

`VITA_REFERENCE_DIR` names the folder (default: `shared/reference` beside the repository, else the subset in
`tests/golden`). `VITA_PARITY_REPORT=path.json` writes every comparison to a file; the table of the largest
difference per test file is printed at the end of the run either way.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PROPERTY = "parity"
RecordDifference = Callable[..., None]


def find_reference_dir() -> Path | None:
    """The folder of reference data, or None where there is none. A folder named by the environment must exist."""
    named = os.environ.get("VITA_REFERENCE_DIR")
    if named:
        if not Path(named).is_dir():
            raise FileNotFoundError(f"VITA_REFERENCE_DIR={named} is not a folder")
        return Path(named)
    candidates = (REPOSITORY.parent / "shared" / "reference", REPOSITORY / "tests" / "golden")
    return next((folder for folder in candidates if folder.is_dir()), None)


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """The folder with the reference's numbers; tests that need it are skipped without one."""
    folder = find_reference_dir()
    if folder is None:
        pytest.skip("no reference data: set VITA_REFERENCE_DIR")
    return folder


@pytest.fixture(scope="session")
def reference_file(reference_dir: Path) -> Callable[[str], Path]:
    """`reference_file(name)`: the path of one file; the subset in tests/golden may lack it, a full folder may not."""

    def find(name: str) -> Path:
        path = reference_dir / name
        if not path.exists():
            if reference_dir == REPOSITORY / "tests" / "golden":
                pytest.skip(f"{name} is not in the subset")
            raise FileNotFoundError(f"{path} is missing from the reference data")
        return path

    return find


@pytest.fixture
def record_difference(request: pytest.FixtureRequest) -> RecordDifference:
    """`record_difference(name, difference, tolerance)`: notes the comparison for the report, then asserts it."""

    def record(name: str, difference: float, tolerance: float) -> None:
        difference, tolerance = float(difference), float(tolerance)
        passed = math.isfinite(difference) and difference <= tolerance
        row = {"name": name, "difference": difference, "tolerance": tolerance, "passed": passed}
        request.node.user_properties.append((PROPERTY, row))
        assert passed, f"{name}: differs by {difference:.3g}, tolerance {tolerance:.3g}"

    return record


def recorded(terminalreporter: pytest.TerminalReporter) -> list[dict]:
    """Every comparison of the run, also those made by pytest-xdist's workers."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    return [
        row | {"test": report.nodeid}
        for report in reports
        for name, row in getattr(report, "user_properties", [])
        if name == PROPERTY and report.when == "call"
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints one line per test function (its worst comparison) and writes all of them to VITA_PARITY_REPORT."""
    records = recorded(terminalreporter)
    if not records:
        return
    by_test: dict[str, list[dict]] = {}
    for record in records:
        by_test.setdefault(record["test"].partition("[")[0], []).append(record)
    terminalreporter.section("parity: worst comparison of each test, difference / tolerance")
    for test, rows in by_test.items():
        worst = max(rows, key=lambda row: row["difference"] / max(row["tolerance"], 1e-30))
        terminalreporter.write_line(
            f"{test}: {len(rows)} compared, worst {worst['name']} {worst['difference']:.2e} / {worst['tolerance']:.0e}"
        )
    report = os.environ.get("VITA_PARITY_REPORT")
    if report:
        Path(report).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")

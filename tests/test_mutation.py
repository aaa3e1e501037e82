"""The mutants that `benchmarks/mutation.py` makes, and that a test's failure is seen."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "mutation.py"
SOURCE = '''
LIMIT = 3


def is_low(x: int, y: bool = True) -> bool:
    """Says "low"."""
    if x < 3 and not y:
        raise ValueError("x is 1")
    return replace(x, by=1)


def other() -> int:
    return 7
'''


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mutation", module)
    spec.loader.exec_module(module)
    return module


def test_code_is_changed_and_nothing_else(mutation: ModuleType) -> None:
    found = list(mutation.mutants(SOURCE, ("is_low",)))
    assert {mutant.change for mutant in found} == {
        "x < 3 -> x <= 3", "x < 3 and (not y) -> x < 3 or not y", "x < 3 and (not y) -> x < 3",
        "x < 3 and (not y) -> not y", "not y -> y", "3 -> 4", "1 -> 2", "replace(x, by=1) -> replace(x)",
    }  # fmt: skip
    for mutant in found:
        text = ast.unparse(mutant.tree)
        assert text != ast.unparse(ast.parse(SOURCE))
        assert "LIMIT = 3" in text
        compile(mutant.tree, "mutant", "exec")
    assert len(list(mutation.mutants(SOURCE))) == len(found) + 1

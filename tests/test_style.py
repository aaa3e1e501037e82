"""The measures of the code itself are taken, and find what they should; the bars on sizes: test_architecture.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "style.py"


@pytest.fixture
def style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, on a package of two rooms that import each other."""
    spec = importlib.util.spec_from_file_location("style", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "style", module)
    spec.loader.exec_module(module)
    copied = "\n".join(f"    number_{index} = compute({index})" for index in range(9))
    for room, other in (("left", "right"), ("right", "left")):
        (tmp_path / room).mkdir()
        text = f"from vita.{other} import thing\n\n\ndef function(a: int, b, *c: str):\n    '''Says.'''\n{copied}\n"
        text += f"    {room}()\n    try:\n        a()\n    except Exception:\n        pass\n"
        (tmp_path / room / "a.py").write_text(text, encoding="utf-8")
    (tmp_path / "alone.py").write_text("try:\n    pass\nexcept Exception:\n    raise\n", encoding="utf-8")
    monkeypatch.setattr(module, "SOURCE", tmp_path)
    return module


def test_measures(style: ModuleType) -> None:
    assert style.cycles() == ["left", "right"]
    assert style.annotated() == (4, 6)
    assert style.function_lengths() == {"left/a.py:function": 15, "right/a.py:function": 15}
    copies, total, most = style.copied_lines()
    assert (copies, total) == (22, 36)
    assert len(most) == 2
    assert style.broad_excepts() == ["left/a.py:18", "right/a.py:18"]

"""README and docs say what is true: their commands parse, their files exist, the demo's examples are there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import vita
from vita.api import Assistant
from vita.cli.main import COMMANDS, build_parser
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = [
    REPOSITORY / "README.md",
    REPOSITORY / "README.zh.md",
    REPOSITORY / "CHANGELOG.md",
    REPOSITORY / "examples" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]


def commands() -> list[str]:
    """Every line of a code block that starts with vita."""
    found = []
    for path in DOCUMENTS:
        for block in re.findall(
            r"```\w*\n(.*?)```|((?:^    .*\n)+)", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            lines = [line.strip().removeprefix("$ ") for line in "".join(block).splitlines()]
            found += [line for line in lines if re.match(r"(\.venv/bin/)?vita ", line)]
    return found


@pytest.mark.parametrize("line", commands())
def test_commands_parse_and_their_files_exist(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    assert name in COMMANDS
    build_parser(name).parse_all(arguments)
    for word in arguments:
        if word.startswith(("examples/", "recipes/", "docs/")):
            assert (REPOSITORY / word).is_file(), word


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_paths_in_documents_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    roots = r"(?:src|docs|examples|recipes|tests|benchmarks)/[\w./-]*\w/?"
    named = set(re.findall(rf"`({roots})`", text)) | set(re.findall(rf"\]\((?!http)({roots})\)", text))
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_every_room_is_in_the_readme_and_in_the_architecture() -> None:
    rooms = [path.name for path in (REPOSITORY / "src" / "vita").iterdir() if (path / "__init__.py").is_file()]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    architecture = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [room for room in rooms if f"`src/vita/{room}/`" not in readme] == []
    assert [room for room in rooms if f"`{room}/`" not in architecture] == []


def test_every_core_dependency_has_its_licence_told() -> None:
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"\ndependencies = \[(.*?)\n\]", text, re.DOTALL)
    assert block is not None
    names = re.findall(r'"([a-zA-Z0-9-]+)', block.group(1))
    licences = (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8")
    assert len(names) > 10
    assert [name for name in names if name not in licences] == []


def test_version_has_its_changelog() -> None:
    assert f"\n## {vita.__version__} " in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def rows() -> list[dict[str, Any]]:
    text = (REPOSITORY / "examples" / "examples.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def load_demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", REPOSITORY / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_examples_cover_the_main_job_and_their_media_exist() -> None:
    names = {name for row in rows() for name in (row.get(key) for key in ("image", "video", "audio")) if name}
    assert [name for name in sorted(names) if not (REPOSITORY / "examples" / name).is_file()] == []
    kinds = [frozenset(row) - {"id", "note"} for row in rows()]
    for kind in ({"question"}, {"audio"}, {"image", "audio"}, {"image", "question"}, {"video", "question"}):
        assert frozenset(kind) in kinds
    listed = (REPOSITORY / "examples" / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in (REPOSITORY / "examples").iterdir() if path.is_file()]
    assert [name for name in files if name not in listed + "README.md"] == []


def test_demo_shows_every_example(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = load_demo()

    def script(messages: Any) -> Line:
        return Line(State.TYPED_QUERY if messages[-1].text else State.NOISE, ("fine",))

    monkeypatch.setattr(demo, "load", lambda name: Assistant(ScriptedEngine(script)))
    monkeypatch.chdir(tmp_path)
    assert demo.main() == 0
    out = capsys.readouterr().out
    shown = [line.removeprefix("$ ") for line in out.splitlines() if line.startswith("$ ")]
    assert len(shown) == len(rows())
    for line, row in zip(shown, rows(), strict=True):
        _, name, *arguments = shlex.split(line)
        parsed = build_parser(name).parse_all(arguments)
        assert parsed.question == row.get("question")
        assert parsed.audio == (f"examples/{row['audio']}" if "audio" in row else None)
    assert out.count("  fine\n  state typed_query, first word after ") == sum("question" in row for row in rows())
    assert "(silent)" in out
    assert "Try next:" in out
    assert (tmp_path / "out" / "answer.wav").is_file()

"""Every code block of README and docs is run, or says on the line above why not: `<!-- not run: reason -->`.

`<!-- slow: reason -->` blocks run with `pytest -m slow tests/test_code_blocks.py`. The blocks of a page run in order,
in one folder of their own, with the embedded model loaded once; `vita` commands run in this process. docs/server.md is
run by tests/server/test_document.py, against a server.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import vita.checkpoints
from vita.cli.main import main

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "examples" / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
CHINESE = REPOSITORY / "README.zh.md"
RUN_ELSEWHERE = {"server.md": {"sh", "python"}}
SHELL, DATA, PROSE = {"", "sh", "bash"}, {"json": json.loads, "yaml": yaml.safe_load}, {"text"}
BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>not run|slow): [^\n]+? -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where, in which language, and its mark ("", "not run" or "slow")."""

    line: int
    language: str
    text: str
    mark: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a shell block."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.strip().startswith("#")]


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        body = "\n".join(row.removeprefix(match["indent"]) for row in match["text"].split("\n"))
        found.append(Block(line, match["language"], body, match["mark"] or ""))
    assert len(found) * 2 == len(re.findall(r"^ *```", text, re.MULTILINE)), "a fence that is not closed"
    return found


def is_run(path: Path, block: Block) -> bool:
    """Whether something is to be run, and here."""
    return (
        block.mark != "not run"
        and block.language not in PROSE | DATA.keys()
        and block.language not in RUN_ELSEWHERE.get(path.name, set())
    )


@pytest.mark.parametrize("path", [*PAGES, CHINESE], ids=lambda path: path.name)
def test_every_block_can_be_run_or_says_why_not(path: Path) -> None:
    for block in blocks_of(path):
        where = f"{path.name}:{block.line}"
        assert block.language in SHELL | PROSE | DATA.keys() | {"python"}, f"{where}: language {block.language!r}"
        if block.language in DATA:
            DATA[block.language](block.text)
        if block.language == "python":
            compile(block.text, where, "exec")
        if block.language in SHELL and is_run(path, block):
            others = [words for words in block.commands if Path(words[0]).name != "vita"]
            assert others == [], f"{where}: only vita is run here; mark the block"


def test_chinese_readme_shows_the_same_blocks() -> None:
    english = [block.text for block in blocks_of(PAGES[0])]
    assert [block.text for block in blocks_of(CHINESE)] == english


@pytest.fixture(scope="module", autouse=True)
def one_model() -> Iterator[None]:
    """The embedded model is loaded once for all pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vita.checkpoints, "load", functools.cache(vita.checkpoints.load))
        yield


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a clone, and in it what the pages call the reader's own."""
    for name in ("examples", "recipes", "docs", "README.md"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    examples = REPOSITORY / "examples"
    (tmp_path / "media").symlink_to(examples)
    lines = (examples / "train.jsonl").read_text(encoding="utf-8").splitlines()
    (tmp_path / "train.json").write_text(json.dumps([json.loads(line) for line in lines]), encoding="utf-8")
    (tmp_path / "folders.yaml").write_text("audio: media\ndefault: media\n", encoding="utf-8")
    own = [{"question": "How many legs does a spider have?", "answer": "A spider has eight legs."}]
    (tmp_path / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    shutil.copy(examples / "hum.wav", tmp_path / "cafe.wav")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITA_VOICE_API_KEY", "")
    return tmp_path


def run(path: Path, *, slow: bool) -> int:
    """Runs a page's blocks; how many."""
    count = 0
    names: dict[str, object] = {}
    for block in blocks_of(path):
        if not is_run(path, block) or (block.mark == "slow" and not slow):
            continue
        count += 1
        where = f"{path.name}:{block.line}"
        if block.language == "python":
            exec(compile(block.text, where, "exec"), names)
            continue
        for words in block.commands:
            assert main(words[1:]) == 0, f"{where}: {shlex.join(words)}"
    return count


def has(path: Path, mark: str) -> bool:
    return any(is_run(path, block) and block.mark == mark for block in blocks_of(path))


@pytest.mark.parametrize("path", [path for path in PAGES if has(path, "")], ids=lambda path: path.name)
def test_page_runs(path: Path, reader: Path) -> None:
    assert run(path, slow=False) > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in PAGES if has(path, "slow")], ids=lambda path: path.name)
def test_page_runs_with_its_slow_blocks(path: Path, reader: Path) -> None:
    assert run(path, slow=True) > 0
    assert os.getcwd() == str(reader)

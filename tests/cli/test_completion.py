"""`vita completion`: what the scripts know, and what bash makes of one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vita.cli.data import SUBCOMMANDS
from vita.cli.main import COMMANDS, main

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script for the shell that the test names, in a file."""
    assert main(["completion", request.param]) == 0
    path = tmp_path / f"vita.{request.param}"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


@pytest.mark.parametrize("script", SHELLS, indirect=True)
def test_script_knows_commands_subcommands_and_options(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert [name for name in (*COMMANDS, *SUBCOMMANDS) if name not in text] == []
    assert "max-new-tokens" in text


@pytest.mark.parametrize("script", SHELLS, indirect=True)
def test_shell_takes_the_script(script: Path) -> None:
    shell = script.suffix.removeprefix(".")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", str(script)], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("script", ["bash"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["vita", "tr"], {"train"}),
        (["vita", "data", "s"], {"show", "stats", "synth"}),
        (["vita", "ask", "--no-", "--im"], {"--image"}),
        (["vita", "ask", "--state", "a"], {"auto", "answer"}),
        (["vita", "ask", "--image", "pic"], {"picture.png"}),
        (["vita", "eval", "--out", "fol"], {"folder"}),
        (["vita", "completion", ""], set(SHELLS)),
    ],
)
def test_bash_completes(script: Path, tmp_path: Path, typed: list[str], offered: set[str]) -> None:
    (tmp_path / "picture.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folio.txt").touch()
    words = " ".join(f"'{word}'" for word in typed)
    code = (
        f"source {script}; COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; "
        'complete -p vita | grep -q _shtab_vita; _shtab_vita; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert set(done.stdout.split()) == offered

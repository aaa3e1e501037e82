"""The command line's frame: help, nearest names, exit codes, no heavy imports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vita import __version__
from vita.cli import convert, data
from vita.cli.main import COMMANDS, _overview, build_parser, main
from vita.errors import VitaError

HELP = Path(__file__).parent / "help"
REPOSITORY = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}


def help_text(name: str) -> str:
    return _overview() if name == "vita" else build_parser(name).format_help()


@pytest.mark.parametrize("name", ["vita", *COMMANDS])
def test_help_is_the_snapshot(name: str) -> None:
    """After a wanted change: `UPDATE_HELP=1 pytest tests/cli/test_main.py`."""
    path = HELP / f"{name}.txt"
    if os.environ.get("UPDATE_HELP"):
        path.write_text(help_text(name), encoding="utf-8")
    assert help_text(name) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", data.SUBCOMMANDS)
def test_help_of_a_subcommand_is_the_snapshot(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", name, "--help"])
    path, text = HELP / "data" / f"{name}.txt", capsys.readouterr().out
    if os.environ.get("UPDATE_HELP"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_snapshot_without_a_command() -> None:
    assert {path.stem for path in HELP.iterdir()} == {"vita", *COMMANDS}
    assert {path.stem for path in (HELP / "data").iterdir()} == set(data.SUBCOMMANDS)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_overview(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "vita ask --help" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vita {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["aks"], "unknown command aks; did you mean ask?"),
        (["xyz"], "unknown command xyz; see `vita --help`"),
        (["--verison"], "unknown option --verison; did you mean --version?"),
        (["ask", "--iamge", "a.png"], "unknown option --iamge; did you mean --image?"),
        (["ask", "--max-tokens=3"], "unknown option --max-tokens; did you mean --max-new-tokens?"),
        (["ask", "--ima", "a.png"], "unknown option --ima; did you mean --image?"),
        (["ask", "hi", "--qqq"], "unknown option --qqq; see `vita ask --help`"),
        (["ask", "what", "is", "it"], "too many arguments (got is it); put a text of several words in quotes"),
        (["convert", "a"], "the following arguments are required: DST; see `vita convert --help`"),
        (["data", "check", "a.json", "--rot", "d"], "unknown option --rot; did you mean --root?"),
        (["train", "a.yaml", "--set", "steps"], "--set needs KEY=VALUE (got steps); for example --set steps=100"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err == f"vita: error: {line}\n"
    assert captured.out == ""


@pytest.mark.parametrize("name", ["--device", "--dtype", "--state"])
def test_a_wrong_choice_lists_the_right_ones(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "hi", name, "wrong"]) == 2
    assert re.search(f"argument {name}: invalid choice: '?wrong'?.*auto", capsys.readouterr().err)


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(VitaError, match="no question"):
        main(["ask", "--debug"])


def raising(error: BaseException) -> Any:
    def run(arguments: Any) -> int:
        raise error

    return run


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(convert, "run", raising(KeyboardInterrupt()))
    assert main(["convert", "a", "b"]) == 130
    assert capsys.readouterr().err == "\nvita: interrupted\n"


def test_a_fault_of_ours_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "run", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["convert", "a", "b"])


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vita.cli.main", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_terminal_without_the_character_shows_another() -> None:
    code = "import sys; from vita.cli.main import main; main(['--version']); print('蓝')"
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    assert done.stdout.endswith(b"?\n")


def test_convert_and_train_get_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    import vita.checkpoints.conversion
    import vita.train

    calls: list[Any] = []
    monkeypatch.setattr(vita.checkpoints.conversion, "convert", lambda *args, **options: calls.append((args, options)))
    monkeypatch.setattr(vita.train, "run", lambda *args, **options: calls.append((args, options)), raising=False)
    assert main(["convert", "a", "b", "--prompts", "p.json"]) == 0
    assert main(["train", "r.yaml", "--stage", "s", "--resume", "--set", "a.b=1e-3", "--set", "c=[1, x]"]) == 0
    overrides = {"a.b": 1e-3, "c": [1, "x"]}
    convert_options = calls[0][1]
    assert convert_options.pop("progress") is not None
    assert calls == [
        (("a", "b"), {"base": None, "prompts": "p.json"}),
        (("r.yaml",), {"stage": "s", "overrides": overrides, "resume": True, "out": None}),
    ]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ask", "--help"], ["ask", "--nope"], ["ask"], ["data", "check", "--help"]]
)
def test_help_and_mistakes_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from vita.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'PIL', 'av', 'yaml', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT, capture_output=True)

"""The `vita` command: finds the command, runs it, and turns mistakes into one line and an exit code.

Exit codes: 0 done, 1 `vita data check` found bad samples, 2 a mistake of the user or of the input (one line on stderr),
130 interrupted; a traceback means a fault of ours. The only place that reads argv.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from vita import __version__
from vita.cli import ask, completion, compose, convert, data, doctor, evaluate, live, serve, train
from vita.cli.parser import Parser, nearest
from vita.errors import ConfigError, VitaError

COMMANDS: dict[str, ModuleType] = {
    "ask": ask,
    "live": live,
    "serve": serve,
    "eval": evaluate,
    "train": train,
    "data": data,
    "convert": convert,
    "compose": compose,
    "doctor": doctor,
    "completion": completion,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. `argv` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows "?" for it
    try:
        code = _run([argument for argument in arguments if argument != "--debug"])
        sys.stdout.flush()
        return code
    except VitaError as error:
        if debug:
            raise
        print(f"vita: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("\nvita: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(), end="")
        return 0
    if arguments[0] == "--version":
        print(f"vita {__version__}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        known = ("--help", "--version", "--debug") if kind == "option" else COMMANDS
        raise ConfigError(f"unknown {kind} {name}", fix=nearest(name, known) or "see `vita --help`")
    parser = build_parser(name)
    parsed = parser.parse_all(arguments[1:])
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return COMMANDS[name].run(parsed)


def build_parser(name: str) -> Parser:
    """The parser of one command."""
    command = COMMANDS[name]
    parser = Parser(
        prog=f"vita {name}",
        usage=f"vita {name} {command.USAGE}",
        description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
        epilog="`--debug` shows the traceback of an error.",
    )
    command.add_arguments(parser)
    return parser


def _overview() -> str:
    rows = "\n".join(f"  {name:<12}{command.SUMMARY}" for name, command in COMMANDS.items())
    return (
        "usage: vita COMMAND [options]\n\n"
        "Interactive omni models: text, image, video and sound in, text and speech out.\n\n"
        f"commands:\n{rows}\n\n"
        "options:\n  -h, --help  this text, or that of a command: `vita ask --help`\n"
        "  --version   the version\n  --debug     the traceback of an error\n"
    )


if __name__ == "__main__":
    sys.exit(main())

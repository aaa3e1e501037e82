"""`vita completion`: a script that makes a shell complete commands, options and files. shtab writes it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from vita.cli.parser import Parser

SUMMARY = "print a script for the completion of bash, zsh or fish"
USAGE = "{bash,zsh,fish}"
_PATHS = re.compile(r"FILE|PATH|RECIPE|TABLE|SRC|DST|OUT|DIR|\.\w+$")
"""The metavars of arguments that name something on the disk."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from vita.cli.main import COMMANDS

    root = Parser(prog="vita", description="interactive omni models")
    root.add_argument("--version", action="store_true", help="the version")
    root.add_argument("--debug", action="store_true", help="the traceback of an error")
    kinds = root.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for name, command in COMMANDS.items():
        command.add_arguments(kinds.add_parser(name, help=command.SUMMARY, description=command.SUMMARY))
    _mark_paths(root, {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY})
    print(shtab.complete(root, arguments.shell), end="")
    return 0


def _mark_paths(parser: argparse.ArgumentParser, kinds: Mapping[str, Any]) -> None:
    """Tell shtab which arguments are files or folders, in `parser` and its subcommands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for own in action.choices.values():
                _mark_paths(own, kinds)
        elif isinstance(action.metavar, str) and _PATHS.search(action.metavar):
            action.complete = kinds["DIR" if action.metavar == "DIR" else "FILE"]  # type: ignore[attr-defined]

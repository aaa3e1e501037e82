"""The argument parser of every command: one-line errors with the nearest name, nothing abbreviated.

Used by `vita.cli.main`, which turns the errors into exit code 2.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from vita.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises ConfigError instead of printing its usage and exiting."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **options)

    def error(self, message: str) -> NoReturn:
        """Called by argparse for whatever it refuses."""
        raise ConfigError(message, fix=f"see `{self.prog} --help`")

    def parse_all(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse, and name the nearest option for one that does not exist."""
        known, unknown = self.parse_known_args(list(arguments))
        if unknown:
            raise self._unexpected(unknown)
        return known

    def _unexpected(self, unknown: list[str]) -> ConfigError:
        option = next((argument for argument in unknown if argument.startswith("-")), None)
        if option is None:
            return ConfigError("too many arguments", got=" ".join(unknown), fix="put a text of several words in quotes")
        name = option.partition("=")[0]
        fix = nearest(name, self._all_options()) or f"see `{self.prog} --help`"
        return ConfigError(f"unknown option {name}", fix=fix)

    def _all_options(self) -> list[str]:
        """Its own options and those of its subcommands."""
        options = list(self._option_string_actions)
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                options += [option for parser in action.choices.values() for option in parser._option_string_actions]
        return options


class _Formatter(argparse.HelpFormatter):
    """Wide enough for our longest options, the same on every terminal that is not narrow."""

    def __init__(self, prog: str, **options: Any) -> None:
        options["width"] = 110
        super().__init__(prog, max_help_position=30, **options)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """ "did you mean ...?" for the known name most like `name`, None if none is."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {match[0]}?" if match else None

"""`vita data`: look at training data before a run does. Each subcommand is a module of its own."""

from __future__ import annotations

import argparse
from types import ModuleType

from vita.cli import data_check, data_convert, data_pack, data_show, data_stats, data_synth
from vita.cli.parser import Parser

SUMMARY = "check, show, count and make training data"
USAGE = "{check,show,stats,pack,convert,synth} ..."
SUBCOMMANDS: dict[str, ModuleType] = {
    "check": data_check,
    "show": data_show,
    "stats": data_stats,
    "pack": data_pack,
    "convert": data_convert,
    "synth": data_synth,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser for each subcommand."""
    kinds = parser.add_subparsers(
        dest="subcommand", required=True, metavar="SUBCOMMAND", parser_class=Parser, prog=parser.prog
    )
    for name, command in SUBCOMMANDS.items():
        summary = command.SUMMARY
        own = kinds.add_parser(
            name,
            help=summary,
            usage=f"{parser.prog} {name} {command.USAGE}",
            description=summary[0].upper() + summary[1:] + ".",
        )
        command.add_arguments(own)


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the subcommand."""
    return SUBCOMMANDS[arguments.subcommand].run(arguments)

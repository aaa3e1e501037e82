"""`vita data convert`: the reference's JSON list as JSON Lines, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "turn a JSON list of records into JSON Lines, or back"
USAGE = "FILE OUT"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="training data: .json (a list) or .jsonl")
    parser.add_argument("out", metavar="OUT", type=Path, help="what to write: .jsonl or .json")


def run(arguments: argparse.Namespace) -> int:
    """Convert; a line goes to stdout."""
    from vita.data.writing import convert_file

    print(f"written: {arguments.out}, {convert_file(arguments.file, arguments.out)} records")
    return 0

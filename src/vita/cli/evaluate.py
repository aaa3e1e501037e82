"""`vita eval`: measure a model and print the table."""

from __future__ import annotations

import argparse

from vita.cli.model_options import add_model_options

SUMMARY = "measure a model and print the table"
USAGE = "{pocket} [options]"
SUITES = ("pocket",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("suite", choices=SUITES, help="what to measure: pocket, the embedded model's own world")
    add_model_options(parser)
    parser.add_argument("--limit", metavar="N", type=int, help="at most N cases of each group")
    parser.add_argument("--out", metavar="FILE.json", help="also write the table as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure; the table goes to stdout."""
    from vita import evaluate

    evaluate.run(
        arguments.suite,
        model=arguments.model,
        device=arguments.device,
        dtype=arguments.dtype,
        limit=arguments.limit,
        out=arguments.out,
    )
    return 0

"""`vita data check`: find bad samples before a run does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vita.cli.data_options import add_file_options, add_workers_option, num_workers

SUMMARY = "find samples that cannot be trained on"
USAGE = "FILE... [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_file_options(parser)
    parser.add_argument("--out", metavar="DIR", type=Path, help="write good.jsonl, bad.jsonl and report.json there")
    parser.add_argument("--model", metavar="NAME|DIR", help="count tokens as this model is trained on them")
    parser.add_argument(
        "--max-tokens", metavar="N", type=int, help="longest sample (default: the context of --model; else unlimited)"
    )
    parser.add_argument(
        "--max-aspect-ratio", metavar="X", type=float, default=12.0, help="longest picture (default: 12 to 1)"
    )
    add_workers_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check; the table goes to stdout. 1 if a sample is bad."""
    from vita.data.check import CheckRules
    from vita.data.check_files import check_files

    model_folder = None
    if arguments.model is not None:
        from vita.checkpoints.loading import find_model

        model_folder = find_model(arguments.model)
    rules = CheckRules(
        max_aspect_ratio=arguments.max_aspect_ratio, max_tokens=arguments.max_tokens, model_folder=model_folder
    )
    report = check_files(
        arguments.files,
        rules,
        root=arguments.root,
        table=arguments.folders,
        out=arguments.out,
        workers=num_workers(arguments),
        progress=sys.stderr.isatty(),
    )
    print(report.table())
    if arguments.out is not None:
        print(f"written: {arguments.out}/good.jsonl, bad.jsonl, report.json")
    return 1 if report.bad else 0

"""`vita data stats`: what a set of training samples holds."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vita.cli.data_options import add_file_options, add_workers_option, num_workers

SUMMARY = "count samples, media, durations and tokens by modality"
USAGE = "FILE... [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_file_options(parser)
    parser.add_argument("--model", metavar="NAME|DIR", default="pocket", help="whose tokens (default: pocket)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--plot", metavar="FILE.png", type=Path, help="also draw them (needs matplotlib)")
    add_workers_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Count; the table goes to stdout. 1 if there are samples that cannot be measured."""
    from vita.checkpoints.loading import find_model
    from vita.data.plot import plot_stats
    from vita.data.records import MediaFolders, RecordFile
    from vita.data.stats import collect_stats

    files = [RecordFile(path) for path in arguments.files]
    stats = collect_stats(
        [(file, MediaFolders.of_file(file.path, root=arguments.root, table=arguments.folders)) for file in files],
        find_model(arguments.model),
        model=arguments.model,
        workers=num_workers(arguments),
        progress=sys.stderr.isatty(),
    )
    print(json.dumps(stats.to_json(), indent=1) if arguments.json else stats.table())
    if arguments.plot is not None:
        plot_stats(stats, arguments.plot)
        print(f"written: {arguments.plot}", file=sys.stderr)
    return 1 if stats.num_errors else 0

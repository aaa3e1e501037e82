"""`vita data pack`: records joined into longer ones, as the reference's scripts do before training."""

from __future__ import annotations

import argparse
from pathlib import Path

from vita.cli.data_options import add_file_options

SUMMARY = "join records into longer ones of a token budget, as the reference does"
USAGE = "FILE --out OUT [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_file_options(parser, several=False)
    parser.add_argument("--out", metavar="OUT", type=Path, required=True, help="the joined records: .jsonl or .json")
    parser.add_argument("--model", metavar="NAME|DIR", default="pocket", help="whose tokens (default: pocket)")
    parser.add_argument("--max-tokens", metavar="N", type=int, help="of a joined record (default: the model's context)")
    parser.add_argument("--best-fit", action="store_true", help="fill records up (default: join neighbours)")
    parser.add_argument("--shuffle", metavar="SEED", type=int, help="shuffle first (default: the order of the file)")
    parser.add_argument("--leave-out", action="store_true", help="name records that cannot be read, and go on")


def run(arguments: argparse.Namespace) -> int:
    """Join; a table goes to stdout."""
    from vita.checkpoints.loading import find_model
    from vita.data.joined_set import BEST_FIT, IN_ORDER, join_file
    from vita.data.lengths import load_processor
    from vita.data.records import MediaFolders

    processor = load_processor(find_model(arguments.model))
    found = join_file(
        Path(arguments.file),
        arguments.out,
        MediaFolders.of_file(Path(arguments.file), root=arguments.root, table=arguments.folders),
        processor,
        budget=arguments.max_tokens or processor.config.tokenizer_model_max_length,
        method=BEST_FIT if arguments.best_fit else IN_ORDER,
        seed=arguments.shuffle,
        leave_out=arguments.leave_out,
    )
    print(found.table())
    print(f"written: {arguments.out}")
    return 0

"""`vita data show`: one sample as a model is trained on it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vita.cli.data_options import add_file_options
from vita.errors import ConfigError

SUMMARY = "print a sample's tokens, marked by learned or not, and write its media"
USAGE = "FILE --index N [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    add_file_options(parser, several=False)
    parser.add_argument("--index", metavar="N", type=int, required=True, help="which sample, from 0; -1 is the last")
    parser.add_argument("--model", metavar="NAME|DIR", default="pocket", help="whose tokens (default: pocket)")
    parser.add_argument("--tokens", action="store_true", help="one line a token instead of running text")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write its pictures, frames and sounds there")


def run(arguments: argparse.Namespace) -> int:
    """Show; everything goes to stdout."""
    from vita.checkpoints.loading import find_model
    from vita.data.loading import build_sample, load_media
    from vita.data.records import MediaFolders, RecordFile
    from vita.data.show import coloured_text, summary, token_table, write_media
    from vita.models.processing_vita import VitaProcessor

    file = RecordFile(arguments.file)
    if not -len(file) <= arguments.index < len(file):
        raise ConfigError("--index is out of range", got=arguments.index, expected=f"0 .. {len(file) - 1}")
    index = arguments.index % len(file)
    record = file[index]
    media = load_media(record, MediaFolders.of_file(file.path, root=arguments.root, table=arguments.folders))
    processor = VitaProcessor.from_pretrained(find_model(arguments.model))
    sample = build_sample(record, media, processor)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(summary(f"{file.where(index)}, sample {record.name}", sample))
    render = token_table if arguments.tokens else coloured_text
    print(render(sample, processor, colour=colour))
    if arguments.out is not None:
        for path in write_media(media, arguments.out):
            print(f"written: {path}")
    return 0

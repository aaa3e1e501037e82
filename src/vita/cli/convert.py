"""`vita convert`: a checkpoint with the reference's key names becomes one of ours."""

from __future__ import annotations

import argparse

SUMMARY = "convert a released checkpoint into a folder that every command reads"
USAGE = "SRC DST [--prompts FILE|DIR]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("src", metavar="SRC", help="folder of the released checkpoint (safetensors or .bin)")
    parser.add_argument("dst", metavar="DST", help="new folder to write")
    parser.add_argument(
        "--prompts",
        metavar="FILE|DIR",
        help="system prompts: a JSON file, or your clone of the reference implementation",
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert; prints where the result is."""
    from vita.checkpoints import convert

    convert(arguments.src, arguments.dst, prompts=arguments.prompts)
    print(f"written: {arguments.dst}\ntry: vita ask --model {arguments.dst} 'What can you do?'")
    return 0

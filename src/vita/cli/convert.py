"""`vita convert`: a checkpoint with the reference's key names becomes one of ours, and back."""

from __future__ import annotations

import argparse
import sys

SUMMARY = "convert a released checkpoint into a folder that every command reads"
USAGE = "SRC DST [--base DIR] [--prompts FILE|DIR] [--back]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("src", metavar="SRC", help="folder of the released checkpoint (safetensors or .bin)")
    parser.add_argument("dst", metavar="DST", help="new folder to write; an interrupted conversion into it goes on")
    parser.add_argument(
        "--base",
        metavar="DIR",
        help="where SRC holds only what was trained (LoRA, non_lora_trainables.bin, mm_projector.bin): its base",
    )
    parser.add_argument(
        "--prompts",
        metavar="FILE|DIR",
        help="system prompts: a JSON file, or your clone of the reference implementation",
    )
    parser.add_argument("--back", action="store_true", help="SRC was converted: write the reference's files again")


def run(arguments: argparse.Namespace) -> int:
    """Convert; prints where the result is."""
    from vita.errors import ConfigError

    if arguments.back:
        if arguments.base or arguments.prompts:
            raise ConfigError("--back takes neither --base nor --prompts")
        from vita.checkpoints import convert_back

        print(f"written: {arguments.dst}, {len(convert_back(arguments.src, arguments.dst))} files")
        return 0
    from vita.checkpoints import convert

    convert(arguments.src, arguments.dst, base=arguments.base, prompts=arguments.prompts, progress=_show)
    print(f"written: {arguments.dst}\ntry: vita ask --model {arguments.dst} 'What can you do?'")
    return 0


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

"""Options that several subcommands of `vita data` share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_file_options(parser: argparse._ActionsContainer, *, several: bool = True) -> None:
    """Adds FILE, --root and --folders."""
    text = "training data: .json (a list, the reference's) or .jsonl"
    if several:
        parser.add_argument("files", metavar="FILE", nargs="+", help=text)
    else:
        parser.add_argument("file", metavar="FILE", help=text)
    parser.add_argument("--root", metavar="DIR", type=Path, help="folder of the media (default: that of the file)")
    parser.add_argument(
        "--folders",
        metavar="TABLE",
        type=Path,
        help="YAML or JSON: sets {name: folder}, audio, default; folders relative to it",
    )


def add_workers_option(parser: argparse._ActionsContainer) -> None:
    """Adds --workers."""
    parser.add_argument("--workers", metavar="N", type=int, help="processes (default: one for each core)")


def num_workers(arguments: argparse.Namespace) -> int:
    """As many as asked for, else one for each core that this process may use."""
    if arguments.workers is not None:
        return max(1, arguments.workers)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1

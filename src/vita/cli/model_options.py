"""The options with which a command chooses its model, device and number format. Used by `ask` and `eval`."""

from __future__ import annotations

import argparse

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def add_model_options(parser: argparse._ActionsContainer) -> None:
    """Adds --model, --device, --dtype."""
    parser.add_argument(
        "--model", metavar="NAME|DIR|HUB-ID", default="pocket", help="the model (default: pocket, embedded)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where it runs (default: auto)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="its number format (default: auto)")

"""The options with which a command chooses its model, where it goes and its number format.

Used by `ask`, `eval`, `live` and `serve`.
"""

from __future__ import annotations

import argparse
from typing import Any

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")


def add_model_options(parser: argparse._ActionsContainer) -> None:
    """Adds --model, --device, --dtype."""
    parser.add_argument(
        "--model", metavar="NAME|DIR|HUB-ID", default="pocket", help="the model (default: pocket, embedded)"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where it runs (default: auto)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="its number format (default: auto)")


def add_placement_options(parser: argparse._ActionsContainer) -> None:
    """Adds how a large model is placed."""
    parser.add_argument(
        "--device-map",
        metavar="MAP",
        help="spread a large model over all devices, memory and disk: auto, balanced, sequential, or a JSON file",
    )
    parser.add_argument("--quantize", choices=("int8", "int4"), help="the language model's matrices in 8 or 4 bits")
    parser.add_argument("--offload-dir", metavar="DIR", help="where weights go that a device map puts on the disk")


def loading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `vita.load` is told, the model's name left out."""
    options = {"device": arguments.device, "dtype": arguments.dtype}
    names = ("device_map", "quantize", "offload_dir")
    return options | {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}

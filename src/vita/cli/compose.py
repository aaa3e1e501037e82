"""`vita compose`: a new model from a language model, a vision encoder and an audio encoder."""

from __future__ import annotations

import argparse

from vita.cli.model_options import DTYPES

SUMMARY = "make a new model from a language model, a vision encoder and an audio encoder"
USAGE = "--llm ID --vision ID --audio ID OUT [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("out", metavar="OUT", help="new folder to write")
    parts = parser.add_argument_group("parts, each a folder or an id on the hub")
    parts.add_argument("--llm", metavar="ID", required=True, help="a causal language model")
    parts.add_argument("--vision", metavar="ID", required=True, help="InternViT, SigLIP, CLIP, or a model of ours")
    parts.add_argument("--audio", metavar="ID", required=True, help="a VITA audio encoder, Whisper, or a model of ours")
    parser.add_argument(
        "--template", metavar="NAME", default="auto", help="prompt format (default: the tokenizer's own if it can be)"
    )
    parser.add_argument("--max-tiles", metavar="N", type=int, default=12, help="most tiles of a picture (default: 12)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="number format (default: the language model's)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the new connectors (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Compose; prints the parts and what to do next."""
    from vita.checkpoints import compose

    made = compose(
        arguments.llm,
        arguments.vision,
        arguments.audio,
        arguments.out,
        template=arguments.template,
        max_tiles=arguments.max_tiles,
        dtype=arguments.dtype,
        seed=arguments.seed,
    )
    for name, count in made.parameters.items():
        print(f"{name:<18}{count / 1e6:10.1f} M parameters" + (", new" if name.endswith("connector") else ""))
    print(f"prompt format: {made.template}\nwritten: {arguments.out}; train its connectors next: docs/models.md")
    return 0

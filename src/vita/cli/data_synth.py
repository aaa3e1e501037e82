"""`vita data synth`: spoken training data of a user's own questions and answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vita.cli.data_options import add_workers_option, num_workers

SUMMARY = "make spoken questions and noise clips of your own text"
USAGE = "TEXT.jsonl --out DIR [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand's arguments."""
    parser.add_argument("text", metavar="TEXT.jsonl", type=Path, help='lines of {"question": ..., "answer": ...}')
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for data.jsonl and audio/*.wav")
    parser.add_argument(
        "--voice",
        metavar="NAME",
        action="append",
        default=[],
        help="who speaks: en-us+m3, cmn+f2, flite:awb; repeatable (default: the training voices)",
    )
    parser.add_argument(
        "--noise-share", metavar="X", type=float, default=0.2, help="noise clips for each question (default: 0.2)"
    )
    parser.add_argument(
        "--noise-replies", metavar="FILE", type=Path, help="what is replied to noise, one a line (default: nothing)"
    )
    parser.add_argument("--noise", metavar="FILE", type=Path, nargs="+", default=[], help="recordings to mix in")
    parser.add_argument(
        "--snr",
        metavar="DB",
        type=float,
        nargs="+",
        default=[0, 5, 10, 20],
        help="at these ratios (default: 0 5 10 20)",
    )
    parser.add_argument(
        "--mixed-share", metavar="X", type=float, default=0.5, help="share of clips with a recording (default: 0.5)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another one, other draws (default: 0)")
    add_workers_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Speak; what was made goes to stdout."""
    from vita.data.spoken_set import SpeechRules, make_set, parse_voice, read_rows
    from vita.errors import DataError

    replies = ("",)
    if arguments.noise_replies is not None:
        try:
            text = arguments.noise_replies.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {arguments.noise_replies}", got=error) from error
        replies = tuple(line.strip() for line in text.splitlines() if line.strip())
    rules = SpeechRules(
        voices=tuple(parse_voice(name) for name in arguments.voice),
        noise_share=arguments.noise_share,
        noise_replies=replies,
        recordings=tuple(arguments.noise),
        snrs_db=tuple(arguments.snr),
        mixed_share=arguments.mixed_share,
        seed=arguments.seed,
    )
    questions, noise, seconds = make_set(
        read_rows(arguments.text), rules, arguments.out, workers=num_workers(arguments), progress=sys.stderr.isatty()
    )
    print(f"{questions} spoken questions, {noise} noise clips, {seconds / 60:.1f} minutes: {arguments.out}/data.jsonl")
    return 0

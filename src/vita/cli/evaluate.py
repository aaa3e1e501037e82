"""`vita eval`: measure a model, print the tables, write a report; or compare two runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from vita.cli.model_options import add_model_options
from vita.errors import ConfigError
from vita.evaluate.names import MODULES

SUMMARY = "measure a model, write a report; compare two runs"
USAGE = "TASK... [options]\n       vita eval compare A B [--out DIR]"
SYSTEMS = ("model", "vad-only", "no-barge-in", "recorded")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("tasks", metavar="TASK", nargs="+", help=f"what to measure: {', '.join(MODULES)}")
    add_model_options(parser)
    parser.add_argument("--data", metavar="DIR", type=Path, help="folder of the data; see docs/evaluation.md")
    parser.add_argument("--limit", metavar="N", type=int, help="at most N cases of each group")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="write the report there; the same command again goes on where it ended"
    )
    others = parser.add_argument_group("instead of the model")
    others.add_argument("--url", metavar="URL", help="measure an OpenAI-compatible server")
    others.add_argument(
        "--system", choices=SYSTEMS, default="model",
        help="live conversations: a baseline on the same model, or the recorded output files in --data",
    )  # fmt: skip
    more = parser.add_argument_group("more")
    more.add_argument("--judge", metavar="URL", help="an OpenAI-compatible server that rates answers")
    more.add_argument("--judge-model", metavar="NAME", default="default", help="its model")
    more.add_argument("--benchmarks", metavar="NAME,...", default="", help="tasks of the harness of language or vision")
    more.add_argument("--sessions", metavar="N,...", default="1,4,8", help="conversations at once (default: 1,4,8)")


def run(arguments: argparse.Namespace) -> int:
    """Measure or compare; tables go to stdout."""
    from vita import evaluate

    if arguments.tasks[0] == "compare":
        if len(arguments.tasks) != 3:
            raise ConfigError("compare takes two folders", got=len(arguments.tasks) - 1, fix="vita eval compare A B")
        evaluate.compare(Path(arguments.tasks[1]), Path(arguments.tasks[2]), arguments.out)
        return 0
    from vita.evaluate.measuring import Settings

    settings = Settings(
        model=arguments.model, device=arguments.device, dtype=arguments.dtype, data=arguments.data,
        limit=arguments.limit, out=arguments.out, system=arguments.system, url=arguments.url, judge=arguments.judge,
        judge_model=arguments.judge_model, benchmarks=tuple(filter(None, arguments.benchmarks.split(","))),
        sessions=_numbers(arguments.sessions),
    )  # fmt: skip
    evaluate.run(arguments.tasks, settings)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError("--sessions takes numbers", got=text, expected="such as 1,4,8") from error

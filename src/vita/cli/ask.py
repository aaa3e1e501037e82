"""`vita ask`: one question (typed, spoken, on a picture or a clip) or a file of them; the answer as it is written.

Path of a question: here -> vita.api -> media, chat -> engine -> here (terminal, JSON, speech).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vita.cli.model_options import add_model_options, add_placement_options, loading_options
from vita.errors import ConfigError, PromptError

if TYPE_CHECKING:
    from vita.api import Answer, Assistant

SUMMARY = "ask a model: typed, spoken, on a picture or a clip"
USAGE = "[QUESTION] [options]"
_ONE_QUESTION = ("question", "image", "video", "audio", "speak")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="the question, in quotes")
    media = parser.add_argument_group("what it sees and hears")
    media.add_argument("--image", metavar="PATH|URL", action="append", help="a picture; repeatable")
    media.add_argument("--video", metavar="PATH|URL", help="a clip")
    media.add_argument("--audio", metavar="PATH|URL", help="sound: a spoken question, or noise")
    model = parser.add_argument_group("the model")
    add_model_options(model)
    add_placement_options(model)
    model.add_argument("--system", metavar="TEXT", help="system prompt instead of the model's own")
    reply = parser.add_argument_group("the reply")
    reply.add_argument("--max-new-tokens", metavar="N", type=int, default=256, help="at most N tokens (default: 256)")
    reply.add_argument("--temperature", metavar="T", type=float, default=0.0, help="0: the likeliest words (default)")
    reply.add_argument("--seed", metavar="S", type=int, help="for the same words at a temperature above 0")
    reply.add_argument(
        "--state", choices=("auto", "answer"), default="auto", help="answer: also what sounds like no question"
    )
    reply.add_argument("--json", action="store_true", help="print one JSON object: state, text, usage, timing_ms")
    reply.add_argument("--speak", metavar="OUT.wav", help="also speak the answer into a file")
    batch = parser.add_argument_group("many questions")
    batch.add_argument(
        "--batch",
        metavar="FILE.jsonl",
        help="one JSON object a line: id, question, image, video, audio (paths relative to the file)",
    )
    batch.add_argument(
        "--output", metavar="FILE.jsonl", help="where the lines go, with state and text; continued if it exists"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask; 0 also when the model stays silent."""
    _check(arguments)
    if arguments.batch is not None:
        from vita.cli.ask_batch import run_batch

        return run_batch(arguments)
    from vita.api import load

    assistant = load(arguments.model, **loading_options(arguments))
    answer = _ask(assistant, arguments)
    if arguments.speak:
        _speak(answer, arguments.speak)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """What can be known to be wrong before the model is loaded."""
    if arguments.batch is not None:
        extra = [name for name in _ONE_QUESTION if getattr(arguments, name)]
        if extra:
            raise ConfigError(
                f"--batch does not go with {_option(extra[0])}", fix="put it into the file, or leave it out"
            )
    elif arguments.output is not None:
        raise ConfigError("--output is for --batch", fix="redirect the output of one question with > FILE")
    elif arguments.question is None and arguments.audio is None:
        raise PromptError(
            "no question at all", fix="type one, as in `vita ask 'What can you do?'`, or give --audio FILE"
        )
    if arguments.max_new_tokens < 1:
        raise ConfigError("--max-new-tokens is too small", got=arguments.max_new_tokens, expected="1 or more")
    if not 0 <= arguments.temperature <= 10:
        raise ConfigError("--temperature is out of range", got=arguments.temperature, expected="0 to 10")
    if arguments.speak and (Path(arguments.speak).suffix.lower() != ".wav" or Path(arguments.speak).is_dir()):
        raise ConfigError("--speak writes a WAV file", got=arguments.speak, expected="a name that ends with .wav")


def _option(name: str) -> str:
    return "a QUESTION" if name == "question" else f"--{name}"


def _ask(assistant: Assistant, arguments: argparse.Namespace) -> Answer:
    """Ask, and print the deltas as they come or one JSON object at the end."""
    stream = assistant.stream(
        arguments.question,
        image=arguments.image,
        video=arguments.video,
        audio=arguments.audio,
        system=arguments.system,
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        seed=arguments.seed,
        state=arguments.state,
    )
    for delta in stream:
        if not arguments.json:
            print(delta, end="", flush=True)
    answer = stream.answer()
    if arguments.json:
        print(json.dumps(answer.to_dict(), ensure_ascii=False))
    elif answer.text:
        print(flush=True)
    else:
        print(f"({answer.state.value}: nothing to answer)", file=sys.stderr)
    return answer


def _speak(answer: Answer, path: str) -> None:
    """The answer as sound; a file without samples when there is nothing to say."""
    from vita.speech import speak, write_wav

    samples, sample_rate_hz = speak(answer.text)
    write_wav(path, samples, sample_rate_hz)
    print(f"spoken: {path}, {len(samples) / sample_rate_hz:.1f} s", file=sys.stderr)

"""How long a spoken question keeps its speaker waiting: from the end of the sound to the first token of the reply.

Appended: the whole sound is read when it has ended. Heard: it was read while it arrived, in pieces of 100 ms; only its
last chunk and the end of the turn are left. Times are CPU milliseconds of one thread, medians, so that other load on
the machine matters little; noise stands in for speech, which takes the same work.

    python benchmarks/listening.py [--model pocket] [--seconds 2 20] [--turns 0] [--repeats 5] [--json]

With --turns the question comes after so many typed ones and their answers, which the model has read before.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import vita
from vita.chat.messages import Audio, Message
from vita.engine.protocol import Context, Engine, Listening, Sampling
from vita.tokens import State

SAMPLING = Sampling(max_new_tokens=1, state="answer")
PIECE = 1600


def cpu_ms(work: Callable[[], Any]) -> float:
    """CPU milliseconds that `work` takes."""
    started_s = time.process_time()
    work()
    return 1000 * (time.process_time() - started_s)


def answer(context: Context) -> None:
    """The state and the first token."""
    context.reply(SAMPLING).result()


def after_closing(listening: Listening, context: Context) -> None:
    """What is left to do when the speaker has ended."""
    listening.close()
    answer(context)


def opened(engine: Engine, turns: int) -> Context:
    """A conversation of so many turns, all of it read."""
    said = [Message.user("How many legs does a spider have?"), Message.assistant("Eight.", State.TYPED_QUERY)]
    context = engine.open(messages=turns * said)
    context.listen().cancel()
    return context


def appended(engine: Engine, samples: np.ndarray, turns: int) -> float:
    """CPU milliseconds to the first token without streaming."""
    context = opened(engine, turns)
    return cpu_ms(lambda: (context.append(Audio(samples)), answer(context)))


def heard(engine: Engine, samples: np.ndarray, turns: int) -> tuple[float, float, float]:
    """CPU milliseconds with streaming: to the first token, of all pushes for a second of sound, and of one probe."""
    context = opened(engine, turns)
    listening = context.listen()
    pieces = [samples[start : start + PIECE] for start in range(0, len(samples), PIECE)]
    pushing_ms = sum(cpu_ms(lambda piece=piece: listening.push(piece)) for piece in pieces)
    probing_ms = cpu_ms(listening.probe)
    listening.push(samples[:1])  # drops what the probe has read ahead
    return cpu_ms(lambda: after_closing(listening, context)), pushing_ms / listening.seconds, probing_ms


def measure(engine: Engine, seconds: float, turns: int, repeats: int) -> dict[str, float]:
    """Medians for a question of so many seconds after so many turns; the two ways alternate."""
    samples = np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)
    appended(engine, samples, turns), heard(engine, samples, turns)  # warm up
    runs = [(appended(engine, samples, turns), *heard(engine, samples, turns)) for _ in range(repeats)]
    names = ("appended", "heard", "push per second", "probe")
    medians = dict(zip(names, map(statistics.median, zip(*runs, strict=True)), strict=True))
    return {"seconds": seconds, "turns": turns, **medians}


def report(rows: list[dict[str, float]]) -> str:
    """The table."""
    lines = [f"{'CPU ms':>17}{'to the first token':>38}{'while it arrives':>34}"]
    lines.append(f"{'question':>10}{'turns':>7}{'appended':>20}{'heard':>18}{'a second of sound':>22}{'a probe':>12}")
    lines += [
        f"{row['seconds']:>8.0f} s{row['turns']:>7}{row['appended']:>20.1f}{row['heard']:>18.1f}"
        f"{row['push per second']:>22.1f}{row['probe']:>12.1f}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 20.0])
    parser.add_argument("--turns", type=int, nargs="+", default=[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object a line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    engine = vita.load(options.model, device="cpu", dtype="float32").engine
    rows = [measure(engine, seconds, turns, options.repeats) for turns in options.turns for seconds in options.seconds]
    print("\n".join(map(json.dumps, rows)) if options.json else report(rows))


if __name__ == "__main__":
    main()

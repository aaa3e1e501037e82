"""How many live conversations one accelerator carries: measured costs of the model, and a simulation of its users.

Measured on the device at hand: how long a forward pass takes for a number of new tokens (reading) and for a number of
conversations that write one token each. Both are taken as straight lines: a pass costs `base_ms`, `read_ms` for each
token read and `write_ms` for each token written (a line through the medians, not below zero).

Simulated: an engine that, as vLLM does, puts what waits to be read and one token for each open reply into one pass,
pass after pass. Each user speaks, waits for the answer, hears it and pauses, on and on; while he speaks, a piece of
sound is read every 640 ms. A number of users is carried if 95 of 100 first tokens come within --wait-ms of the end of
the speech and replies are written faster than they are spoken. The greatest such number is searched for.

    python benchmarks/capacity.py [--model pocket] [--device auto] [--dtype auto] [--costs costs.json] [--users 1000000]

Not simulated: the encoders, detection of turns, speech synthesis and the network, which scale with machines of their
own; users who all speak at once (their turns are independent here).
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

READ_SIZES, WRITE_SIZES, CONTEXT_TOKENS = (8, 64, 256), (1, 4, 16), 512


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Of one forward pass, in milliseconds; and of one token's keys and values, in bytes."""

    base_ms: float
    read_ms: float
    write_ms: float
    cache_bytes: int


@dataclass(frozen=True, kw_only=True)
class Habits:
    """Of a user; times are means of exponential distributions.

    speech_s: how long he speaks.
    pause_s: from the end of the answer to his next word.
    reply_tokens: length of an answer.
    heard_tokens_per_s: how fast an answer is spoken.
    piece_s, piece_tokens: sound is read in such pieces.
    turn_tokens: what the template adds to a turn.
    """

    speech_s: float = 4.0
    pause_s: float = 4.0
    reply_tokens: int = 40
    heard_tokens_per_s: float = 4.0
    piece_s: float = 0.64
    piece_tokens: int = 8
    turn_tokens: int = 8


@dataclass(order=True)
class Event:
    """Something that happens at a time: a piece of sound to be read (the last of its turn or not)."""

    at_s: float
    user: int
    tokens: int = field(compare=False)
    is_last: bool = field(compare=False)


@dataclass
class Outcome:
    """What a simulation saw: waits for the first token, in ms, and how busy the engine was (0 to 1)."""

    waits_ms: list[float]
    slowest_reply: float
    busy: float

    def p95_ms(self) -> float:
        """95 of 100 waits were no longer."""
        return sorted(self.waits_ms)[int(0.95 * (len(self.waits_ms) - 1))] if self.waits_ms else math.inf


class Simulation:
    """Users at one engine, from their first words to `seconds`.

    Args:
        costs: of the engine.
        habits: of every user.
        users: how many.
        seed: same numbers, same outcome.
    """

    def __init__(self, costs: Costs, habits: Habits, users: int, seed: int = 0) -> None:
        self._costs, self._habits, self._random = costs, habits, random.Random(seed)
        self._events: list[Event] = []
        self._left: dict[int, int] = {}  # tokens that a reply still lacks
        self._began_s: dict[int, tuple[float, int]] = {}
        self._waits_ms: list[float] = []
        self._speeds: list[float] = []
        for user in range(users):
            self._speak(user, self._random.uniform(0, habits.speech_s + habits.pause_s))

    def run(self, seconds: float) -> Outcome:
        """Pass after pass."""
        now_s = busy_s = 0.0
        while now_s < seconds:
            if not self._left and self._events[0].at_s > now_s:
                now_s = self._events[0].at_s
            arrived = []
            while self._events and self._events[0].at_s <= now_s:
                arrived.append(heapq.heappop(self._events))
            tokens = sum(event.tokens for event in arrived)
            took_ms = self._costs.base_ms + self._costs.read_ms * tokens + self._costs.write_ms * len(self._left)
            now_s += took_ms / 1000
            busy_s += took_ms / 1000
            self._write(now_s)
            for event in arrived:
                if event.is_last:
                    self._waits_ms.append(1000 * (now_s - event.at_s))
                    self._begin(event.user, now_s)
        return Outcome(self._waits_ms, min(self._speeds, default=math.inf), min(1.0, busy_s / now_s))

    def _speak(self, user: int, start_s: float) -> None:
        habits = self._habits
        length_s = self._random.expovariate(1 / habits.speech_s)
        pieces = int(length_s / habits.piece_s)
        for piece in range(1, pieces + 1):
            heapq.heappush(self._events, Event(start_s + piece * habits.piece_s, user, habits.piece_tokens, False))
        rest = habits.piece_tokens // 2 + habits.turn_tokens
        heapq.heappush(self._events, Event(start_s + length_s, user, rest, True))

    def _begin(self, user: int, now_s: float) -> None:
        length = 1 + round(self._random.expovariate(1 / self._habits.reply_tokens))
        self._left[user], self._began_s[user] = length, (now_s, length)

    def _write(self, now_s: float) -> None:
        for user in list(self._left):
            self._left[user] -= 1
            if not self._left[user]:
                del self._left[user]
                began_s, length = self._began_s.pop(user)
                self._speeds.append(length / max(now_s - began_s, 1e-9))
                heard_s = max(now_s, began_s + length / self._habits.heard_tokens_per_s)
                self._speak(user, heard_s + self._random.expovariate(1 / self._habits.pause_s))


def is_carried(costs: Costs, habits: Habits, users: int, *, wait_ms: float, seconds: float) -> bool:
    """Whether so many users are served well."""
    outcome = Simulation(costs, habits, users).run(seconds)
    return outcome.p95_ms() <= wait_ms and outcome.slowest_reply >= habits.heard_tokens_per_s


def most_users(costs: Costs, habits: Habits, *, wait_ms: float, seconds: float) -> int:
    """The greatest number of users that is carried; within 2 in 100."""
    carried, refused = 0, 1
    while refused < 1 << 17 and is_carried(costs, habits, refused, wait_ms=wait_ms, seconds=seconds):
        carried, refused = refused, 2 * refused
    while refused - carried > max(1, carried // 50):
        middle = (carried + refused) // 2
        if is_carried(costs, habits, middle, wait_ms=wait_ms, seconds=seconds):
            carried = middle
        else:
            refused = middle
    return carried


def measure(model_name: str, device: str, dtype: str, repeats: int) -> Costs:
    """Costs of a model's language model on a device, over a context of 512 tokens; CPU time where that is a CPU."""
    import torch

    from vita import checkpoints
    from vita.engine.prefix import new_cache

    model, _ = checkpoints.load(model_name, device=device, dtype=dtype)
    on_gpu = model.device.type == "cuda"

    @torch.inference_mode()
    def pass_ms(rows: int, tokens: int) -> float:
        cache = new_cache(model)
        model(input_ids=torch.ones(rows, CONTEXT_TOKENS, dtype=torch.int64, device=model.device), past_key_values=cache)
        ids = torch.ones(rows, tokens, dtype=torch.int64, device=model.device)

        def once() -> None:
            model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache.crop(-tokens)
            if on_gpu:
                torch.cuda.synchronize()

        once()
        return statistics.median(elapsed_ms(once, time.perf_counter if on_gpu else time.process_time, repeats))

    read_base, read_ms = line([(size, pass_ms(1, size)) for size in READ_SIZES])
    write_base, write_ms = line([(size, pass_ms(size, 1)) for size in WRITE_SIZES])
    text = model.config.text_config
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    cache_bytes = 2 * text.num_hidden_layers * heads * head_dim * model.dtype.itemsize
    base_ms = max(min(read_base, write_base), 0.0)
    return Costs(base_ms=base_ms, read_ms=read_ms, write_ms=write_ms, cache_bytes=cache_bytes)


def elapsed_ms(work: Callable[[], None], clock: Callable[[], float], repeats: int) -> list[float]:
    """Times of `work`."""
    found = []
    for _ in range(repeats):
        started_s = clock()
        work()
        found.append(1000 * (clock() - started_s))
    return found


def line(points: list[tuple[int, float]]) -> tuple[float, float]:
    """Start and slope of the straight line that fits best; the slope is not below zero."""
    slope, start = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return start, max(slope, 0.0)


def main() -> None:
    """Measures or reads the costs, searches, prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--costs", type=Path, help="costs measured elsewhere, as they are printed here")
    parser.add_argument("--wait-ms", type=float, default=300.0)
    parser.add_argument("--seconds", type=float, default=60.0, help="simulated")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--kept-tokens", type=int, default=2048, help="of a conversation, in the cache")
    arguments = parser.parse_args()
    if arguments.costs:
        costs = Costs(**json.loads(arguments.costs.read_text(encoding="utf-8"))["costs"])
    else:
        costs = measure(arguments.model, arguments.device, arguments.dtype, arguments.repeats)
    carried = most_users(costs, Habits(), wait_ms=arguments.wait_ms, seconds=arguments.seconds)
    found = {
        "costs": asdict(costs),
        "habits": asdict(Habits()),
        "carried": carried,
        "cache_gib": round(carried * arguments.kept_tokens * costs.cache_bytes / 2**30, 2),
        "devices_for_users": math.ceil(arguments.users / carried) if carried else None,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""The vLLM engine beside the local engine, in one run: throughput, live latency, prefix-cache hits while sound arrives.

Throughput: 1, 4 and 16 clients that each ask one question after the other; every question is different (sums, pictures
and spoken questions with a little noise of their own), so that no cache holds it. Batch: the local engine's own batches
of that size. Live: a sound is pushed in pieces of 100 ms as fast as it is taken; then the time to the first token.
Questions a second and latencies are by the clock on the wall; CPU milliseconds of all processes, the server's included,
hold on a machine that has other work, too.

    python benchmarks/vllm.py [--model pocket] [--url URL --server-pid PID] [--clients 1 4 16] [--questions 48]

With --url the server must run on this machine, with --enable-mm-embeds, as docs/vllm.md says.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import vita
from vita.api import load_vllm
from vita.chat.messages import Audio, Image, Message
from vita.engine.protocol import Engine, Sampling
from vita.engine.vllm import VllmEngine
from vita.media import SAMPLE_RATE_HZ, load_audio, load_image

EXAMPLES = Path(__file__).parents[1] / "examples"
PIECE = SAMPLE_RATE_HZ // 10
ANSWERED = Sampling(max_new_tokens=32, state="answer")
OPTIONS = ["--max-num-seqs=16", "--block-size=32", "--enforce-eager"]


def questions(count: int, seed: int) -> list[list[Message]]:
    """So many conversations, no two alike: a third typed, a third on a picture, a third spoken."""
    random = np.random.default_rng(seed)
    picture, sound = load_image(EXAMPLES / "shapes.png"), load_audio(EXAMPLES / "capital_en.wav")
    found = []
    for index in range(count):
        if index % 3 == 0:
            words = f"what is {random.integers(100000)} plus {random.integers(100000)}?"
            found.append([Message.user(words)])
        elif index % 3 == 1:
            shown = picture.copy()
            shown.putpixel((0, 0), tuple(int(value) for value in random.integers(256, size=3)))
            found.append([Message.user(Image(shown), "where is the star?")])
        else:
            noise = random.standard_normal(len(sound)).astype(np.float32) * 1e-3
            found.append([Message.user(Audio(sound + noise))])
    return found


class Timer:
    """Wall and CPU time of pieces of work. `server_pid`: the process that, with its children, works for this one."""

    def __init__(self, server_pid: int | None) -> None:
        self._server_pid = server_pid

    def __call__(self, work: Callable[[], list[Any]]) -> tuple[float, float, list[Any]]:
        """Seconds of the clock on the wall, seconds of CPU, and what `work` gives."""
        started_s, cpu_s = time.perf_counter(), self._cpu_s()
        results = work()
        return time.perf_counter() - started_s, self._cpu_s() - cpu_s, results

    def _cpu_s(self) -> float:
        total_s = time.process_time()
        if self._server_pid is not None:
            server = psutil.Process(self._server_pid)
            for process in (server, *server.children(recursive=True)):
                times = process.cpu_times()
                total_s += times.user + times.system
        return total_s


def throughput(timed: Timer, engine: Engine, asked: Sequence[Sequence[Message]], clients: int) -> dict[str, float]:
    """Questions a second, and the median time of one."""

    def ask(messages: Sequence[Message]) -> Any:
        return engine.open(messages=messages).reply(ANSWERED).result()

    with ThreadPoolExecutor(clients) as pool:
        wall_s, cpu_s, results = timed(lambda: list(pool.map(ask, asked)))
    latency_ms = statistics.median(result.timing.total_ms for result in results)
    return {**per_question(len(asked), wall_s, cpu_s), "latency_ms": latency_ms}


def per_question(count: int, wall_s: float, cpu_s: float) -> dict[str, float]:
    """What questions took."""
    return {"questions_per_s": count / wall_s, "cpu_ms_per_question": 1e3 * cpu_s / count}


def batched(timed: Timer, engine: Engine, asked: Sequence[Sequence[Message]], size: int) -> dict[str, float]:
    """The same by batches."""
    chunks = [asked[start : start + size] for start in range(0, len(asked), size)]
    wall_s, cpu_s, _ = timed(lambda: [result for chunk in chunks for result in engine.batch(chunk, ANSWERED)])
    return per_question(len(asked), wall_s, cpu_s)


def live(timed: Timer, engine: Engine, samples: np.ndarray) -> dict[str, float]:
    """Milliseconds: of the pushes for one second of sound, of a probe, and from closing to the first token."""
    listening = (context := engine.open()).listen()
    pieces = [samples[start : start + PIECE] for start in range(0, len(samples), PIECE)]
    pushed_s, pushing_s, _ = timed(lambda: [listening.push(piece) for piece in pieces])
    probed_s, _, _ = timed(lambda: [listening.probe()])
    sampling = Sampling(max_new_tokens=1, state="answer")
    answered_s, answering_s, _ = timed(lambda: [listening.close(), context.reply(sampling).result()])
    seconds = len(samples) / SAMPLE_RATE_HZ
    found = {"push_ms_per_s": pushed_s / seconds, "push_cpu_ms_per_s": pushing_s / seconds, "probe_ms": probed_s}
    found |= {"first_token_ms": answered_s, "first_token_cpu_ms": answering_s}
    return {name: 1e3 * value for name, value in found.items()}


def cache_counts(engine: VllmEngine) -> tuple[float, float]:
    """Tokens that the prefix cache was asked for since the server began, and those that it had."""
    text = engine.server._http.get("/metrics").text
    asked, had = (
        sum(float(value) for value in re.findall(rf"^vllm:prefix_cache_{name}_total\S* (\S+)$", text, re.MULTILINE))
        for name in ("queries", "hits")
    )
    return asked, had


def median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of several runs, value by value."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def rounded(value: Any) -> Any:
    """For printing."""
    return {name: round(one, 1) for name, one in value.items()} if isinstance(value, dict) else round(value, 3)


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--url")
    parser.add_argument("--server-pid", type=int)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    served: Any = load_vllm(arguments.model, arguments.url or (), dtype="float32", options=OPTIONS).engine
    local: Any = vita.load(arguments.model, dtype="float32").engine
    children = psutil.Process().children()
    pid = arguments.server_pid or (children[0].pid if children else None)
    engines = {"local": (Timer(None), local), "vllm": (Timer(pid), served)}
    found: dict[str, Any] = {}
    for seed, clients in enumerate(arguments.clients):
        asked = questions(arguments.questions, seed)
        for name, (timed, engine) in engines.items():
            throughput(timed, engine, questions(clients, 100 + seed), clients)
            found[f"{name}, {clients} clients"] = throughput(timed, engine, asked, clients)
        found[f"local, batches of {clients}"] = batched(Timer(None), local, asked, clients)
    for name, (timed, engine) in engines.items():
        before, runs = cache_counts(served), []
        for seed in range(arguments.repeats):
            noise = np.random.default_rng(seed).standard_normal(int(arguments.seconds * SAMPLE_RATE_HZ))
            runs.append(live(timed, engine, noise.astype(np.float32) * 0.1))
        found[f"{name}, live"] = median(runs)
        asked_for, had = (after - earlier for after, earlier in zip(cache_counts(served), before, strict=True))
        if asked_for:
            found[f"{name}, prefix-cache hit rate while sound arrives"] = had / asked_for
    found = {name: rounded(value) for name, value in found.items()}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""Many live conversations at once: `vita serve` under load, as its clients see it.

    python benchmarks/realtime_load.py [--sessions 4] [--minutes 1] [--idle 200] [--patience 30]

Every session asks spoken questions without a pause, at the pace of speech, and hears the answers out. Measured are
the times from the last voice of a question, when it was sent, to the first sound of its answer, on the machine's clock;
then what becomes of one session more, of connections that send nothing, and of a client that does not read. Memory is
that of the server: pages of its own, apart from those of files (libraries, weights) that it has touched.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

EXAMPLES = Path(__file__).parents[1] / "examples"
QUESTIONS = ("colour_en.wav", "animal_zh.wav", "capital_en.wav")
RATE_HZ = 16_000
FRAME_S = 0.04


@dataclass
class Tally:
    """What all sessions have seen."""

    patience_s: float
    num_asked: int = 0
    num_answered: int = 0
    num_unanswered: int = 0
    num_lost: int = 0
    first_audio_s: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument(
        "--patience", type=float, default=30.0, help="seconds from a question on in which it is answered"
    )
    options = parser.parse_args()
    command = [sys.executable, "-m", "vita.cli.main", "serve", "--port", "0", "--max-sessions", str(options.sessions)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://(\S+?):(\d+)", server.stdout.readline())
        assert found is not None
        asyncio.run(measure(server.pid, found[1], int(found[2]), options))
    finally:
        server.terminate()
        server.wait()
    print(f"SIGTERM: exit code {server.returncode}")


async def measure(pid: int, host: str, port: int, options: argparse.Namespace) -> None:
    url = f"ws://{host}:{port}/v1/realtime"
    cores = sorted(os.sched_getaffinity(0))
    print(f"{options.sessions} sessions, {options.minutes:g} min, cores {cores} of {os.cpu_count()}", flush=True)
    sounds = [load(name) for name in QUESTIONS]
    print("server at the start:", memory(pid))
    for number in range(len(sounds)):
        await talk(url, sounds, number, time.monotonic() + 1, Tally(options.patience))
    await asyncio.sleep(2)  # their places are free
    print("server when one client has talked:", memory(pid), flush=True)
    tally = Tally(options.patience)
    until_s = time.monotonic() + 60 * options.minutes
    used_s = cpu_s(pid)
    watch = asyncio.create_task(watch_memory(pid))
    talks = [asyncio.create_task(talk(url, sounds, n, until_s, tally)) for n in range(options.sessions)]
    await asyncio.sleep(5)
    print("one more:", await refused(url))
    print(f"{options.idle} that send nothing:", await idle(url, options.idle), memory(pid), flush=True)
    await asyncio.gather(*talks)
    used_s = cpu_s(pid) - used_s
    watch.cancel()
    print(f"asked {tally.num_asked}, answered {tally.num_answered}, not answered {tally.num_unanswered}", end=", ")
    print(f"connections lost {tally.num_lost}")
    for share in (50, 95, 100) if tally.first_audio_s else ():
        print(f"first audio p{share}: {1000 * np.percentile(tally.first_audio_s, share):.0f} ms")
    print(f"server: {used_s / 60 / options.minutes:.2f} cores, {memory(pid)} when all have left")
    print("a client that does not read:", await slow_reader(host, port), memory(pid))


def load(name: str) -> tuple[np.ndarray, int]:
    """A question as int16 at 16 kHz, and where its last voice ends (samples)."""
    samples, rate_hz = soundfile.read(EXAMPLES / name, dtype="int16")
    assert rate_hz == RATE_HZ
    return samples, int(np.flatnonzero(np.abs(samples) > 700)[-1]) + 1


async def talk(url: str, sounds: list[tuple[np.ndarray, int]], number: int, until_s: float, tally: Tally) -> None:
    """Ask until the time has come, or the connection is lost."""
    try:
        await _talk(url, sounds, number, until_s, tally)
    except ConnectionClosed:
        tally.num_lost += 1


async def _talk(url: str, sounds: list[tuple[np.ndarray, int]], number: int, until_s: float, tally: Tally) -> None:
    async with connect(url, max_size=None, ping_interval=None) as client:
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        reader = asyncio.create_task(read(client, events))
        audio_format = {"type": "audio/pcm", "rate": RATE_HZ}
        await send(client, "session.update", session={"type": "realtime", "audio": {"input": {"format": audio_format}}})
        try:
            while time.monotonic() < until_s:
                samples, end = sounds[number % len(sounds)]
                number += 1
                tally.num_asked += 1
                await ask(client, events, samples, end, tally)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


async def ask(
    client: ClientConnection, events: asyncio.Queue[dict[str, Any]], samples: np.ndarray, end: int, tally: Tally
) -> None:
    """One question, at its own pace, then silence until its answer has been heard."""
    frame, position = int(FRAME_S * RATE_HZ), 0
    started_s, first_s = time.monotonic(), None
    while True:
        piece = samples[position : position + frame]
        piece = np.concatenate([piece, np.zeros(frame - len(piece), np.int16)])
        await send(client, "input_audio_buffer.append", audio=base64.b64encode(piece.tobytes()).decode())
        position += frame
        await asyncio.sleep(max(0.0, started_s + position / RATE_HZ - time.monotonic()))
        while not events.empty():
            event = events.get_nowait()
            if event["type"] == "response.output_audio.delta" and first_s is None:
                first_s = event["came_s"] - (started_s + end / RATE_HZ)
            if event["type"] == "response.done" and position > end and first_s is not None:
                tally.num_answered += 1
                tally.first_audio_s.append(first_s)
                return
        if time.monotonic() - started_s > tally.patience_s:
            tally.num_unanswered += 1
            return


async def read(client: ClientConnection, events: asyncio.Queue[dict[str, Any]]) -> None:
    async for message in client:
        events.put_nowait({**json.loads(message), "came_s": time.monotonic()})


async def send(client: ClientConnection, kind: str, **fields: Any) -> None:
    await client.send(json.dumps({"type": kind, **fields}))


async def refused(url: str) -> str:
    """What one connection that sends nothing is told first, and how it is closed."""
    try:
        async with connect(url, open_timeout=60) as client:
            event = json.loads(await client.recv())
            if event["type"] != "error":
                return "let in"
            try:
                await client.recv()
            except ConnectionClosed as closed:
                return f"{event['error']['code']}, closed with {closed.rcvd.code if closed.rcvd else None}"
            return "told, not closed"
    except (OSError, ConnectionClosed, TimeoutError) as error:
        return type(error).__name__


async def idle(url: str, number: int) -> dict[str, int]:
    """How many ended in which way."""
    ends = await asyncio.gather(*(refused(url) for _ in range(number)))
    return {end: ends.count(end) for end in sorted(set(ends))}


async def slow_reader(host: str, port: int) -> str:
    """A client that asks for events as fast as it may and reads none of them."""
    loop = asyncio.get_running_loop()
    quiet = socket.socket()
    quiet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    quiet.setblocking(False)
    await loop.sock_connect(quiet, (host, port))
    hello = f"GET /v1/realtime HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    hello += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    await loop.sock_sendall(quiet, hello.encode())
    text = json.dumps({"type": "session.update", "session": {"instructions": "x" * 20_000}}).encode()
    frame = b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text
    started_s = time.monotonic()
    try:
        while time.monotonic() - started_s < 60:
            await asyncio.wait_for(loop.sock_sendall(quiet, frame), 10)
    except (OSError, TimeoutError, asyncio.TimeoutError):
        return f"closed after {time.monotonic() - started_s:.1f} s;"
    finally:
        quiet.close()
    return "still open after 60 s;"


async def watch_memory(pid: int) -> None:
    """Print it once a minute."""
    while True:
        print(time.strftime("%H:%M:%S"), memory(pid), flush=True)
        await asyncio.sleep(60)


def memory(pid: int) -> str:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"(Rss\w+):\s+(\d+) kB", status))
    return f"{int(found['RssAnon']) / 1024:.0f} MB + {int(found['RssFile']) / 1024:.0f} MB of files"


def cpu_s(pid: int) -> float:
    """CPU time of a process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

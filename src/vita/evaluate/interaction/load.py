"""`vita eval load --url URL`: how soon a Realtime server answers spoken questions while it holds many conversations.

Every session sends a question at its own pace (pieces of 20 ms), then silence, and waits for the answer; the server's
own turn detection finds the end. Latency counts from the last voice of the question to the first sound of the answer,
on this machine's clock, network included. Speaks the events of OpenAI's Realtime interface: any such server will do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from vita.errors import ConfigError, DataError, DependencyError
from vita.evaluate import pocket_cases
from vita.evaluate.interaction.duplex_data import speech
from vita.evaluate.measuring import Run, Settings
from vita.evaluate.rows import Row, Score
from vita.evaluate.tables import Chart, Measure, Section, Series, by_group, figure
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.synth.voices import reserved_voice
from vita.synth.world import LANGUAGES

WIRE_RATE_HZ = 24_000
PIECE_S, TIMEOUT_S = 0.02, 30.0
_DEFAULT = 5
_FIRST_SOUND = ("response.output_audio.delta", "response.audio.delta")


def measure(run: Run) -> list[Row]:
    """`limit` questions in each of so many sessions at once, for every number of sessions."""
    settings = run.settings
    if settings.url is None:
        raise ConfigError("load measures a server", fix="give --url ws://localhost:8000/v1/realtime")
    questions = _questions(settings.data, settings.limit or _DEFAULT)
    rows: list[Row] = []
    for count in settings.sessions:
        rows += run.measure(
            [f"{count}/{session}/{turn}" for session in range(count) for turn in range(len(questions))],
            str,
            lambda _, count=count: asyncio.run(_hold(settings, questions, count)),
            batch=count * len(questions),
        )
    return rows


def _questions(folder: Path | None, count: int) -> list[np.ndarray]:
    """Float32 [num_samples] of 16 kHz, without silence around them."""
    if folder is not None:
        paths = sorted(folder.glob("*.wav"))[:count]
        if not paths:
            raise DataError(f"{folder} holds no questions", expected="*.wav")
        return [load_audio(path) for path in paths]
    rng = random.Random("load")
    found = []
    for number in range(count):
        lang = LANGUAGES[number % len(LANGUAGES)]
        found.append(speech(pocket_cases.fact_turn(rng, lang).question, reserved_voice(rng, lang)))
    return found


async def _hold(settings: Settings, questions: Sequence[np.ndarray], count: int) -> list[Row]:
    sessions = (_session(settings, questions, count, number) for number in range(count))
    return [row for rows in await asyncio.gather(*sessions) for row in rows]


async def _session(settings: Settings, questions: Sequence[np.ndarray], count: int, number: int) -> list[Row]:
    """One conversation; its questions start at a time of their own."""
    try:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException
    except ImportError as error:
        raise DependencyError("load needs websockets", fix="pip install 'vita-omni[serve]'") from error
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    address = websocket_address(settings)
    rows = []
    try:
        async with connect(address, additional_headers=headers, max_size=None) as socket:
            await asyncio.sleep(random.Random(f"load {count} {number}").uniform(0, 1))
            for turn, question in enumerate(questions):
                latency_s = await _ask(socket, question)
                rows.append(
                    Row(
                        task="load", case=f"{count}/{number}/{turn}", group=f"{count} at once",
                        scores=_scores(latency_s),
                    )
                )  # fmt: skip
    except (OSError, WebSocketException) as error:
        raise DependencyError(
            f"{address} does not hold a conversation", got=error, fix="is the server there?"
        ) from error
    return rows


def _scores(latency_s: float | None) -> dict[str, Score]:
    return {"answered": latency_s is not None, "latency_p50_s": latency_s, "latency_p95_s": latency_s}


def websocket_address(settings: Settings) -> str:
    """ws://.../v1/realtime?model=..., of that or of http://.../v1."""
    parts = urllib.parse.urlsplit(str(settings.url))
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss"):
        raise ConfigError("--url is no address of a server", got=settings.url, expected="ws:// or http://")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/realtime") else f"{path}/realtime"
    query = parts.query or urllib.parse.urlencode({"model": settings.model})
    return urllib.parse.urlunsplit((scheme, parts.netloc, path, query, ""))


async def _ask(socket: Any, question: np.ndarray) -> float | None:
    """Seconds from the end of the question to the first sound of the answer, which is heard out; None without one."""
    microphone, loop = _Microphone(socket), asyncio.get_running_loop()
    deadline_s = loop.time() + len(question) / SAMPLE_RATE_HZ + TIMEOUT_S
    sending = asyncio.create_task(microphone.speak(question))
    heard_s, num_bytes = None, 0
    try:
        while True:
            event = json.loads(await asyncio.wait_for(socket.recv(), deadline_s - loop.time()))
            if event["type"] == "error":
                message = event.get("error", {}).get("message")
                raise DependencyError("the server reports an error", got=message)
            if event["type"] in _FIRST_SOUND:
                heard_s = loop.time() if heard_s is None else heard_s
                num_bytes += len(base64.b64decode(event["delta"]))
            elif event["type"] == "response.done" and heard_s is not None:
                await asyncio.sleep(heard_s + num_bytes / 2 / WIRE_RATE_HZ - loop.time())
                break
    except asyncio.TimeoutError:
        pass
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return None if heard_s is None or microphone.ended_s is None else heard_s - microphone.ended_s


class _Microphone:
    """Sends a question and then silence, at the pace of the clock.

    ended_s: when the last piece of the question was sent, by the clock of the loop.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.ended_s: float | None = None

    async def speak(self, question: np.ndarray) -> None:
        """Runs until it is cancelled."""
        wire = soxr.resample(question, SAMPLE_RATE_HZ, WIRE_RATE_HZ)
        size, loop = int(PIECE_S * WIRE_RATE_HZ), asyncio.get_running_loop()
        started_s, number = loop.time(), 0
        while True:
            piece = wire[number * size : (number + 1) * size]
            samples = np.pad(piece, (0, size - len(piece)))
            audio = base64.b64encode((samples.clip(-1, 1) * 32767).astype("<i2").tobytes()).decode()
            await self._socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            number += 1
            if self.ended_s is None and number * size >= len(wire):
                self.ended_s = loop.time()
            await asyncio.sleep(started_s + number * PIECE_S - loop.time())


def sections(rows: Sequence[Row]) -> list[Section]:
    """By the number of sessions."""
    measures = [
        Measure("answered", "answered"), Measure("latency_p50_s", "median (s)", "p50"),
        Measure("latency_p95_s", "95th percentile (s)", "p95"),
    ]  # fmt: skip
    groups = list(dict.fromkeys(row.group for row in rows))
    series = []
    for measure_ in measures[1:]:
        figures = [figure([row for row in rows if row.group == group], measure_) for group in groups]
        intervals = [(one.low, one.high) for one in figures]
        series.append(
            Series(name=measure_.title, x=range(len(groups)), y=[f.value for f in figures], intervals=intervals)
        )
    chart = Chart(
        name="load", title="End of a question to the first sound", kind="bars", y_title="seconds", labels=groups,
        series=series,
    )  # fmt: skip
    text = "From the last voice of a spoken question to the first sound of its answer, as the client sees it."
    table = by_group(rows, measures, title="sessions")
    return [Section(title="Latency under load", text=text, tables=[table], charts=[chart])]

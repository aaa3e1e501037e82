"""A realtime conversation without a socket, on virtual time: what its client sends and when, and what it gets.

People, model and voice are those of `tests/duplex/stage.py`: a word is a second of sound, and sounds carry their kind
as their amplitude.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
from openai.types.realtime import realtime_server_event

from tests.duplex.stage import QUESTION, RATE_HZ, SIDE_TALK, WordsVoice, hears, script
from vita.clock import VirtualClock, run_virtual
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.scripted import ScriptedEngine
from vita.server.metrics import Metrics
from vita.server.realtime.configuration import Configuration
from vita.server.realtime.conversation import Conversation, LiveParts
from vita.server.settings import ServerSettings

__all__ = ["QUESTION", "RATE_HZ", "SIDE_TALK", "Show", "create", "perform", "text_item", "update"]
PCM_16 = {"type": "audio/pcm", "rate": 16_000}
MANUAL = {"turn_detection": None}
_CLASSES = get_args(get_args(realtime_server_event.RealtimeServerEvent)[0])
_OPENAI: dict[str, Any] = {get_args(known.model_fields["type"].annotation)[0]: known for known in _CLASSES}
Step = tuple[float, "dict[str, Any] | str | Callable[[Show], dict[str, Any]]"]
"""When, and what is sent: an event, bare text, or what a function makes of all that came so far."""


class Words:
    """Stands in for the server's Speaker."""

    def voice(self, name: str, *, speed: float = 1.0, param: str = "voice") -> WordsVoice:
        return WordsVoice()


class Show:
    """What came of it."""

    def __init__(self) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.metrics = Metrics()
        self.conversation: Conversation | None = None

    def kinds(self, *left_out: str) -> list[str]:
        """The types of all events, runs of the same one as one."""
        kinds = [event["type"] for _, event in self.events if event["type"] not in left_out]
        return [kind for before, kind in zip(["", *kinds], kinds, strict=False) if before != kind]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every event of a type."""
        return [event for _, event in self.events if event["type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The only event of a type."""
        (event,) = self.all(kind)
        return event

    def time(self, kind: str) -> float:
        """When the first event of a type came."""
        return next(at_s for at_s, event in self.events if event["type"] == kind)

    def sound(self) -> np.ndarray:
        """All sound of the answers: float32 at 16 kHz."""
        deltas = [base64.b64decode(event["delta"]) for event in self.all("response.output_audio.delta")]
        return np.frombuffer(b"".join(deltas), "<i2").astype(np.float32) / 32767

    @property
    def transcript(self) -> str:
        """All words of the answers."""
        return "".join(event["delta"] for event in self.all("response.output_audio_transcript.delta"))

    @property
    def said(self) -> list[tuple[str, str]]:
        """(role, text) of the history of the live session."""
        assert self.conversation is not None
        return [(message.role, message.text) for message in self.conversation.session.history]


def update(**settings: Any) -> dict[str, Any]:
    """session.update: input settings by name, other parts as they are."""
    parts = {name: settings.pop(name) for name in ("vita", "output_modalities", "instructions") if name in settings}
    audio = {"input": {"format": PCM_16, **settings}, "output": {"format": PCM_16}}
    return {"type": "session.update", "session": {"type": "realtime", "audio": audio, **parts}}


def text_item(text: str, **fields: Any) -> dict[str, Any]:
    """A typed message."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "conversation.item.create", "item": item, **fields}


def create(**response: Any) -> dict[str, Any]:
    """response.create."""
    return {"type": "response.create", **({"response": response} if response else {})}


def perform(
    seconds: float,
    *speech: tuple[float, float, float],
    steps: Sequence[Step] = (),
    chunk_s: float = 0.032,
    **settings: Any,
) -> Show:
    """So many seconds, in which (start, end, amplitude) is said and `steps` are sent; ended by closing."""
    show = Show()
    sound = np.zeros(int(seconds * RATE_HZ), np.float32)
    for start_s, end_s, amplitude in speech:
        sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = amplitude

    async def main() -> None:
        clock = VirtualClock()

        def emit(kind: str, **fields: Any) -> None:
            text = json.dumps({"type": kind, "event_id": "event_1", **fields})
            event = json.loads(text)
            if not kind.startswith("vita."):  # as the openai package knows it, which knows one rate only
                _OPENAI[kind].model_validate_json(text.replace('"rate": 16000', '"rate": 24000'))
            show.events.append((clock.now_s(), event))

        parts = LiveParts(
            engine=ScriptedEngine(script, hears), settings=ServerSettings(**settings), metrics=show.metrics,
            speaker=Words(), make_activity=ScriptedVoiceActivity, make_clock=lambda: clock,  # type: ignore[arg-type]
        )  # fmt: skip
        show.conversation = conversation = Conversation(parts, Configuration(model="pocket"), emit)
        await conversation.open()
        await conversation.handle(json.dumps(update()))
        due = sorted(steps, key=lambda step: step[0])
        for end_s in np.arange(1, round(seconds / chunk_s) + 1) * chunk_s:
            while due and due[0][0] <= end_s:
                at_s, sent = due.pop(0)
                await clock.sleep_until(at_s)
                sent = sent(show) if callable(sent) else sent
                await conversation.handle(sent if isinstance(sent, str) else json.dumps(sent))
            await clock.sleep_until(float(end_s))
            heard = sound[round((end_s - chunk_s) * RATE_HZ) : round(end_s * RATE_HZ)]
            data = base64.b64encode((heard * 32768).astype("<i2").tobytes()).decode()
            await conversation.handle(json.dumps({"type": "input_audio_buffer.append", "audio": data}))
        await conversation.close()
        assert not asyncio.all_tasks() - {asyncio.current_task()}

    run_virtual(main())
    return show

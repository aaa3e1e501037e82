"""One response on its way to the client of a realtime connection. Made by `telling.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from vita.server.realtime.configuration import Configuration
from vita.server.realtime.items import Item, Items, new_id
from vita.server.realtime.sound import encode
from vita.tokens import State

Emit = Callable[..., None]
"""Called with the type of an event, and its fields."""
Status = Literal["completed", "cancelled", "failed", "incomplete"]
_BLOCK_MS = 40.0
_NO_LIMITS = [{"name": name, "limit": None, "remaining": None, "reset_seconds": 0} for name in ("requests", "tokens")]


class Response:
    """Tells what becomes of one answer.

    Args:
        emit: sends an event.
        items: gets the answer's item.
        configuration: the session's, as it was when the response began.
        turn: the live session's number of the turn that is answered.
        metadata: the client's.

    item: the answer's; None before it began, and for noise.
    """

    def __init__(
        self, emit: Emit, items: Items, configuration: Configuration, turn: int, metadata: dict[str, str] | None = None
    ) -> None:
        self.id, self.turn = new_id("resp"), turn
        self.item: Item | None = None
        self.state: State | None = None
        self.text = ""
        self.ending = "stop"
        self.usage: dict[str, int] | None = None
        self.error: str | None = None
        self._emit, self._items, self._configuration, self._metadata = emit, items, configuration, metadata
        self._format = configuration.audio.output.format
        self._blocks: list[np.ndarray] = []
        self._block_ms = self._end_s = 0.0
        emit("response.created", response=self._wire("in_progress"))
        emit("rate_limits.updated", rate_limits=_NO_LIMITS)

    def begin(self, state: State) -> None:
        """The model answers, having taken the turn for this."""
        self.state = state
        if state is State.NOISE:
            return
        self.item = item = Item("assistant", [], key=("answer", self.turn), status="in_progress", state=state)
        before = self._items.add(item)
        self._emit("response.output_item.added", response_id=self.id, output_index=0, item=item.wire())
        self._emit("conversation.item.added", previous_item_id=before, item=item.wire())
        part = {"type": "audio", "transcript": ""} if self._configuration.speaks else {"type": "text", "text": ""}
        self._tell("response.content_part.added", part=part)

    def write(self, piece: str) -> None:
        """A piece of the text was written."""
        if not self._configuration.speaks:
            self.text += piece
            self._tell("response.output_text.delta", delta=piece)
        elif self._configuration.vita.events:
            self._tell("vita.output_text.delta", delta=piece)

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """A block of sound, to be played at `at_s` seconds on the session's clock."""
        if not self._configuration.speaks or self.item is None or not len(samples):
            return
        ms = 1000 * len(samples) / self._format.rate_hz
        self._end_s = at_s + ms / 1000
        self._blocks.append(samples)
        self._block_ms += ms
        self.item.sent_ms += ms
        if self._block_ms >= _BLOCK_MS:
            self._send_sound()

    def say(self, words: str) -> None:
        """The sound of these words has been handed out."""
        if self._configuration.speaks and self.item is not None:
            self.text += words
            self.item.words.append((self.item.sent_ms, words))
            self._tell("response.output_audio_transcript.delta", delta=words)

    def played_ms(self, now_s: float) -> float:
        """How much of its sound has been played by now: the client's word, or else as it is meant to be played."""
        if self.item is None:
            return 0.0
        meant_ms = max(0.0, self.item.sent_ms - 1000 * max(0.0, self._end_s - now_s))
        reported_ms = self.item.played_ms(now_s)
        return meant_ms if reported_ms is None else reported_ms

    def finish(self, status: Status, *, reason: str | None = None) -> None:
        """It has ended."""
        self._send_sound()
        if self.item is not None:
            self._finish_item(self.item, status)
        details: dict[str, Any] | None = None
        if status != "completed":
            details = {"type": status, "reason": reason}
            if self.error is not None:
                details = {"type": status, "error": {"type": "server_error", "code": None, "message": self.error}}
        self._emit("response.done", response=self._wire(status, details))

    def _finish_item(self, item: Item, status: Status) -> None:
        speaks = self._configuration.speaks
        name, field = ("output_audio", "transcript") if speaks else ("output_text", "text")
        item.status = "completed" if status == "completed" else "incomplete"
        item.content = [{"type": name, field: self.text}]
        if speaks:
            self._tell("response.output_audio.done")
            self._tell("response.output_audio_transcript.done", transcript=self.text)
        else:
            self._tell("response.output_text.done", text=self.text)
        self._tell("response.content_part.done", part={"type": "audio" if speaks else "text", field: self.text})
        self._emit("response.output_item.done", response_id=self.id, output_index=0, item=item.wire())
        self._emit("conversation.item.done", previous_item_id=None, item=item.wire())

    def _send_sound(self) -> None:
        if self._blocks:
            self._tell("response.output_audio.delta", delta=encode(np.concatenate(self._blocks), self._format))
            self._blocks, self._block_ms = [], 0.0

    def _tell(self, kind: str, **fields: Any) -> None:
        if self.item is not None:
            ids = {"response_id": self.id, "item_id": self.item.id, "output_index": 0, "content_index": 0}
            self._emit(kind, **ids, **fields)

    def _wire(self, status: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
        output = self._configuration.audio.output
        response = {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [] if self.item is None or status == "in_progress" else [self.item.wire()],
            "output_modalities": self._configuration.output_modalities,
            "audio": {"output": {"format": output.format.model_dump(), "voice": output.voice}},
            "max_output_tokens": self._configuration.max_output_tokens,
            "metadata": self._metadata,
            "usage": _usage(self.usage),
        }
        return response | ({} if self.state is None else {"vita": {"state": self.state.value}})


def _usage(usage: dict[str, int] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    audio, image, read = usage["audio_tokens"], usage["image_tokens"], usage["prompt_tokens"]
    details = {"audio_tokens": audio, "image_tokens": image, "text_tokens": read - audio - image, "cached_tokens": 0}
    return {
        "total_tokens": usage["total_tokens"],
        "input_tokens": read,
        "output_tokens": usage["completion_tokens"],
        "input_token_details": details,
        "output_token_details": {"text_tokens": usage["completion_tokens"], "audio_tokens": 0},
    }

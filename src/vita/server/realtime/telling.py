"""What a live session tells, as events for its client: turns of the user, and the response to each.

Used by `conversation.py`. The beginning of a turn that comes while an answer is played is told only when it has ended
that answer: clients fall silent at `speech_started`, and side talk is no reason to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vita.chat.messages import Message
from vita.clock import Clock
from vita.duplex.session import LiveEvent
from vita.server.metrics import Metrics
from vita.server.realtime.answer_voice import AnswerVoice
from vita.server.realtime.configuration import Configuration
from vita.server.realtime.items import Item, Items, new_id
from vita.server.realtime.response import Emit, Response
from vita.tokens import State


@dataclass
class _Turn:
    """A spoken turn: the id of its item, where it begins and ends, whether the client was told, its words."""

    item_id: str
    start_ms: int
    stop_ms: int | None = None
    stopped_s: float = 0.0
    is_told: bool = False
    words: str | None = None


class Telling:
    """See the top of the file; it is the live session's sink, too.

    Args:
        emit: sends an event.
        items: gets the items of turns and answers.
        configuration: the session's, as it is now.
        change: changes a message of the session's history, or takes it out.
        voice: the session's.
        clock: the session's.
        metrics: counts.

    response: the one that is on its way.
    unread: items that the client has made since the last answer began.
    """

    def __init__(
        self,
        *,
        emit: Emit,
        items: Items,
        configuration: Callable[[], Configuration],
        change: Callable[[Hashable, Message | None], None],
        voice: AnswerVoice,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._emit, self._items, self._configuration, self._change = emit, items, configuration, change
        self._voice, self._clock, self._metrics = voice, clock, metrics
        self.unread: list[Item] = []
        self._turns: dict[int, _Turn] = {}
        self._asked_s: float | None = None
        self.response: Response | None = None

    def __call__(self, event: LiveEvent) -> None:
        """What the session tells next."""
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler is not None:
            handler(event)

    def respond(self, turn: int, configuration: Configuration, metadata: dict[str, str] | None = None) -> Response:
        """A response to a turn begins."""
        self._voice.speaks = configuration.speaks
        self.response = Response(self._emit, self._items, configuration, turn, metadata)
        return self.response

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """See `vita.duplex.player.Sink`."""
        if self.response is None:
            return
        if self._asked_s is not None and len(samples):
            self._metrics.first_audio.observe(max(0.0, at_s - self._asked_s))
            self._asked_s = None
        self.response.play(at_s, samples)

    def write(self, turn: int, piece: str) -> None:
        """A piece of an answer's text was written."""
        if self.response is not None and self.response.turn == turn:
            self.response.write(piece)

    def drop(self) -> None:
        """The turn that was going on is forgotten."""
        if self._turns:
            self._turns.pop(max(self._turns))

    def _on_speech_start(self, event: LiveEvent) -> None:
        turn = self._turns[event["turn"]] = _Turn(new_id("item"), round(1000 * event["voice_s"]))
        if self.response is None:
            self._tell_start(turn)
        self._tell_ours("vita.speech_started", item_id=turn.item_id)

    def _on_speech_end(self, event: LiveEvent) -> None:
        turn = self._turns.get(event["turn"])
        if turn is None:
            return
        turn.stop_ms, turn.stopped_s = round(1000 * event["voice_s"]), self._clock.now_s()
        if turn.is_told:
            self._tell_stop(turn)

    def _on_state(self, event: LiveEvent) -> None:
        turn, state = self._turns.get(event["turn"]), State(event["state"])
        self._metrics.turns.labels(state.value).inc()
        if turn is None:
            return
        turn.words = event.get("heard")
        if state is State.NOISE or event.get("reason"):
            del self._turns[event["turn"]]
            self._commit(turn, State.NOISE, None)
            return
        if not turn.is_told:
            self._tell_start(turn)
            self._tell_stop(turn)
        if self.response is None:
            self._commit_question(event["turn"])

    def _on_interrupted(self, event: LiveEvent) -> None:
        """By a spoken turn (then that is committed now), by the client, or because it failed."""
        response, self.response = self.response, None
        if response is None:
            return
        self._tell_ours("vita.output_audio_buffer.cleared", response_id=response.id)
        if response.error is not None:
            response.finish("failed")
        else:
            is_turn = event.get("by") in self._turns
            self._metrics.interruptions.labels("turn" if is_turn else "client").inc()
            response.finish("cancelled", reason="turn_detected" if is_turn else "client_cancelled")
        if response.item is not None:
            self._cut(response, response.item)
        if event.get("by") in self._turns:
            self._commit_question(event["by"])

    def _cut(self, response: Response, item: Item) -> None:
        """Cut an answer to what was heard, or read. The session adds it to its history right after this."""
        loop = asyncio.get_running_loop()
        if not item.sent_ms:
            loop.call_soon(self._change, item.key, Message.assistant(response.text, item.state))
        else:
            loop.call_soon(self.truncate, item, response.played_ms(self._clock.now_s()))

    def truncate(self, item: Item, audio_end_ms: float) -> None:
        """So much of an answer's sound was heard, and nothing of it will be."""
        heard = item.heard(audio_end_ms)
        item.content, item.status = [{"type": "output_audio", "transcript": heard}], "incomplete"
        self._change(item.key, Message.assistant(heard, item.state))
        ids = {"item_id": item.id, "content_index": 0}
        self._emit("conversation.item.truncated", **ids, audio_end_ms=round(audio_end_ms))

    def _on_reply_start(self, event: LiveEvent) -> None:
        response = self.response
        if response is None or response.turn != event["turn"]:
            response = self.respond(event["turn"], self._configuration())
        state = State(event["state"])
        for item in self.unread:
            item.state = state
            item.key = None if state is State.NOISE else item.key
        self.unread = []
        generator = event.get("context", "a")
        self._tell_ours("vita.roles", generator=generator, monitor="b" if generator == "a" else "a")
        response.begin(state)

    def _on_reply_text(self, event: LiveEvent) -> None:
        if self.response is not None:
            self.response.say(event["text"])

    def _on_reply_end(self, event: LiveEvent) -> None:
        if self.response is not None and self.response.turn == event["turn"]:
            self.response.ending, self.response.usage = event["ending"], event.get("usage")

    def _on_playback_end(self, event: LiveEvent) -> None:
        response, self.response = self.response, None
        if response is None:
            return
        if response.ending == "length":
            response.finish("incomplete", reason="max_output_tokens")
        else:
            response.finish("completed")

    def _on_error(self, event: LiveEvent) -> None:
        self._turns.pop(event["turn"], None)
        for item in self.unread:  # what could not be read: the model is not to meet it again
            self._change(item.key, None)
            item.key, item.status = None, "incomplete"
        self.unread = []
        if self.response is not None and self.response.turn == event["turn"]:
            self.response.error = event["error"]  # it is told with the response, whose interruption comes next
        else:
            error = {"type": "invalid_request_error", "code": None, "message": event["error"], "param": None}
            self._emit("error", error=error | {"event_id": None})

    def _on_sound(self, event: LiveEvent) -> None:
        self._tell_ours("vita.sound", sound=event["sound"])

    def _commit_question(self, number: int) -> None:
        turn = self._turns.pop(number)
        self._asked_s = turn.stopped_s
        self._commit(turn, State.SPOKEN_QUERY, ("question", number))

    def _commit(self, turn: _Turn, state: State, key: Any) -> None:
        wants_words = self._configuration().audio.input.transcription is not None
        content = [{"type": "input_audio", "transcript": turn.words if wants_words else None}]
        item = Item("user", content, id=turn.item_id, key=key, state=state)
        before = self._items.add(item)
        self._emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._emit(kind, previous_item_id=before, item=item.wire())
        if wants_words:
            self.tell_words(turn.item_id, turn.words, ((turn.stop_ms or turn.start_ms) - turn.start_ms) / 1000)

    def tell_words(self, item_id: str, words: str | None, seconds: float) -> None:
        """The words of an item's sound, or that there are none."""
        kind, ids = "conversation.item.input_audio_transcription", {"item_id": item_id, "content_index": 0}
        if words is None:
            message = "no words: the turn was too short, or the model's ear tells none"
            error = {"type": "invalid_request_error", "code": "not_supported", "message": message, "param": None}
            return self._emit(f"{kind}.failed", **ids, error=error)
        usage = {"type": "duration", "seconds": seconds}
        self._emit(f"{kind}.completed", **ids, transcript=words, usage=usage)

    def _tell_start(self, turn: _Turn) -> None:
        turn.is_told = True
        self._emit("input_audio_buffer.speech_started", audio_start_ms=turn.start_ms, item_id=turn.item_id)

    def _tell_stop(self, turn: _Turn) -> None:
        self._emit("input_audio_buffer.speech_stopped", audio_end_ms=turn.stop_ms or 0, item_id=turn.item_id)

    def _tell_ours(self, kind: str, **fields: Any) -> None:
        if self._configuration().vita.events:
            self._emit(kind, **fields)

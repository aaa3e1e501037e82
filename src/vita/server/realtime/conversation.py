"""One client's realtime conversation: what it sends is done here, by its live session; `telling.py` tells what comes.

Made by `route.py`. Path of a spoken question: `handle` -> `SoundDecoder` -> `Session.feed` -> (engine, voice) ->
`Telling` -> outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from vita.chat.messages import Audio, Message
from vita.clock import Clock
from vita.duplex.history import SYSTEM
from vita.duplex.session import Session
from vita.duplex.voice_activity import VoiceActivity
from vita.engine.protocol import Engine
from vita.errors import VitaError
from vita.media import SAMPLE_RATE_HZ
from vita.server.failures import ApiError, as_api_error
from vita.server.metrics import Metrics
from vita.server.realtime import client_events as ce
from vita.server.realtime.answer_voice import AnswerVoice
from vita.server.realtime.configuration import Configuration, live_options, sampling
from vita.server.realtime.item_reader import ItemReader
from vita.server.realtime.items import Item, Items, new_id
from vita.server.realtime.parking import Parked
from vita.server.realtime.recording import Recorder
from vita.server.realtime.response import Emit
from vita.server.realtime.sound import SoundDecoder, encode_heard
from vita.server.realtime.telling import Telling
from vita.server.realtime.transcribing import Transcriber
from vita.server.settings import ServerSettings
from vita.server.speaking import Speaker

_SLICE = SAMPLE_RATE_HZ // 10
_SHORTEST_S = 0.1
_TOLERANCE_MS = 100.0


@dataclass(frozen=True, kw_only=True)
class LiveParts:
    """What all conversations of a server share.

    make_activity: makes a judge of voice activity; it may compute.
    make_clock: makes a conversation's clock, in the event loop.
    recorder: records connections, if they are.
    """

    engine: Engine
    settings: ServerSettings
    metrics: Metrics
    speaker: Speaker
    make_activity: Callable[[], VoiceActivity]
    make_clock: Callable[[], Clock]
    recorder: Recorder | None = None


class Conversation:
    """See the top of the file.

    Args:
        parts: shared.
        configuration: to begin with.
        emit: sends an event.
        parked: a conversation to go on with, with its own configuration.

    id: of the session.
    is_leaving: nothing is heard any more.
    """

    def __init__(
        self, parts: LiveParts, configuration: Configuration, emit: Emit, parked: Parked | None = None
    ) -> None:
        self._parts, self._emit, self._parked = parts, emit, parked
        worker = parts.settings.worker
        self.id = parked.id if parked else new_id("sess" if worker is None else f"sess_{worker}w")
        self.configuration = parked.configuration if parked else configuration
        self.items = parked.items if parked else Items()
        configuration = self.configuration
        self._clock = parts.make_clock()
        output = configuration.audio.output
        self._voice = AnswerVoice(parts.speaker.voice(output.voice, speed=output.speed), parts.metrics)
        self._telling = Telling(
            emit=emit, items=self.items, configuration=lambda: self.configuration, voice=self._voice,
            change=lambda key, message: self.session.change(key, message), clock=self._clock, metrics=parts.metrics,
        )  # fmt: skip
        self._transcriber = Transcriber(parts.engine, self._clock, self._telling.tell_words)
        self._reader = ItemReader(parts.settings, lambda: self.configuration.audio.input.format)
        self._decoder = SoundDecoder(configuration.audio.input.format)
        self._buffer: list[np.ndarray] = []
        self._session: Session | None = None
        self.is_leaving = False

    async def open(self) -> None:
        """Begin, or go on."""
        parts = self._parts
        activity = await self._clock.run("load", parts.make_activity)
        await self._clock.run("speak", self._voice.warm_up)
        self._session = Session(
            parts.engine, self._voice, activity, clock=self._clock, sink=self._telling, on_event=self._telling,
            options=live_options(self.configuration, parts.settings), on_text=self._telling.write,
            said=self._parked.said if self._parked else (),
        )  # fmt: skip
        await self._session.__aenter__()
        if self._parked is None:
            return self._emit("session.created", session=self._wire())
        self._emit("session.created", session=self._wire() | {"vita_resumed": True})
        before = None
        for item in self.items:
            self._emit("conversation.item.added", previous_item_id=before, item=item.wire())
            before = item.id

    async def close(self) -> Parked | None:
        """End it, at once; what is needed to go on with it."""
        try:
            if self._session is None:
                return None
            self._session.stop()
            await asyncio.sleep(0)  # the answer is cut to what was heard
            said = self._session.entries
            await self._session.close()
            await self._transcriber.close()
        finally:
            self._clock.close()
        ids = {item.key: item.id for item in self.items if item.key is not None}
        for item in self.items:
            item.key = None if item.key is None else item.id
        said = tuple((ids.get(key, key), message) for key, message in said)
        return Parked(self.id, self.configuration, self.items, said)

    def check(self) -> None:
        """Raise what has gone wrong, if it was a fault of ours."""
        if self._session is not None:
            self._session.check()

    @property
    def is_answering(self) -> bool:
        """Whether a response is on its way."""
        return self._telling.response is not None

    @property
    def session(self) -> Session:
        """The live session, which is open."""
        assert self._session is not None
        return self._session

    async def handle(self, message: str) -> None:
        """Do what the client wants; a mistake of its becomes an error event."""
        found = ce.parsed(message)
        try:
            event = ce.read_event(found)
            await _HANDLERS[type(event)](self, event)
        except (ApiError, VitaError, ValidationError) as error:
            refusal = ce.refusal(error, "session") if isinstance(error, ValidationError) else as_api_error(error)
            self.tell_error(refusal, ce.id_of(found))

    def tell_error(self, error: ApiError, event_id: str | None = None) -> None:
        """Send an error event."""
        told = {"type": error.kind, "code": error.code, "message": str(error), "param": error.param}
        self._emit("error", error={**told, "event_id": event_id})

    async def _update(self, event: ce.SessionUpdate) -> None:
        before = self.configuration.audio
        wanted = self.configuration.updated(event.session)
        output = wanted.audio.output
        if (output.voice, output.speed) != (before.output.voice, before.output.speed):
            voice = self._parts.speaker.voice(output.voice, speed=output.speed, param="session.audio.output.voice")
            self._voice.change(voice)
        if wanted.audio.input.format.model_dump() != before.input.format.model_dump():
            self._decoder, self._buffer = SoundDecoder(wanted.audio.input.format), []
        if wanted.audio.input.turn_detection is None and self.session.drop_turn():
            self._telling.drop()
        self.configuration = wanted
        self.session.configure(live_options(wanted, self._parts.settings))
        self._emit("session.updated", session=self._wire())

    async def _append(self, event: ce.AudioAppend) -> None:
        samples = self._decoder.decode(event.audio)
        turns = self.configuration.audio.input.turn_detection
        if turns is None:
            self._buffer.append(samples)
            if sum(map(len, self._buffer)) > self._parts.settings.media.max_audio_s * SAMPLE_RATE_HZ:
                self._buffer = []
                raise ApiError(400, "the input audio buffer is full; it was cleared", code="limit_exceeded")
            return
        for first in range(0, len(samples), _SLICE):
            deaf = self.is_leaving or (not turns.interrupt_response and self.is_answering)
            heard = samples[first : first + _SLICE]
            self.session.feed(np.zeros_like(heard) if deaf else heard)
            await asyncio.sleep(0)

    async def _commit(self, event: ce.AudioCommit) -> None:
        empty = ApiError(400, "there is no sound to commit", code="input_audio_buffer_commit_empty")
        if self.configuration.audio.input.turn_detection is not None:
            if not self.session.end_turn():
                raise empty
            return
        samples = np.concatenate([*self._buffer, self._decoder.finish()])
        if len(samples) < _SHORTEST_S * SAMPLE_RATE_HZ:
            raise empty
        self._buffer = []
        item = Item("user", [{"type": "input_audio", "transcript": None}])
        self._put(item, Message.user(Audio(samples)), committed=True)

    async def _clear(self, event: ce.AudioClear) -> None:
        self._buffer = []
        self._decoder.finish()
        if self.session.drop_turn():
            self._telling.drop()
        self._emit("input_audio_buffer.cleared")

    async def _create_item(self, event: ce.ItemCreate) -> None:
        item, message, picture = await self._reader.read(event.item)
        if picture is None:
            assert message is not None
            return self._put(item, message, after=event.previous_item_id)
        self._tell_item(item, self.items.add(item, event.previous_item_id))
        self._reader.show(self.session, item.id, picture, self._clock.now_s())

    def _put(self, item: Item, message: Message, *, after: str | None = None, committed: bool = False) -> None:
        """A message joins the conversation, for its client and for the model."""
        previous = self.items.add(item, after)
        item.key = item.id
        place = None if after is None else self._key_before(item)
        self.session.add(item.key, message, after=place)
        self._reader.note_turn()
        self._telling.unread.append(item)
        if committed:
            self._emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        self._tell_item(item, previous)
        sounds = [part.samples for part in message.parts if isinstance(part, Audio)]
        if sounds and message.role == "user" and self.configuration.audio.input.transcription is not None:
            self._transcriber.begin(item, np.concatenate(sounds))

    def _key_before(self, item: Item) -> Any:
        """The key of the nearest item before this one that the model reads; of the system prompt if there is none."""
        before = list(self.items)[: list(self.items).index(item)]
        return next((other.key for other in reversed(before) if other.key is not None), SYSTEM)

    def _tell_item(self, item: Item, previous: str | None) -> None:
        for kind in ("conversation.item.added", "conversation.item.done"):
            self._emit(kind, previous_item_id=previous, item=item.wire())

    async def _retrieve(self, event: ce.ItemRetrieve) -> None:
        item = self.items.get(event.item_id)
        told = item.wire()
        message = None if item.key is None or item.role != "user" else self.session.message(item.key)
        sounds = [part for part in message.parts if isinstance(part, Audio)] if message else []
        parts = [part for part in told["content"] if part["type"] == "input_audio"]
        for part, sound in zip(parts, sounds, strict=False):
            part["audio"] = encode_heard(sound.samples, self.configuration.audio.input.format)
        self._emit("conversation.item.retrieved", item=told)

    async def _truncate(self, event: ce.ItemTruncate) -> None:
        item = self.items.get(event.item_id)
        if item.role != "assistant" or item.state is None:
            raise ApiError(400, "only spoken answers can be truncated", code="invalid_value", param="item_id")
        if event.audio_end_ms > item.sent_ms + _TOLERANCE_MS:
            message = f"audio_end_ms is beyond the {round(item.sent_ms)} ms that were sent"
            raise ApiError(400, message, code="invalid_value", param="audio_end_ms")
        if self._telling.response is not None and self._telling.response.item is item:
            item.report(event.audio_end_ms, self._clock.now_s())
            self.session.stop()
        else:
            self._telling.truncate(item, event.audio_end_ms)

    async def _delete(self, event: ce.ItemDelete) -> None:
        item = self.items.get(event.item_id)
        self._stop(item)
        self.items.remove(item)
        if item.key is not None:
            self.session.change(item.key, None)
        self._reader.hide(self.session, item.id)
        self._emit("conversation.item.deleted", item_id=item.id)

    def _stop(self, item: Item) -> None:
        """End the response whose answer this item is."""
        if self._telling.response is not None and self._telling.response.item is item:
            self.session.stop()

    async def _respond(self, event: ce.ResponseCreate) -> None:
        if self._telling.response is not None:
            message = "a response is on its way; cancel it, or wait for response.done"
            raise ApiError(400, message, code="conversation_already_has_active_response")
        if [message.role for message in self.session.history[-1:]] != ["user"]:
            message = "there is nothing to answer: the last item is no message of the user"
            raise ApiError(400, message, code="nothing_to_answer")
        options = event.response or ce.ResponseOptions()
        if options.instructions is not None:
            message = "instructions of one response are not supported; give them in session.update"
            raise ApiError(400, message, code="unsupported_parameter", param="response.instructions")
        changes = options.model_dump(include={"output_modalities", "max_output_tokens"}, exclude_none=True)
        configuration = self.configuration.updated(changes)
        how = replace(sampling(configuration, self._parts.settings), state=(options.vita or {}).get("state", "auto"))
        self._telling.respond(self.session.next_turn, configuration, options.metadata)
        self.session.answer(how)

    async def _cancel(self, event: ce.ResponseCancel) -> None:
        response = self._telling.response
        if response is None or event.response_id not in (None, response.id):
            raise ApiError(400, "there is no such response on its way", code="response_cancel_not_active")
        self.session.stop()

    async def _clear_output(self, event: ce.OutputClear) -> None:
        response = self._telling.response
        if response is not None:
            self.session.stop()
        self._emit("output_audio_buffer.cleared", response_id=response.id if response else None)

    async def _played(self, event: ce.Played) -> None:
        with suppress(ApiError):  # of an item that is gone
            self.items.get(event.item_id).report(event.audio_end_ms, self._clock.now_s())

    def _wire(self) -> dict[str, Any]:
        """The session as it is sent."""
        return {"id": self.id, "object": "realtime.session", **self.configuration.model_dump()}


_HANDLERS: dict[type, Callable[[Conversation, Any], Any]] = {
    ce.SessionUpdate: Conversation._update,
    ce.AudioAppend: Conversation._append,
    ce.AudioCommit: Conversation._commit,
    ce.AudioClear: Conversation._clear,
    ce.ItemCreate: Conversation._create_item,
    ce.ItemRetrieve: Conversation._retrieve,
    ce.ItemTruncate: Conversation._truncate,
    ce.ItemDelete: Conversation._delete,
    ce.ResponseCreate: Conversation._respond,
    ce.ResponseCancel: Conversation._cancel,
    ce.OutputClear: Conversation._clear_output,
    ce.Played: Conversation._played,
}

"""One reply on its way to a client: its pieces up to a stop sequence, then how it ended. Used by `chat.py`."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from vita.chat.tools import CallReader, ToolCall
from vita.server.chat_request import AudioOptions, ChatRequest
from vita.server.chat_response import (
    AudioDelta,
    CalledFunction,
    ChatChunk,
    ChatCompletion,
    Choice,
    ChunkChoice,
    Delta,
    FinishReason,
    Judgement,
    MadeToolCall,
    ReplyMessage,
    SpokenReply,
    ToolCallDelta,
    UsageReport,
)
from vita.server.replies import RunningReply
from vita.server.speaking import Speaker, pcm16
from vita.server.stops import StopCutter
from vita.server.transcripts import Transcripts
from vita.speech.clauses import ClauseSplitter
from vita.speech.voices import Voice


class OutgoingReply:
    """See the top of the file.

    Args:
        running: the reply; its state is known.
        request: what was asked for.
        model: how the model is called.
        notes: gets what the log line shall say.
        may_call: whether calls of tools are looked for in the text.
    """

    def __init__(
        self, running: RunningReply, request: ChatRequest, model: str, notes: dict[str, Any], *, may_call: bool = False
    ) -> None:
        self.running, self._request, self._model, self._notes = running, request, model, notes
        self._cutter = StopCutter(request.stops)
        self._calls = CallReader()
        self._may_call, self._most_calls = may_call, 1 if request.parallel_tool_calls is False else None
        self._id, self._created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())

    @property
    def judgement(self) -> Judgement:
        """The state of the turn."""
        return Judgement(state=self.running.reply.state, probabilities=self.running.reply.probabilities)

    async def pieces(self) -> AsyncIterator[str]:
        """The text, without calls of tools; those are in `calls` when it has ended."""
        if not self._may_call:
            async for piece in self._until_stop():
                yield piece
            return
        async for piece in self._until_stop():
            if text := self._calls.push(piece):
                yield text
            if self._most_calls is not None and len(self._calls.calls) >= self._most_calls:
                self.running.abort()
                return
        if rest := self._calls.finish():
            yield rest

    @property
    def calls(self) -> list[ToolCall]:
        """What the reply asks for."""
        return self._calls.calls[: self._most_calls]

    async def _until_stop(self) -> AsyncIterator[str]:
        async for piece in self.running:
            if text := self._cutter.push(piece):
                yield text
            if self._cutter.hit:
                self.running.abort()
                return
        if rest := self._cutter.finish():
            yield rest

    async def finish(self) -> tuple[FinishReason, UsageReport]:
        """How it ended, once the pieces have been read."""
        result = await self.running.result()
        self._notes.update(state=result.state.value, ending=result.ending, **result.usage.to_dict())
        for name in ("prefill_ms", "first_token_ms", "total_ms"):
            self._notes[name] = round(getattr(result.timing, name), 1)
        reason: FinishReason = "length" if result.ending == "length" and not self._cutter.hit else "stop"
        return "tool_calls" if self.calls else reason, UsageReport.of(result.usage)

    async def whole(self, spoken: ReplySound | None) -> ChatCompletion:
        """All of it as one object."""
        text = "".join([piece async for piece in self.pieces()])
        reason, usage = await self.finish()
        audio = await spoken.file(text) if spoken is not None and text else None
        calls = [MadeToolCall(function=CalledFunction.of(call)) for call in self.calls]
        message = ReplyMessage(
            content=None if audio or (calls and not text) else text,
            audio=audio,
            tool_calls=calls or None,
            vita=self.judgement,
        )
        choice = Choice(message=message, finish_reason=reason)
        return ChatCompletion(id=self._id, created=self._created, model=self._model, choices=[choice], usage=usage)

    async def chunks(self, spoken: ReplySound | None) -> AsyncIterator[ChatChunk]:
        """All of it in chunks; the first has no text yet."""
        yield self._chunk(Delta(role="assistant", content="" if spoken is None else None, vita=self.judgement))
        if spoken is None:
            async for piece in self.pieces():
                yield self._chunk(Delta(content=piece))
        else:
            async for delta in spoken.deltas(self.pieces()):
                yield self._chunk(Delta(audio=delta))
        for index, call in enumerate(self.calls):
            yield self._chunk(Delta(tool_calls=[ToolCallDelta(index=index, function=CalledFunction.of(call))]))
        reason, usage = await self.finish()
        yield self._chunk(Delta(), reason)
        if self._request.stream_options and self._request.stream_options.include_usage:
            yield ChatChunk(id=self._id, created=self._created, model=self._model, choices=[], usage=usage)

    def _chunk(self, delta: Delta, reason: FinishReason | None = None) -> ChatChunk:
        choice = ChunkChoice(delta=delta, finish_reason=reason)
        return ChatChunk(id=self._id, created=self._created, model=self._model, choices=[choice])


class ReplySound:
    """The sound of one reply, as a file or in pieces.

    Args:
        speaker, voice: speak it.
        options: its format.
        transcripts: keeps what was said.
    """

    def __init__(self, speaker: Speaker, voice: Voice, options: AudioOptions, transcripts: Transcripts) -> None:
        self._speaker, self._voice, self._options, self._transcripts = speaker, voice, options, transcripts
        self._id, self._expires_at = transcripts.new_id()

    async def file(self, text: str) -> SpokenReply:
        """The whole reply."""
        samples = await self._speaker.speak(self._voice, text)
        data = base64.b64encode(await self._speaker.encode(samples, self._options.format)).decode()
        self._transcripts.keep(self._id, text)
        return SpokenReply(id=self._id, data=data, expires_at=self._expires_at, transcript=text)

    async def deltas(self, pieces: AsyncIterator[str]) -> AsyncIterator[AudioDelta]:
        """Words as they come, and the sound of each clause when it is whole; nothing for a reply without words."""
        splitter, text = ClauseSplitter(), ""
        async for piece in pieces:
            text += piece
            yield AudioDelta(id=self._id, transcript=piece)
            for clause in splitter.push(piece):
                yield await self._sound(clause)
        for clause in splitter.finish():
            yield await self._sound(clause)
        if text:
            self._transcripts.keep(self._id, text)
            yield AudioDelta(id=self._id, expires_at=self._expires_at)

    async def _sound(self, clause: str) -> AudioDelta:
        samples = await self._speaker.speak(self._voice, clause)
        return AudioDelta(id=self._id, data=base64.b64encode(pcm16(samples)).decode())

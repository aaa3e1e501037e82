"""One answer while it is written, spoken and played; it can be cut at any moment. Used by `session.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import soxr

from vita.chat.messages import Message
from vita.clock import Clock
from vita.duplex.events import ContextName, Sound
from vita.duplex.ledger import SpokenClause, spoken_clause
from vita.duplex.player import Player, Sink
from vita.engine.protocol import Context, Reply, Result
from vita.errors import VitaError
from vita.speech.clauses import ClauseSplitter
from vita.speech.voices import Voice
from vita.tokens import State

TellAnswer = Callable[..., None]
"""Called with a time in seconds (None: now), the name of an event, and its fields."""


class AnswerRun:
    """Writes, speaks and plays the answer to one turn.

    Args:
        turn, name: the turn, and the context that writes.
        clock: the session's.
        voice: speaks.
        sink, sample_rate_hz, lead_s, sound: where and how it is played.
        tell: told of first_audio, reply_text, reply_start, reply_end and playback_end.
        on_text: told of the text, as it is written.
        on_first_sound: called once, when its first sound is handed out.
        after: the key of the message that it answers, see `history.History`.
        reply: what is to be written, where it has been begun already.
        on_end: called with an error or None when all was played, or could not be; not when it was cut.
    """

    def __init__(
        self,
        turn: int,
        name: ContextName,
        *,
        clock: Clock,
        voice: Voice,
        sink: Sink,
        sample_rate_hz: int,
        lead_s: float,
        sound: Sound,
        tell: TellAnswer,
        on_text: Callable[[str], None],
        on_first_sound: Callable[[], None],
        after: Hashable,
        on_end: Callable[[VitaError | None], None],
        reply: Reply | None = None,
    ) -> None:
        self.turn, self.after = turn, after
        self.name: ContextName = name
        self.state = State.TYPED_QUERY
        self.message: Message | None = None
        self.prompt_tokens = 0
        self.is_cut = False
        self._clock, self._voice, self._rate_hz, self._tell, self._on_end = clock, voice, sample_rate_hz, tell, on_end
        self._on_text, self._on_first_sound = on_text, on_first_sound
        self._reply = reply
        self._has_sounded = False
        self._splitter = ClauseSplitter()
        self._clauses: asyncio.Queue[str | None] = asyncio.Queue()
        self._player = Player(clock, sink, sample_rate_hz, sound, self._on_block, lead_s)
        self._task = asyncio.create_task(self._speak())

    @property
    def heard(self) -> str:
        """What was heard so far."""
        return self._player.heard

    @property
    def is_gone(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._task.done() and self._player.task.done()

    def set_sound(self, sound: Sound) -> None:
        """Volume or pause."""
        self._player.set_sound(sound)

    async def write(self, context: Context, reply: Reply) -> None:
        """Write the reply to its end, unless it is cut; either way the context is free afterwards."""
        self._reply, self.state = reply, reply.state
        if not self.is_cut:
            self._tell(None, "reply_start", state=reply.state)
        pieces = iter(reply)
        while not self.is_cut:
            piece = await self._clock.run("token", lambda: next(pieces, None))
            if piece is None or self.is_cut:
                break
            self._on_text(piece)
            for clause in self._splitter.push(piece):
                self._clauses.put_nowait(clause)
        if self.is_cut:
            reply.abort()
        result: Result = await self._clock.run("token", reply.result)
        self.prompt_tokens = result.usage.prompt_tokens
        if not self.is_cut:
            self.message = context.messages[-1]
            self._tell(None, "reply_end", text=result.text, ending=result.ending, usage=result.usage.to_dict())
            for clause in [*self._splitter.finish(), None]:
                self._clauses.put_nowait(clause)

    def cut(self) -> str:
        """No further token, no further sound, from now on; what was heard."""
        self.is_cut = True
        if self._reply is not None:
            self._reply.abort()
        self._task.cancel()
        return self._player.stop()

    def check(self) -> None:
        """Raise what ended the speaking, if it was a fault of ours."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def gone(self) -> None:
        """Wait until nothing of it runs any more."""
        await asyncio.wait([self._task, self._player.task])

    async def _speak(self) -> None:
        """Speak clause by clause, ahead of what is played."""
        try:
            while (clause := await self._clauses.get()) is not None:
                self._player.add(await self._clock.run("speak", lambda text=clause: self._spoken(text)))
        except VitaError as error:
            self._on_end(error)
            return
        self._player.complete()
        await self._player.finished()
        self._tell(None, "playback_end")
        self._on_end(None)

    def _spoken(self, text: str) -> SpokenClause:
        samples, rate_hz = self._voice.speak(text)
        if len(samples) and rate_hz != self._rate_hz:
            samples = soxr.resample(samples, rate_hz, self._rate_hz)
        return spoken_clause(text, np.asarray(samples, np.float32))

    def _on_block(self, at_s: float, num_samples: int, words: list[str]) -> None:
        if num_samples and not self._has_sounded:
            self._has_sounded = True
            self._tell(at_s, "first_audio")
            self._on_first_sound()
        if words:
            self._tell(at_s, "reply_text", text="".join(words))


def fields_of(**fields: Any) -> dict[str, Any]:
    """Fields of an event as JSON holds them: states by name, probabilities rounded, None left out."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, State):
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(entry) for key, entry in value.items()}
    return round(value, 4) if isinstance(value, float) else value

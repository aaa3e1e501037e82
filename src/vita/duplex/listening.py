"""A spoken turn on its way into the monitor's context: its sound is read while it arrives. Used by `session.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vita.chat.messages import Message, Part
from vita.duplex.events import ContextName, Purpose
from vita.duplex.history import catch_up
from vita.duplex.spotter import SpottedWord, Spotter
from vita.engine.protocol import Context, Listening, Reply, Sampling
from vita.errors import VitaError
from vita.tokens import State


class Ear:
    """Reads one turn. Its methods that name a context compute, one at a time.

    Args:
        turn: the turn's number.
        name: of the context that reads it.
        position: where its sound begins, see `microphone.InputSound`.

    message: the user's turn as the context holds it, once it was decided.
    reply: the reply to it, state first, once it was decided.
    asked_for: the purposes for which a probe waits.
    is_complete: the turn ends where it was probed last; nothing more of it is to be read.
    word, heard: what was spotted, and the text of the turn, when it was probed or decided last.
    """

    def __init__(self, turn: int, name: ContextName, position: int) -> None:
        self.turn, self.position = turn, position
        self.name: ContextName = name
        self.views: tuple[Part, ...] = ()
        self.message: Message | None = None
        self.reply: Reply | None = None
        self.is_busy = self.is_complete = False
        self.asked_for: set[Purpose] = set()
        self.word: SpottedWord | None = None
        self.heard: str | None = None
        self._probed: tuple[int, dict[State, float]] = (-1, {})
        self._listening: Listening | None = None
        self._num_before = 0
        self._has_begun = False

    @property
    def is_open(self) -> bool:
        """Whether the context is listening."""
        return self._listening is not None

    def begin(self, context: Context, history: Sequence[Message]) -> None:
        """Bring the context up to date, show it what is to be seen, and listen."""
        catch_up(context, history)
        self._num_before, self._has_begun = len(history), True
        if self.views:
            context.append(*self.views)
        self._listening = context.listen()

    def read(self, samples: np.ndarray) -> float:
        """Read more of the sound; seconds in all."""
        assert self._listening is not None
        if len(samples):
            self._listening.push(samples)
        self.position += len(samples)
        return self._listening.seconds

    def probe(self, spotter: Spotter) -> dict[State, float]:
        """What the turn would be if it ended now; asked once for the same sound."""
        assert self._listening is not None
        if self._probed[0] != self.position:
            self._probed = (self.position, self._listening.probe())
            self.word, self.heard = spotter.spot(self._listening)
        return self._probed[1]

    def decide(self, context: Context, sampling: Sampling, spotter: Spotter) -> Reply:
        """The turn has ended: its state, and the reply to it."""
        assert self._listening is not None
        if self._probed[0] != self.position:
            self.word, self.heard = spotter.spot(self._listening)
        listening, self._listening = self._listening, None
        listening.close()
        self.message = context.messages[-1]
        self.reply = context.reply(sampling)
        return self.reply

    def forget(self, context: Context) -> None:
        """Take the turn out of the context, whatever was read of it."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if self.reply is not None:
            self.reply.abort()
            self.reply.result()
        if self._has_begun and len(context.messages) > self._num_before:
            context.rewind(self._num_before)

    def let_go(self) -> None:
        """The session is over; nothing of this turn is to run on."""
        try:
            if self._listening is not None:
                self._listening.cancel()
        except VitaError:
            pass  # it had ended by an error of its own
        if self.reply is not None:
            self.reply.abort()

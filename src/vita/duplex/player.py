"""Plays answers: hands their sound to a sink, block by block as time goes on, so that it can be lowered, paused and
cut at any moment, and the ledger knows what was heard. Used by `session.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import numpy as np

from vita.clock import Clock
from vita.duplex.events import Sound
from vita.duplex.ledger import Ledger, SpokenClause

BLOCK_MS = 10
GAINS: dict[Sound, float] = {"full": 1.0, "low": 0.3, "held": 0.0}
OnBlock = Callable[[float, int, list[str]], None]
"""When a block is heard (seconds), its number of samples, and the words whose sound ends in it."""


class Sink(Protocol):
    """Where sound goes: a file, a speaker, a connection."""

    def play(self, at_s: float, samples: np.ndarray) -> None:
        """Float32 [num_samples], to be heard at `at_s` seconds on the session's clock: now, or soon (`lead_ms`)."""
        ...


class Player:
    """Plays one answer.

    Args:
        clock: the session's.
        sink: where the sound goes.
        sample_rate_hz: of the sound.
        sound: how it is played at first.
        on_block: told of every block that is played.
        lead_s: blocks are handed out so much before they are heard.
    """

    def __init__(
        self, clock: Clock, sink: Sink, sample_rate_hz: int, sound: Sound, on_block: OnBlock, lead_s: float = 0.0
    ) -> None:
        self.ledger = Ledger()
        self._lead_s = lead_s
        self._words: list[tuple[float, str]] = []
        self._clock, self._sink, self._rate_hz, self._on_block = clock, sink, sample_rate_hz, on_block
        self._sound: Sound = sound
        self._gain = GAINS[sound]
        self._changed = asyncio.Event()
        self._is_complete = False
        self.task = asyncio.create_task(self._run())

    @property
    def heard(self) -> str:
        """The words whose sound was heard to its end by now."""
        now_s = self._clock.now_s() + BLOCK_MS / 2000
        return "".join(word for at_s, word in self._words if at_s <= now_s)

    def add(self, clause: SpokenClause) -> None:
        """Play a further clause."""
        self.ledger.add(clause)
        self._changed.set()

    def complete(self) -> None:
        """No further clause comes."""
        self._is_complete = True
        self._changed.set()

    def set_sound(self, sound: Sound) -> None:
        """Volume, or a pause; after a pause the word that it cut is said again."""
        if self._sound == "held" and sound != "held":
            self.ledger.back_to_word()
        self._sound = sound
        self._changed.set()

    def stop(self) -> str:
        """Silence, at once and for good; what was heard."""
        self.task.cancel()
        return self.heard

    async def finished(self) -> None:
        """Wait until everything was played."""
        await self.task

    async def _run(self) -> None:
        at_s = self._clock.now_s()
        while True:
            self._changed.clear()
            if self._sound == "held" or not self.ledger.has_sound:
                if self._is_complete and not self.ledger.has_sound:
                    await self._clock.sleep_until(at_s)
                    self._note(at_s, 0, self.ledger.take(0)[1])
                    return
                self._gain = 0.0 if self._sound == "held" else self._gain
                await self._changed.wait()
                at_s = max(at_s, self._clock.now_s())
                continue
            at_s = self._play_block(at_s)
            await self._clock.sleep_until(at_s - self._lead_s)

    def _play_block(self, at_s: float) -> float:
        """Hand out one block; when it ends. A block that is late follows the one before it all the same."""
        block, words = self.ledger.take(self._rate_hz * BLOCK_MS // 1000)
        gain = GAINS[self._sound]
        self._sink.play(at_s, block * np.linspace(self._gain, gain, len(block), dtype=np.float32))
        self._gain = gain
        self._note(at_s, len(block), words)
        return at_s + len(block) / self._rate_hz

    def _note(self, at_s: float, num_samples: int, words: list[str]) -> None:
        self._words += [(at_s, word) for word in words]
        self._on_block(at_s, num_samples, words)

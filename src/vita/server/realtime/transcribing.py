"""The words of sounds that a client committed itself, or sent as items: told beside the conversation.

Used by `conversation.py`. Turns that the live session has heard bring their words with them, see `telling.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np

from vita.clock import Clock
from vita.engine.protocol import Engine
from vita.errors import VitaError
from vita.media import SAMPLE_RATE_HZ
from vita.server.realtime.items import Item
from vita.server.transcription import words_of

TellWords = Callable[[str, "str | None", float], None]
"""Called with the id of an item, its words (None: there are none) and the length of its sound in seconds."""


class Transcriber:
    """See the top of the file.

    Args:
        engine: hears the words, in a context of its own.
        clock: runs the work.
        tell: told of them.
    """

    def __init__(self, engine: Engine, clock: Clock, tell: TellWords) -> None:
        self._engine, self._clock, self._tell = engine, clock, tell
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True

    def begin(self, item: Item, samples: np.ndarray) -> None:
        """Find the words of an item's sound: float32 [num_samples], 16 kHz."""
        task = asyncio.create_task(self._transcribe(item, samples))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Tell nothing more; whoever waits for it waits until nothing is computed any more."""
        self._is_open = False
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _transcribe(self, item: Item, samples: np.ndarray) -> None:
        try:
            words = await self._clock.run("words", lambda: words_of(self._engine, samples, self._check))
        except VitaError:  # the model cannot hold so much sound
            words = None
        if not self._is_open:
            return
        for part in item.content:
            if part["type"] == "input_audio":
                part["transcript"] = words
        self._tell(item.id, words, len(samples) / SAMPLE_RATE_HZ)

    def _check(self) -> None:
        if not self._is_open:
            raise asyncio.CancelledError

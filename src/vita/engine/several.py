"""Several engines with the same model as one: contexts are dealt out in turn. Made by `vita.api` for several servers.

A live conversation opens two contexts, one after the other, for its two roles; so on two servers each role has its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from vita.chat.messages import Message
from vita.engine.protocol import GREEDY, Context, Engine, Result, Sampling


class SeveralEngines:
    """See `vita.engine.protocol.Engine`.

    Args:
        engines: at least one.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.engines = tuple(engines)
        self._next = itertools.cycle(self.engines)

    @property
    def history_tokens(self) -> int | None:
        """See Engine."""
        return self.engines[0].history_tokens

    @property
    def has_tools(self) -> bool:
        """See Engine."""
        return self.engines[0].has_tools

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> Context:
        """See Engine. On the engine whose turn it is."""
        return next(self._next).open(system, messages=messages)

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine. Each engine answers its share at the same time."""
        step = len(self.engines)
        shares = [conversations[start::step] for start in range(step)]
        with ThreadPoolExecutor(step) as pool:
            work = (
                pool.submit(engine.batch, share, sampling)
                for engine, share in zip(self.engines, shares, strict=True)
                if share
            )
            answered = [each.result() for each in list(work)]
        return [answered[index % step][index // step] for index in range(len(conversations))]

"""The two contexts of a conversation, a lane of work for each, and the history that both are brought to.

Used by `session.py`. Everything that computes on a context goes through its lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from vita.chat.messages import Message
from vita.clock import Clock
from vita.duplex.events import ContextName
from vita.duplex.history import SYSTEM, Entry, History, catch_up
from vita.duplex.lane import Job, Lane
from vita.engine.protocol import Context, Engine
from vita.errors import VitaError

T = TypeVar("T")


class Contexts:
    """Opened on one engine, which has one copy of the weights.

    Args:
        engine, system: see Engine.open.
        said: what was said before, see History.
        history_tokens: see History.
        clock: runs the work.

    history: what was really said.
    """

    def __init__(
        self, engine: Engine, system: str | None, said: Sequence[Entry], history_tokens: int | None, clock: Clock
    ) -> None:
        start = [] if system is None else [(SYSTEM, Message.system(system))]
        self.history = History([*start, *said], history_tokens)
        messages = self.history.messages
        self._contexts: dict[ContextName, Context] = {
            "a": engine.open(messages=messages), "b": engine.open(messages=messages),
        }  # fmt: skip
        self._lanes: dict[ContextName, Lane] = {}
        self._clock = clock
        self._taken: set[ContextName] = set()

    def __getitem__(self, name: ContextName) -> Context:
        return self._contexts[name]

    @property
    def is_idle(self) -> bool:
        """Whether no work runs or waits."""
        return all(lane.is_idle for lane in self._lanes.values())

    def start(self, on_error: Callable[[int, VitaError], None]) -> None:
        """Begin to work; see Lane."""
        self._lanes = {name: Lane(on_error) for name in self._contexts}

    def submit(self, name: ContextName, turn: int, job: Job) -> None:
        """Work on a context, after all that was submitted for it before."""
        self._lanes[name].submit(turn, job)

    async def run(self, kind: str, work: Callable[[], T]) -> T:
        """The result of work that computes; within a job."""
        return await self._clock.run(kind, work)

    def take(self, name: ContextName) -> None:
        """A context begins to listen or to reply: it is not refreshed until it is free."""
        self._taken.add(name)

    def free(self, name: ContextName) -> None:
        """It has ended."""
        self._taken.discard(name)

    def refresh(self, name: ContextName, turn: int) -> None:
        """Let a context that has nothing to do read what happened at the other one, before it is needed."""

        async def refresh() -> None:
            if name not in self._taken:
                wanted = self.history.messages
                await self.run("refresh", lambda: catch_up(self._contexts[name], wanted))

        self.submit(name, turn, refresh)

    def refresh_all(self, turn: int) -> None:
        """The same for both."""
        for name in self._contexts:
            self.refresh(name, turn)

    def check(self) -> None:
        """Raise what has ended a lane."""
        for lane in self._lanes.values():
            lane.check()

    async def finish(self) -> None:
        """Wait for what runs; drop what waits."""
        ends = await asyncio.gather(*(lane.close() for lane in self._lanes.values()), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    def free_all(self) -> None:
        """Let their caches go: nothing listens and nothing is written any more."""
        for context in self._contexts.values():
            context.rewind(0)

"""The work of many conversations on one thread, in turn: a long reply does not keep another conversation waiting.

For servers and live sessions: calls come from any thread, one thread does them (`run`, or `step` by step). A lane
holds the work of one Context, done in the order in which it came; the lanes take turns. A call takes one turn, so a
long sound should be pushed in pieces; of a reply, one token is written a turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from vita.engine.protocol import Reply, Result
from vita.errors import ConfigError

T = TypeVar("T")


class _Work(Protocol):
    """Something to do, in one turn or several."""

    future: Future[Any]

    def turn(self) -> bool:
        """Does the next piece; whether there is more."""
        ...

    def give_up(self) -> None:
        """Its result is not waited for any more."""
        ...


class Interleaver:
    """Does the work of all lanes in turn."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[_Work]] = {}  # the lane whose turn it is comes first
        self._changed = threading.Condition()
        self._is_stopped = False

    def call(self, lane: Hashable, function: Callable[[], T]) -> Future[T]:
        """Calls `function` when its turn comes; the future holds what it returns or raises, and can be cancelled."""
        return self._add(lane, _Call(function))

    def write(self, lane: Hashable, reply: Reply, on_text: Callable[[str], None]) -> Future[Result]:
        """Writes `reply`, one token a turn, and gives every piece of text to `on_text`; `reply.abort` ends it."""
        return self._add(lane, _Writing(reply, on_text))

    def step(self) -> bool:
        """One turn of the next lane, on this thread; False if there is nothing to do."""
        with self._changed:
            lane = next(iter(self._lanes), None)
            if lane is None:
                return False
            waiting = self._lanes.pop(lane)
            self._lanes[lane] = waiting
            work = waiting[0]
        has_more = _one_turn(work)
        with self._changed:
            if not has_more:
                waiting.popleft()
            if not waiting:
                del self._lanes[lane]
        return True

    def run(self) -> None:
        """Works, and waits for work, until `stop`. To be called on the thread that is to do it all."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lanes or self._is_stopped)
            if not self.step() and self._is_stopped:
                break

    def stop(self) -> None:
        """Take no more work, cancel the calls that wait and abort the replies that are being written."""
        with self._changed:
            self._is_stopped = True
            for work in [work for waiting in self._lanes.values() for work in waiting]:
                work.future.cancel()
                work.give_up()
            self._changed.notify_all()

    def _add(self, lane: Hashable, work: _Work) -> Future[Any]:
        with self._changed:
            if self._is_stopped:
                raise ConfigError("this interleaver was stopped", fix="make a new one")
            self._lanes.setdefault(lane, deque()).append(work)
            self._changed.notify_all()
        return work.future


class _Call:
    def __init__(self, function: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._function = function

    def turn(self) -> bool:
        self.future.set_result(self._function())
        return False

    def give_up(self) -> None:
        pass


class _Writing:
    def __init__(self, reply: Reply, on_text: Callable[[str], None]) -> None:
        self.future: Future[Any] = Future()
        self._reply, self._on_text = reply, on_text

    def turn(self) -> bool:
        piece = self._reply.step()
        if piece:
            self._on_text(piece)
        if piece is not None:
            return True
        self.future.set_result(self._reply.result())
        return False

    def give_up(self) -> None:
        self._reply.abort()


def _one_turn(work: _Work) -> bool:
    """Whether there is more to do; what goes wrong goes to whoever waits for the result."""
    if not work.future.running() and not work.future.set_running_or_notify_cancel():
        work.give_up()
        return False
    try:
        return work.turn()
    except Exception as error:
        work.give_up()
        work.future.set_exception(error)
        return False

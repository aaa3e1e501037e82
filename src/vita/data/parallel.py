"""A function over many items in several processes, results in order. Called by the checks and the statistics."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK = 16
_CHUNKS_AHEAD = 4


class OrderedMap(Generic[Item, Result]):
    """`for result in OrderedMap(...)`: one result per item, in the order of the items, a bounded number ahead.

    Args:
        function: of one item; importable by name, as are its items and results (they travel between processes).
        items: what it is called with.
        workers: processes; 1 stays in this one.
        on_crash: the result for an item that ends the process that works on it, as a decoder may on a bad file.
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        workers: int,
        on_crash: Callable[[Item], Result],
    ) -> None:
        self._function, self._items, self._workers, self._on_crash = function, iter(items), workers, on_crash
        self._waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()

    def __iter__(self) -> Iterator[Result]:
        if self._workers <= 1:
            yield from map(self._function, self._items)
            return
        self._pool = _pool(self._workers)
        try:
            while chunk := list(itertools.islice(self._items, _CHUNK)):
                self._submit(chunk)
                if len(self._waiting) >= _CHUNKS_AHEAD * self._workers:
                    yield from self._next_chunk()
            while self._waiting:
                yield from self._next_chunk()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def _submit(self, chunk: list[Item]) -> None:
        try:
            self._waiting.append((chunk, self._pool.submit(_call_all, self._function, chunk)))
        except BrokenProcessPool:
            self._restart()
            self._waiting.append((chunk, self._pool.submit(_call_all, self._function, chunk)))

    def _next_chunk(self) -> list[Result]:
        chunk, future = self._waiting.popleft()
        try:
            return future.result()
        except BrokenProcessPool:
            self._restart()
            return list(self._call_singly(chunk))

    def _restart(self) -> None:
        """A new pool for all chunks whose results are not there."""
        self._pool.shutdown(cancel_futures=True)
        self._pool = _pool(self._workers)
        waiting, self._waiting = self._waiting, deque()
        for chunk, future in waiting:
            is_done = future.done() and not future.cancelled() and future.exception() is None
            self._waiting.append((chunk, future if is_done else self._pool.submit(_call_all, self._function, chunk)))

    def _call_singly(self, chunk: list[Item]) -> Iterator[Result]:
        """One item after the other, to find the one that ends its process."""
        pool = _pool(1)
        try:
            for item in chunk:
                try:
                    yield pool.submit(self._function, item).result()
                except BrokenProcessPool:
                    pool.shutdown()
                    pool = _pool(1)
                    yield self._on_crash(item)
        finally:
            pool.shutdown()


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _call_all(function: Callable[[Item], Result], chunk: list[Item]) -> list[Result]:
    return [function(item) for item in chunk]

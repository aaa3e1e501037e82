"""Events that wait to be sent to one client: in order, and never more than so many bytes. Used by `route.py`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from vita.server.realtime.items import new_id


class SlowReaderError(Exception):
    """The client does not read what is sent to it."""


class Outbox:
    """Filled by the conversation, emptied by the connection.

    Args:
        max_bytes: what may wait; one event more, and `next` raises SlowReaderError.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._events: deque[str] = deque()
        self._num_bytes = 0
        self._changed = asyncio.Event()
        self._is_full = self._is_closed = False

    def emit(self, kind: str, **fields: Any) -> None:
        """One more event; nothing after `close`."""
        if self._is_full or self._is_closed:
            return
        event = json.dumps({"type": kind, "event_id": new_id("event"), **fields}, ensure_ascii=False)
        self._num_bytes += len(event)
        if self._num_bytes > self._max_bytes:
            self._is_full = True
            self._events.clear()
        else:
            self._events.append(event)
        self._changed.set()

    def close(self) -> None:
        """No further event comes; those that wait are still sent."""
        self._is_closed = True
        self._changed.set()

    async def next(self) -> str | None:
        """The next event, as JSON; None when it is closed and empty."""
        while True:
            if self._is_full:
                raise SlowReaderError
            if self._events:
                event = self._events.popleft()
                self._num_bytes -= len(event)
                return event
            if self._is_closed:
                return None
            self._changed.clear()
            await self._changed.wait()

"""Conversations whose connection was lost, kept for a while so that their clients can go on. Used by `route.py`.

Only what was said is kept: no context of the engine, no place.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from vita.duplex.history import Entry
from vita.server.failures import ApiError
from vita.server.realtime.configuration import Configuration
from vita.server.realtime.items import Items


@dataclass(frozen=True)
class Parked:
    """A conversation.

    id: of the session.
    said: the messages that the model is to read; their keys are the ids of their items.
    """

    id: str
    configuration: Configuration
    items: Items
    said: tuple[Entry, ...]


class Parking:
    """Keeps conversations.

    Args:
        seconds: how long.
        most: how many; one more, and the oldest is forgotten.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._kept: OrderedDict[str, Parked] = OrderedDict()

    def keep(self, parked: Parked) -> None:
        """Keep one."""
        self._kept[parked.id] = parked
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        asyncio.get_running_loop().call_later(self._seconds, self._forget, parked)

    def take(self, session_id: str) -> Parked:
        """The conversation of a session, which is kept no longer. Raises ApiError if it is not there."""
        parked = self._kept.pop(session_id, None)
        if parked is None:
            raise ApiError(404, "there is no such session to resume; begin a new one", code="session_not_found")
        return parked

    def _forget(self, parked: Parked) -> None:
        if self._kept.get(parked.id) is parked:
            del self._kept[parked.id]

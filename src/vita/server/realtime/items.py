"""The items of a realtime conversation, as its client knows them. Kept by `conversation.py`.

What the model reads is the live session's history; an item knows the key of its message there, if it has one.
"""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from vita.chat.messages import Role
from vita.server.failures import ApiError
from vita.tokens import State

_MOST = 2000
Status = Literal["in_progress", "completed", "incomplete"]


def new_id(kind: str) -> str:
    """An id that nobody can guess."""
    return f"{kind}_{secrets.token_hex(12)}"


@dataclass
class Item:
    """One message.

    content: its parts as they are sent, without sound.
    key: of its message in the history; None for an item that is not in it.
    state: what the model took it for, or for an answer, its question.
    words: of an answer: each word, and where in its sound it ends (milliseconds).
    sent_ms: of an answer: how much sound was sent.
    """

    role: Role
    content: list[dict[str, Any]]
    id: str = field(default_factory=lambda: new_id("item"))
    key: Hashable = None
    status: Status = "completed"
    state: State | None = None
    words: list[tuple[float, str]] = field(default_factory=list)
    sent_ms: float = 0.0
    _reported: tuple[float, float] | None = None

    def wire(self) -> dict[str, Any]:
        """As it is sent."""
        item = {"id": self.id, "object": "realtime.item", "type": "message", "status": self.status}
        item |= {"role": self.role, "content": [dict(part) for part in self.content]}
        return item | ({} if self.state is None else {"vita": {"state": self.state.value}})

    def report(self, audio_end_ms: float, now_s: float) -> None:
        """The client says that so much has been played by now."""
        self._reported = (audio_end_ms, now_s)

    def played_ms(self, now_s: float) -> float | None:
        """How much has been played by now, by the client's last report; None without one."""
        if self._reported is None:
            return None
        audio_end_ms, at_s = self._reported
        return min(self.sent_ms, audio_end_ms + 1000 * (now_s - at_s))

    def heard(self, audio_end_ms: float) -> str:
        """The words of an answer whose sound ends until then."""
        return "".join(word for end_ms, word in self.words if end_ms <= audio_end_ms + 1)


class Items:
    """In their order; the oldest of very many are dropped."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Add one, at the end, behind the item called `after`, or first ("root"); the id of the one before it."""
        if any(other.id == item.id for other in self._items):
            raise ApiError(400, "there is an item with this id already", code="item_exists", param="item.id")
        place = len(self._items)
        if after is not None:
            place = 0 if after == "root" else self._items.index(self.get(after, param="previous_item_id")) + 1
        self._items.insert(place, item)
        before = self._items[place - 1].id if place else None
        del self._items[: max(0, len(self._items) - _MOST)]
        return before

    def get(self, item_id: str, *, param: str = "item_id") -> Item:
        """The item with this id. Raises ApiError if there is none."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise ApiError(404, "there is no item with this id", code="item_not_found", param=param)

    def remove(self, item: Item) -> None:
        """Take one out."""
        self._items.remove(item)

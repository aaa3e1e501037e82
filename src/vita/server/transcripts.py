"""What spoken replies said, by the id of their sound: clients send the id back in the next turn. Used by `chat.py`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, MutableMapping

LIFETIME_S = 3600
_MOST = 4096


class Transcripts:
    """Keeps the latest spoken replies for an hour. Their ids cannot be guessed.

    Args:
        now: seconds since the epoch.
        kept: where; several processes may have it in common.
    """

    def __init__(
        self, now: Callable[[], float] = time.time, kept: MutableMapping[str, tuple[float, str]] | None = None
    ) -> None:
        self._now = now
        self._kept: MutableMapping[str, tuple[float, str]] = {} if kept is None else kept

    def new_id(self) -> tuple[str, int]:
        """An id for the sound of a reply, and when it expires."""
        return f"audio_{secrets.token_hex(16)}", int(self._now()) + LIFETIME_S

    def keep(self, audio_id: str, text: str) -> None:
        """Keep what was said."""
        self._kept[audio_id] = (self._now() + LIFETIME_S, text)
        while len(self._kept) > _MOST:
            self._kept.pop(next(iter(self._kept.keys())), None)

    def find(self, audio_id: str) -> str | None:
        """What was said; None for an id that is unknown or has expired."""
        expires_s, text = self._kept.get(audio_id, (0.0, ""))
        return text if self._now() < expires_s else None

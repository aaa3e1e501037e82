"""How much all conversations of an engine may keep in their KV caches. Made by `local`, asked by every `Prefix`."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from vita.errors import ConfigError, LimitError

if TYPE_CHECKING:
    from vita.engine.prefix import Prefix


class CacheBudget:
    """Counts the tokens in the caches of the conversations that are still held by somebody.

    Args:
        max_tokens: at most so many over all of them; None for no limit.
    """

    def __init__(self, max_tokens: int | None = None) -> None:
        if max_tokens is not None and max_tokens < 1:
            raise ConfigError("max_cached_tokens is too small", got=max_tokens, expected="1 or more")
        self._max_tokens = max_tokens
        self._prefixes: weakref.WeakSet[Prefix] = weakref.WeakSet()
        self._lock = threading.Lock()  # conversations are opened in any thread

    @property
    def used(self) -> int:
        """Tokens in all caches."""
        with self._lock:
            return sum(prefix.length for prefix in self._prefixes)

    def add(self, prefix: Prefix) -> None:
        """Count this one, too, as long as it is held."""
        with self._lock:
            self._prefixes.add(prefix)

    def check(self, num_new: int) -> None:
        """Raises LimitError if so many tokens more do not fit."""
        if self._max_tokens is not None and num_new > 0 and self.used + num_new > self._max_tokens:
            raise LimitError(
                "the engine's KV cache is full",
                got=f"{self.used + num_new} tokens",
                expected=f"at most {self._max_tokens} over all conversations",
                fix="drop or rewind conversations, or open the engine with more max_cached_tokens",
            )

"""vita: interactive omni models that hear everything, answer only what is asked of them, and can be interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vita.api import Assistant, load

__all__ = ["Assistant", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the heavy parts (torch, transformers) only when they are asked for."""
    if name in ("Assistant", "load"):
        from vita import api

        return getattr(api, name)
    raise AttributeError(f"module 'vita' has no attribute {name!r}")

"""Where weights come from: the embedded pocket model, folders and hubs (`load`), the reference's layout (`convert`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vita.checkpoints.conversion import convert
    from vita.checkpoints.loading import load

__all__ = ["convert", "load"]


def __getattr__(name: str) -> Any:
    """Import torch and transformers only when one of the two is asked for."""
    if name == "convert":
        from vita.checkpoints.conversion import convert

        return convert
    if name == "load":
        from vita.checkpoints.loading import load

        return load
    raise AttributeError(f"module 'vita.checkpoints' has no attribute {name!r}")

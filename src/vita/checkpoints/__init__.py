"""Where weights come from: the embedded pocket model, folders and hubs (`load`), the reference's layout (`convert`,
`convert_back`), and parts of other models (`compose`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vita.checkpoints.back import convert_back
    from vita.checkpoints.composition import compose
    from vita.checkpoints.conversion import convert
    from vita.checkpoints.loading import load

__all__ = ["compose", "convert", "convert_back", "load"]

_MODULES = {"compose": "composition", "convert": "conversion", "convert_back": "back", "load": "loading"}


def __getattr__(name: str) -> Any:
    """Import torch and transformers only when one of these is asked for."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"vita.checkpoints.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'vita.checkpoints' has no attribute {name!r}")

"""Fields that are ignored, since they do not change the reply, and those that are refused, since they would.

Called by the routes with whatever fields their request model does not list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vita.server.failures import ApiError

_IGNORED = frozenset({
    "user", "metadata", "store", "service_tier", "prediction", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "reasoning_effort", "verbosity",
})  # fmt: skip
"""They name the caller, or are hints for other models."""
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "stream_format": ("audio",),
    "instructions": ("",),
}
"""Fields of OpenAI's that are not served here, with the values that change nothing."""


def check_other_fields(fields: Mapping[str, Any]) -> None:
    """Raises ApiError for the first field that would change the reply, or that nobody knows."""
    for name, value in fields.items():
        if value is None or name in _IGNORED or _has_no_effect(name, value):
            continue
        if name in _WITHOUT_EFFECT:
            message, code = f"{name} is not supported by this model; leave it out", "unsupported_parameter"
        else:
            message, code = f"unrecognized request argument: {name[:60]}", "unknown_parameter"
        raise ApiError(400, message, param=name[:60], code=code)


def _has_no_effect(name: str, value: Any) -> bool:
    """Whether it is one of the values that change nothing; 0 and False are not the same."""
    neutral = _WITHOUT_EFFECT.get(name, ())
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in neutral)

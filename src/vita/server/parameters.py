"""Fields that are ignored, since they do not change the reply, and those that are refused, since they would.

Called by the routes with whatever fields their request model does not list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vita.server.failures import ApiError

_IGNORED = frozenset({
    "user", "metadata", "store", "service_tier", "prediction", "parallel_tool_calls", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "reasoning_effort", "verbosity",
})  # fmt: skip
"""They name the caller, or are hints for other models."""
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
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
        if value is None or name in _IGNORED:
            continue
        if name not in _WITHOUT_EFFECT:
            raise ApiError(
                400, f"unrecognized request argument: {name[:60]}", param=name[:60], code="unknown_parameter"
            )
        if not any(
            (value == neutral and type(value) is not bool) or value is neutral for neutral in _WITHOUT_EFFECT[name]
        ):
            raise ApiError(400, f"{name} is not supported by this model; leave it out", param=name,
                           code="unsupported_parameter")  # fmt: skip

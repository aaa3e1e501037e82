"""One question to an OpenAI-compatible server over plain HTTP. Called by judges."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Sequence

from vita.errors import DependencyError

_TIMEOUT_S = 120.0


def ask(url: str, model: str, messages: Sequence[tuple[str, str]], api_key: str | None = None) -> str:
    """The answer to (role, text) messages, at temperature 0.

    Args:
        url: up to and with /v1.
        model: its name there.
        messages: the conversation.
        api_key: sent as a bearer token.

    Raises DependencyError if the server cannot be reached, refuses, or answers something else.
    """
    body = {"model": model, "temperature": 0, "messages": [{"role": role, "content": text} for role, text in messages]}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            return str(json.load(response)["choices"][0]["message"]["content"])
    except urllib.error.HTTPError as error:
        detail = error.read()[:200].decode(errors="replace")
        raise DependencyError(
            f"{url} refuses", got=f"{error.code} {detail}", fix="check the address and the model"
        ) from error
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DependencyError(f"{url} does not answer as an OpenAI-compatible server", got=error) from error

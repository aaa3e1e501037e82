"""Who may come in: API keys, compared in constant time, and the `Host` and `Origin` headers. Called by `edge.py`.

Without a key a server on localhost could be reached by any page that is open in a browser there: by a name of the
page's own that resolves to 127.0.0.1 (the `Host` header tells) or from another origin (the `Origin` header tells).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence

from starlette.datastructures import Headers

from vita.server.failures import ApiError

OPEN_PATHS = frozenset({"/health"})
"""Paths that need no key: they tell nothing."""
_KEY_PROTOCOL = "openai-insecure-api-key."


class Gate:
    """Checks the headers of a request.

    Args:
        api_keys: any of them lets a client in; none: everybody whose `Host` is not somebody else's name.
        host_names: names that `Host` may hold while there is no key.
        open_paths: further paths that need no key: the page's.
    """

    def __init__(self, api_keys: Iterable[str], host_names: Iterable[str] = (), open_paths: Iterable[str] = ()) -> None:
        self._open_paths = OPEN_PATHS.union(open_paths)
        self._digests = [_digest(key) for key in api_keys]
        self._names = {"localhost", *(name.lower() for name in host_names)}

    def check(self, path: str, headers: Headers, subprotocols: Sequence[str] = ()) -> None:
        """Raises ApiError for whoever may not come in.

        Args:
            path: what is asked for.
            headers: of the request.
            subprotocols: of a websocket: pages cannot set headers and send their key among them, as OpenAI's do.
        """
        host = headers.get("host", "")
        self._check_origin(headers.get("origin"), host)
        if not self._digests:
            self._check_host(host)
        elif path not in self._open_paths:
            keys = [name.removeprefix(_KEY_PROTOCOL) for name in subprotocols if name.startswith(_KEY_PROTOCOL)]
            self._check_key(headers.get("authorization", "") or (f"Bearer {keys[0]}" if keys else ""))

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip() if scheme.lower() == "bearer" else "")
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]  # all of them, whichever fits
        if not any(matches):
            raise ApiError(
                401,
                "no valid API key; send it as `Authorization: Bearer KEY`",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    def _check_host(self, host: str) -> None:
        name = _host_name(host)
        if name in self._names or _is_address(name):
            return
        raise ApiError(403, "this name of the server is not known; use its address, or start it with --api-key")

    def _check_origin(self, origin: str | None, host: str) -> None:
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            raise ApiError(403, "pages of another origin may not use this server")


def _digest(key: str) -> bytes:
    """Of one length for every key, so that a comparison does not tell the length either."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _host_name(host: str) -> str:
    """The name or address in a `Host` header, without its port."""
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

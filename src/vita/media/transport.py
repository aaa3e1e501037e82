"""The urllib machinery of one download: guarded addresses, one deadline for everything, few redirects, no other scheme.

Called by `fetch.py` only.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import IO, Any

from vita.errors import MediaError

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is routed on the public internet."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Guard:
    """What one download may do; makes its connections.

    Args:
        name: the URL, as error messages call it.
        timeout_s: seconds from now that everything may take together.
        private_addresses: whether it may connect to an address that is not public.
        max_redirects: redirects it may follow.
    """

    def __init__(self, name: str, *, timeout_s: float, private_addresses: bool, max_redirects: int) -> None:
        self.name, self.private_addresses, self.max_redirects = name, private_addresses, max_redirects
        self._deadline_s = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        remaining_s = self._deadline_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("timed out")
        return remaining_s

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._deadline_s

    def connect(self, address: tuple[str, int], *_: object) -> socket.socket:
        """A connected socket to the first allowed address of a host. Stands in for socket.create_connection."""
        infos = _look_up(address, self.remaining_s())
        allowed = [info for info in infos if self.private_addresses or _is_public(str(info[4][0]))]
        if not allowed:
            raise MediaError(
                f"{self.name} leads to an address that is not public, which is not allowed here",
                got=address[0],
                fix="give a public URL or send the file itself",
            )
        last_error: OSError | None = None
        for family, kind, protocol, _name, target in allowed:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(self.remaining_s())
                connection.connect(target)
                return connection
            except OSError as error:
                connection.close()
                last_error = error
        raise last_error or OSError("no address")


def _look_up(address: tuple[str, int], within_s: float) -> list[Any]:
    """What socket.getaddrinfo finds. It has no time limit of its own: one that takes too long is left to its thread,
    which ends when the system gives up. Raises OSError, TimeoutError, UnicodeError.
    """
    found: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # raised again below
            found.put(error)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        result = found.get(timeout=within_s)
    except queue.Empty:
        raise TimeoutError("the look-up of the name took too long") from None
    if isinstance(result, Exception):
        raise result
    return result


def _is_public(ip: str) -> bool:
    """Whether an address belongs to the public internet. IPv6 that stands for an IPv4 address is judged as that."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address not in _GLOBAL_UNICAST:
            return False
        address = inner or address
    return address.is_global and not address.is_multicast


class _TimedReader(io.RawIOBase):
    """A socket's incoming bytes, each read bounded by what is left of the whole download's time."""

    def __init__(self, connection: socket.socket, guard: Guard) -> None:
        self._connection, self._guard = connection, guard
        self._raw = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._connection.settimeout(self._guard.remaining_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """What http.client.HTTPResponse asks of a socket: makefile."""

    def __init__(self, connection: socket.socket, guard: Guard) -> None:
        self._connection, self._guard = connection, guard

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The buffered, timed reader."""
        return io.BufferedReader(_TimedReader(self._connection, self._guard))


def _timed_response(guard: Guard, connection: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
    return http.client.HTTPResponse(_TimedSocket(connection, guard), *args, **kwargs)  # type: ignore[arg-type]


def _guarded(kind: type[http.client.HTTPConnection], guard: Guard) -> Callable[..., http.client.HTTPConnection]:
    """A factory of connections of `kind` that are made, and read, by the guard."""

    def build(host: str, **kwargs: Any) -> http.client.HTTPConnection:
        connection = kind(host, **kwargs)
        assert hasattr(connection, "_create_connection"), "http.client no longer lets the guard connect"
        connection._create_connection = guard.connect  # type: ignore[attr-defined]
        connection.response_class = functools.partial(_timed_response, guard)  # type: ignore[assignment]
        return connection

    return build


class _Http(urllib.request.HTTPHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_guarded(http.client.HTTPConnection, self._guard), req)  # type: ignore[arg-type]


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_guarded(http.client.HTTPSConnection, self._guard), req)  # type: ignore[arg-type]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a limited number of redirects; urllib itself refuses those to anything but http, https and ftp."""

    max_redirections = max_repeats = 1000  # ours, below, is the only limit

    def __init__(self, guard: Guard) -> None:
        self._guard, self._left = guard, guard.max_redirects

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if self._left == 0:
            raise MediaError(
                f"{self._guard.name} redirects too often",
                got=f"more than {self._guard.max_redirects} redirects",
                fix="give the final URL",
            )
        self._left -= 1
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def build_opener(guard: Guard, proxies: Mapping[str, str]) -> urllib.request.OpenerDirector:
    """urllib's machinery with nothing in it but http and https: no file:, ftp: or data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(dict(proxies)),
        _Http(guard),
        _Https(guard),
        _Redirects(guard),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener

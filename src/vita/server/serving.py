"""Runs the application on Uvicorn: the socket, TLS, the first lines that the user reads, draining at SIGTERM.

Called by `vita.cli.serve`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import uvicorn
from fastapi import FastAPI

from vita.errors import ConfigError
from vita.server.certificate import names_of_this_machine, self_signed
from vita.server.logs import set_up_logs

_BACKLOG = 128
_PONG_S = 60.0
"""A pong is read behind all that its client has sent before, which is read no faster than it may be."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a server listens.

    host, port: the address; port 0 takes a free one.
    tls: None, "self-signed", or "CERT,KEY", two PEM files.
    certificate_folder: where a self-signed certificate is kept.
    drain_s: how long replies may go on after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tls: str | None = None
    certificate_folder: Path = Path("certificates")
    drain_s: int = 30

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:  # the system would take it modulo 65536
            raise ConfigError("--port is out of range", got=self.port, expected="0 to 65535")

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def certificate(self) -> tuple[Path, Path] | None:
        """Paths of the certificate and its key. Raises ConfigError for files that are no such pair."""
        if self.tls is None:
            return None
        if self.tls == "self-signed":
            return self_signed(self.certificate_folder, names_of_this_machine(self.host))
        first, comma, second = self.tls.partition(",")
        if not comma:
            raise ConfigError("--tls is not understood", got=self.tls, expected="self-signed, or CERT,KEY")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(first, second, password="")
        except OSError as error:
            raise ConfigError(
                "--tls: no certificate with its key", got=error, fix="give two PEM files: CERT,KEY"
            ) from None
        return Path(first), Path(second)


def listen(endpoint: Endpoint) -> socket.socket:
    """The bound socket. Raises ConfigError for an address that is not free or not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        where = f"{endpoint.host} port {endpoint.port}"
        raise ConfigError(f"cannot listen on {where}", got=error, fix="give another --host or --port") from None
    return listening


def serve(app: FastAPI, endpoint: Endpoint, listening: socket.socket, *, when_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; replies that have begun may end first.

    Args:
        app: the application.
        endpoint: how.
        listening: the bound socket.
        when_ready: is told the address as soon as clients may connect.
    """
    certificate, key = endpoint.certificate() or (None, None)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=app.state.settings.max_event_bytes,
        ws_per_message_deflate=False,
        ws_ping_timeout=_PONG_S,
        backlog=_BACKLOG,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=endpoint.drain_s,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    set_up_logs(sys.stderr)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # Uvicorn takes them while it runs and raises them again when it has ended
    listening.listen(_BACKLOG)  # who comes right after the banner waits for Uvicorn instead of being turned away
    when_ready(address_of(endpoint, listening))
    DrainingServer(config, app.state.drain, endpoint.drain_s).run(sockets=[listening])


class DrainingServer(uvicorn.Server):
    """Lets the answers of realtime sessions end before Uvicorn closes their connections.

    Args:
        config: Uvicorn's.
        drain: ends the sessions, within so many seconds.
        drain_s: how many.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[float], Awaitable[None]], drain_s: float) -> None:
        super().__init__(config)
        self._drain, self._drain_s = drain, drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server. A second signal ends it at once."""
        for server in self.servers:
            server.close()
        draining = asyncio.ensure_future(self._drain(self._drain_s))
        while not draining.done() and not self.force_exit:
            await asyncio.wait([draining], timeout=0.1)
        draining.cancel()
        await super().shutdown(sockets)


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)


def address_of(endpoint: Endpoint, listening: socket.socket) -> str:
    """The URL that a client on this machine uses; the port is the one that was taken."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    elif ":" in host:
        host = f"[{host}]"
    return f"{'https' if endpoint.tls else 'http'}://{host}:{port}"

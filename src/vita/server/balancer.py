"""Hands connections to workers: reads the first request's head, chooses a worker, and copies bytes from then on.

So a connection stays with its worker for as long as it lasts: a websocket is one session. A session that is resumed
goes back to the worker that keeps it, whose number its id begins with. Everything else goes to the worker with the
fewest connections. /metrics is the sum of all workers. Used by workers.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol
from urllib.parse import parse_qs

from vita.server.metrics import summed

SESSION_OF_WORKER = re.compile(r"sess_(\d{1,4})w_")
_HEAD_S, _PIECE = 20.0, 65536
_MOST_CONNECTIONS = 4096
_METRICS = "/metrics"


class Backend(Protocol):
    """What is to be known of a worker."""

    number: int
    is_ready: bool
    num_connections: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        ...


class Balancer:
    """See the top of the file.

    Args:
        workers: in the order of their numbers.
    """

    HEAD_BYTES = 65536
    """Longest head of a request."""

    def __init__(self, workers: Sequence[Backend]) -> None:
        self._workers, self._num_open = workers, 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, to its end."""
        self._num_open += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                await self._serve(reader, writer)
        finally:
            self._num_open -= 1
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
        except asyncio.LimitOverrunError:
            return await _refuse(writer, "431 Request Header Fields Too Large", "the request's headers are too long")
        target = head.partition(b" ")[2].partition(b" ")[0].decode("latin-1")
        worker = self.choose(target)
        if worker is None or self._num_open > _MOST_CONNECTIONS:
            return await _refuse(writer, "503 Service Unavailable", "no worker is ready; try again later")
        if target.partition("?")[0] == _METRICS:
            writer.write(await self._metrics(head))
            return await writer.drain()
        with _counted(worker):
            await _forward(head, reader, writer, worker)

    def choose(self, target: str) -> Backend | None:
        """The worker for a request's target; None while there is none that is ready."""
        ready = [worker for worker in self._workers if worker.is_ready]
        for session_id in parse_qs(target.partition("?")[2]).get("session_id", ()):
            owner = SESSION_OF_WORKER.match(session_id)
            ready = [one for one in ready if owner and one.number == int(owner[1])] or ready
        return min(ready, key=lambda worker: worker.num_connections, default=None)

    async def _metrics(self, head: bytes) -> bytes:
        """The whole answer to a request for numbers: the first worker's refusal, or the sum of all."""
        ready = [worker for worker in self._workers if worker.is_ready]
        answers = await asyncio.gather(*(_ask(worker, head) for worker in ready))
        refused = [answer for answer in answers if b" 200 " not in answer.split(b"\r\n", 1)[0]]
        if refused:
            return refused[0]
        start = answers[0].partition(b"\r\n\r\n")[0].split(b"\r\n")
        kept = [line for line in start if not line.lower().startswith((b"content-length:", b"connection:"))]
        body = summed([answer.partition(b"\r\n\r\n")[2].decode() for answer in answers]).encode()
        return b"\r\n".join([*kept, b"content-length: %d" % len(body), b"connection: close", b"", body])


async def _ask(worker: Backend, head: bytes) -> bytes:
    """A worker's whole answer to a request without a body."""
    lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(b"connection:")]
    reader, writer = await asyncio.open_connection(*worker.address)
    try:
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        return await asyncio.wait_for(reader.read(-1), _HEAD_S)
    finally:
        writer.close()


async def _forward(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, worker: Backend) -> None:
    """Copies both ways until the worker has said all; a client that has gone is gone for the worker, too."""
    from_worker, to_worker = await asyncio.open_connection(*worker.address)
    asking = None
    try:
        to_worker.write(head)
        asking = asyncio.create_task(_copy(reader, to_worker))
        await _copy(from_worker, writer)
    finally:
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        to_worker.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes, until it ends; then the other side is told so."""
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    finally:
        if writer.can_write_eof() and not writer.is_closing():
            writer.write_eof()


async def _refuse(writer: asyncio.StreamWriter, status: str, message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "server_error", "param": None, "code": None}})
    fields = {"content-type": "application/json", "content-length": len(body), "connection": "close", "retry-after": 5}
    head = "\r\n".join([f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())])
    writer.write(f"{head}\r\n\r\n{body}".encode())
    await writer.drain()


@contextmanager
def _counted(worker: Backend) -> Iterator[None]:
    worker.num_connections += 1
    try:
        yield
    finally:
        worker.num_connections -= 1

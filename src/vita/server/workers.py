"""Several servers behind one address: processes that each run the application, started and looked after here.

The parent holds no model. It owns the address and hands every connection to a worker (balancer.py). A worker that ends
is started again, on the same loopback socket. Called by `vita.cli.serve` for `--workers`.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.managers import SyncManager

from vita.errors import DependencyError
from vita.server.balancer import Balancer
from vita.server.logs import set_up_logs
from vita.server.serving import Endpoint, address_of

Said = MutableMapping[str, tuple[float, str]]
Work = Callable[[int, socket.socket, Connection, Said], None]
"""What a worker does, with its number, its bound socket, a pipe into which it says when it is ready, and what the
workers have in common: what spoken replies said. Must be importable in a new process."""
_logger = logging.getLogger("vita.server")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _ENDS_S = 1.0, 60.0, 15.0
_SPAWN = multiprocessing.get_context("spawn")


class Worker:
    """One process, and its successors.

    Args:
        number: from 0; the ids of its sessions begin with it.
        work: see `Work`.
        shared: of all workers.

    is_ready: it takes connections.
    num_connections: that are open to it, counted by the balancer.
    """

    def __init__(self, number: int, work: Work, shared: Said) -> None:
        self.number, self._work, self._shared = number, work, shared
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.is_ready, self.num_connections = False, 0
        self._process = None
        self._told: Connection | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it is reached, on this machine."""
        return self.listening.getsockname()

    async def start(self) -> bool:
        """Start the process; whether it became ready before it ended."""
        self._told, telling = _SPAWN.Pipe(duplex=False)
        work = (self._work, self.number, self.listening, telling, self._shared)
        self._process = _SPAWN.Process(target=_be_worker, args=work, daemon=True)
        self._process.start()
        telling.close()
        await _readable(self._told.fileno())
        with suppress(EOFError):
            self._told.recv()
            self.is_ready = True
        return self.is_ready

    async def watch(self) -> None:
        """Start the process again whenever it has ended, after a pause that grows while it does not become ready."""
        pause_s = _FIRST_PAUSE_S
        while True:
            await self.ended()
            _logger.error("worker ended", extra={"fields": {"worker": self.number, "exit_code": self.exit_code}})
            await asyncio.sleep(pause_s)
            pause_s = _FIRST_PAUSE_S if await self.start() else min(2 * pause_s, _LONGEST_PAUSE_S)

    async def ended(self) -> None:
        """Returns when the process has ended."""
        if self._process is not None:
            await _readable(self._process.sentinel)
            self._process.join()
        self.is_ready = False

    @property
    def exit_code(self) -> int | None:
        """Of the process, once it has ended."""
        return None if self._process is None else self._process.exitcode

    def end(self, *, at_once: bool = False) -> None:
        """Ask the process to end when its answers have ended, or kill it."""
        if self._process is not None and self._process.is_alive():
            (self._process.kill if at_once else self._process.terminate)()


def serve_by_workers(
    work: Work,
    num_workers: int,
    endpoint: Endpoint,
    listening: socket.socket,
    *,
    when_ready: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; what workers are answering may end first.

    Args:
        work: of each worker.
        num_workers: how many.
        endpoint: where, and how long answers may take to end.
        listening: its bound socket.
        when_ready: is told the address when all are ready.

    Raises DependencyError if a worker does not become ready; it has said why.
    """
    set_up_logs(sys.stderr)
    manager = SyncManager(ctx=_SPAWN)
    manager.start(_follow_parent)
    try:
        said = manager.dict()
        workers = [Worker(number, work, said) for number in range(num_workers)]
        asyncio.run(_serve(workers, endpoint, listening, when_ready))
    finally:
        manager.shutdown()


async def _serve(
    workers: list[Worker], endpoint: Endpoint, listening: socket.socket, when_ready: Callable[[str], None]
) -> None:
    loop, leaving = asyncio.get_running_loop(), asyncio.Event()

    def leave() -> None:
        """At the second signal nothing is waited for."""
        for worker in workers if leaving.is_set() else ():
            worker.end(at_once=True)
        leaving.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    stopped = asyncio.create_task(leaving.wait())
    watching: list[asyncio.Task[None]] = []
    try:
        started = asyncio.create_task(_start(workers))
        await asyncio.wait([started, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            started.cancel()
            return
        await started
        watching = [asyncio.create_task(worker.watch()) for worker in workers]
        balancer = Balancer(workers)
        server = await asyncio.start_server(
            balancer.take, sock=listening, ssl=_tls(endpoint), limit=balancer.HEAD_BYTES
        )
        when_ready(address_of(endpoint, listening))
        await stopped
        server.close()
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await _end(workers, endpoint.drain_s)


async def _start(workers: list[Worker]) -> None:
    """The first one alone, so that what is wrong is said once."""
    first, *others = workers
    for group in ([first], others):
        if not all(await asyncio.gather(*(worker.start() for worker in group))):
            raise DependencyError("a worker did not start", fix="see what it said above")


async def _end(workers: list[Worker], drain_s: float) -> None:
    for worker in workers:
        worker.end()
    all_ended = asyncio.gather(*(worker.ended() for worker in workers))
    try:
        await asyncio.wait_for(all_ended, drain_s + _ENDS_S)
    except asyncio.TimeoutError:
        for worker in workers:
            worker.end(at_once=True)


def _tls(endpoint: Endpoint) -> ssl.SSLContext | None:
    pair = endpoint.certificate()
    if pair is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


async def _readable(descriptor: int) -> None:
    """Returns when something can be read there, its end included."""
    loop = asyncio.get_running_loop()
    found = asyncio.Event()
    loop.add_reader(descriptor, found.set)
    try:
        await found.wait()
    finally:
        loop.remove_reader(descriptor)


def _be_worker(work: Work, number: int, listening: socket.socket, telling: Connection, shared: Said) -> None:
    """The beginning of a worker's process. Ctrl-C is the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _follow_parent()
    work(number, listening, telling, shared)


def _follow_parent() -> None:
    """This process ends when its parent has, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()

"""Two applications behind one address: where connections go, what is resumed where, and the sum of their numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import anyio
import httpx2
import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect

from tests.server.conftest import ANSWER, Bench, on_loopback
from vita.server.balancer import Balancer
from vita.server.metrics import summed

pytestmark = pytest.mark.anyio
CLOSE = {"Connection": "close"}


@dataclass
class Worker:
    """What a balancer knows of one."""

    number: int
    address: tuple[str, int]
    is_ready: bool = True
    num_connections: int = 0


@pytest.fixture(scope="module")
def running() -> Iterator[list[tuple[str, int]]]:
    with on_loopback(Bench(worker=0).app) as first, on_loopback(Bench(worker=1).app) as second:
        yield [("127.0.0.1", int(url.rpartition(":")[2])) for url in (first, second)]


@pytest.fixture
def workers(running: list[tuple[str, int]]) -> list[Worker]:
    return [Worker(number, address) for number, address in enumerate(running)]


@pytest.fixture
async def address(workers: list[Worker]) -> AsyncIterator[str]:
    """Where both are reached, without http://."""
    balancer = Balancer(workers)
    server = await asyncio.start_server(balancer.take, "127.0.0.1", 0, limit=balancer.HEAD_BYTES)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def session_id(connection: ClientConnection) -> str:
    event = json.loads(await asyncio.wait_for(connection.recv(), 20))
    assert event["type"] == "session.created", event
    return event["session"]["id"]


async def until_idle(workers: list[Worker]) -> None:
    with anyio.fail_after(20):
        while any(worker.num_connections for worker in workers):
            await asyncio.sleep(0.01)


async def test_sessions_are_spread_and_go_back_to_their_worker(address: str, workers: list[Worker]) -> None:
    url = f"ws://{address}/v1/realtime"
    async with connect(url) as first, connect(url) as second, connect(url) as third:
        ids = [await session_id(one) for one in (first, second, third)]
        assert [one[:8] for one in ids] == ["sess_0w_", "sess_1w_", "sess_0w_"]
        assert [worker.num_connections for worker in workers] == [2, 1]
        first.transport.abort()
        third.transport.abort()
        await asyncio.sleep(1.0)
        workers[0].num_connections += 5
        async with connect(f"{url}?session_id={ids[0]}") as again:
            assert await session_id(again) == ids[0]
        workers[0].num_connections -= 5
        workers[1].num_connections += 5
        async with connect(f"{url}?session_id={ids[2]}") as again:
            assert await session_id(again) == ids[2]
        workers[1].num_connections -= 5
    await until_idle(workers)


async def test_a_reply_is_streamed_and_its_client_may_leave(address: str, workers: list[Worker]) -> None:
    async with AsyncOpenAI(base_url=f"http://{address}/v1", api_key="none") as client:
        asked = {"model": "pocket", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        stream = await client.chat.completions.create(**asked)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == "".join(ANSWER)
        assert len([piece for piece in pieces if piece]) > 1
        leaving = await client.chat.completions.create(**asked)
        await anext(aiter(leaving))
        await leaving.close()
    await until_idle(workers)


async def test_numbers_are_those_of_all(address: str, workers: list[Worker]) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=20) as client:
        before = number((await client.get("/metrics")).text)
        for worker in workers:
            worker.is_ready = True
            workers[1 - worker.number].is_ready = False
            reply = await client.get("/v1/models", headers=CLOSE)
            assert reply.json()["data"][0]["id"] == "pocket"
        workers[0].is_ready = workers[1].is_ready = True
        assert number((await client.get("/metrics")).text) == before + 2


def number(text: str) -> float:
    """Of requests for models."""
    rows = [line for line in text.splitlines() if line.startswith('vita_requests_total{route="/v1/models"')]
    assert len(rows) <= 1
    return float(rows[0].rpartition(" ")[2]) if rows else 0.0


async def test_refusals(address: str, workers: list[Worker]) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=20) as client:
        assert (await client.get("/health", headers={"x": "y" * 70_000})).status_code == 431
        assert (await client.get("/health?session_id=sess_9w_unknown", headers=CLOSE)).status_code == 200
        for worker in workers:
            worker.is_ready = False
        reply = await client.get("/health", headers=CLOSE)
        assert (reply.status_code, reply.json()["error"]["type"]) == (503, "server_error")
        assert reply.headers["retry-after"] == "5"


async def test_numbers_are_refused_as_a_worker_refuses_them(workers: list[Worker]) -> None:
    with on_loopback(Bench(api_keys=("a-good-key",)).app) as url:
        balancer = Balancer([Worker(0, ("127.0.0.1", int(url.rpartition(":")[2])))])
        server = await asyncio.start_server(balancer.take, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=address, timeout=20) as client:
            assert (await client.get("/metrics")).status_code == 401
            assert (await client.get("/metrics", headers={"Authorization": "Bearer a-good-key"})).status_code == 200
        server.close()


def test_sums() -> None:
    head = "# HELP a_total x\n# TYPE a_total counter\n"
    first = head + 'a_total{k="1"} 2.0\n# HELP a_created x\na_created 7.0\n'
    second = head + 'a_total{k="1"} 1.0\na_total{k="2 3"} 4.0\n# HELP a_created x\na_created 5.0\n'
    assert summed([first, second]).splitlines() == [
        "# HELP a_total x", "# TYPE a_total counter", 'a_total{k="1"} 3.0', 'a_total{k="2 3"} 4.0',
        "# HELP a_created x", "a_created 5.0",
    ]  # fmt: skip

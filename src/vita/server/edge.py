"""What every request passes on its way in and out: limits, the gate, security headers, a request id, one log line.

An ASGI middleware, the outermost of `app.py`. It reads the body before the application does, so that one that is too
large or too slow never gets there, and it is the one place where an error that nobody foresaw is caught and logged.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vita.server.failures import ApiError, as_api_error
from vita.server.gate import Gate
from vita.server.metrics import Metrics
from vita.server.settings import ServerSettings

NOTES = "vita.notes"
"""Key of the scope under which a route leaves what the log line shall say: numbers and states, never content."""
_logger = logging.getLogger("vita.server")
_SECURITY_HEADERS = {  # of every reply that does not bring its own, as the page does
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Edge:
    """See the top of the file.

    Args:
        app: what is inside.
        settings: the limits.
        gate: who may come in.
        metrics: counts requests.
    """

    def __init__(self, app: ASGIApp, *, settings: ServerSettings, gate: Gate, metrics: Metrics) -> None:
        self._app, self._settings, self._gate, self._metrics = app, settings, gate, metrics
        self._num_open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's start and end."""
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(send, self._settings.send_timeout_s)
        scope[NOTES] = exchange.notes
        self._num_open += 1
        try:
            await self._answer(scope, receive, exchange)
        except ClientDisconnect:
            exchange.notes["left"] = True
        except Exception as error:  # the edge of a connection: whatever it was, the others go on
            _logger.exception("request failed", extra={"fields": {"request_id": exchange.request_id}})
            if not exchange.started:
                await as_api_error(error).reply()(scope, receive, exchange.send)
        finally:
            self._num_open -= 1
            self._note(scope, exchange)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket: the same gate; its limits are its route's."""
        started_s = time.perf_counter()
        notes: dict[str, Any] = {}
        scope[NOTES] = notes
        request_id, status = f"req_{uuid.uuid4().hex}", 101
        try:
            self._gate.check(scope["path"], Headers(scope=scope), scope.get("subprotocols", ()))
            await self._app(scope, receive, send)
        except ApiError as refusal:
            status = refusal.status
            await _refuse(refusal, scope, receive, send)
        except Exception:  # the edge of a connection: whatever it was, the others go on
            status = 500
            _logger.exception("connection failed", extra={"fields": {"request_id": request_id}})
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(status)).inc()
        fields = {
            "request_id": request_id, "method": "WEBSOCKET", "route": route, "status": status,
            "seconds": round(time.perf_counter() - started_s, 3), "client": (scope.get("client") or ("",))[0], **notes,
        }  # fmt: skip
        _logger.info("connection", extra={"fields": fields})

    async def _answer(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            headers = Headers(scope=scope)
            self._gate.check(scope["path"], headers)
            if self._num_open > self._settings.max_open_requests:
                raise ApiError(503, "too many requests are open; try again later", headers={"Retry-After": "5"})
            body = await self._read_body(headers, receive)
        except ApiError as refusal:
            refusal.headers["Connection"] = "close"  # a body may still be on its way
            await refusal.reply()(scope, receive, exchange.send)
            return
        await self._app(scope, _replay(body, receive), exchange.send)

    async def _read_body(self, headers: Headers, receive: Receive) -> bytes:
        """The whole body, within the limits. Raises ApiError, ClientDisconnect."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise ApiError(415, "compressed requests are not read; send the body as it is")
        most = self._settings.max_body_bytes
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared[:18]) > most:
            raise _too_large(most)
        try:
            with anyio.fail_after(self._settings.body_timeout_s):
                return await _collect(receive, most)
        except TimeoutError:
            raise ApiError(408, "the request took too long to arrive; send it at once") from None

    def _note(self, scope: Scope, exchange: _Exchange) -> None:
        """The log line and the count of a request that has ended."""
        route = getattr(scope.get("route"), "path", "other")
        seconds = time.perf_counter() - exchange.started_s
        self._metrics.requests.labels(route, str(exchange.status)).inc()
        fields = {
            "request_id": exchange.request_id, "method": scope["method"], "route": route, "status": exchange.status,
            "seconds": round(seconds, 3), "client": (scope.get("client") or ("",))[0], **exchange.notes,
        }  # fmt: skip
        _logger.info("request", extra={"fields": fields})


class _Exchange:
    """The way back of one request: adds the headers, gives up on a client that does not read."""

    def __init__(self, send: Send, timeout_s: float) -> None:
        self._send, self._timeout_s = send, timeout_s
        self.request_id = f"req_{uuid.uuid4().hex}"
        self.notes: dict[str, Any] = {}
        self.started, self.status = False, 499
        self.started_s = time.perf_counter()

    async def send(self, message: Message) -> None:
        """ASGI's send."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        try:
            with anyio.fail_after(self._timeout_s):
                await self._send(message)
        except TimeoutError:
            raise ClientDisconnect from None


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the opening of a websocket with an error, if it has not been accepted yet."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": str(refusal)[:100]})
        return
    reply = refusal.reply()
    start = {"type": "websocket.http.response.start", "status": refusal.status, "headers": reply.raw_headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": reply.body})


async def _collect(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body, once, and then what comes: the client's leaving."""
    left = [body]

    async def replayed() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return replayed


def _too_large(most: int) -> ApiError:
    message = f"the request is too large (expected at most {most} bytes); send smaller media, or a URL"
    return ApiError(413, message, code="request_too_large")

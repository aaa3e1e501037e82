"""A server that speaks as vLLM does, without a model: it writes the ids that it is told to. For tests of the client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StandIn:
    """What the server is to say, and what it was asked.

    ids: of the next reply, a chunk each.
    ending: vLLM's finish_reason of it.
    log_probability: of every id that is asked for.
    refusal: status and message instead of an answer.
    """

    def __init__(self) -> None:
        self.ids: list[list[int]] = []
        self.ending = "stop"
        self.log_probability = -1.0
        self.refusal: tuple[int, str] | None = None
        self.pause = threading.Event()
        self.pause.set()
        self.requests: list[dict[str, Any]] = []
        self.left_early = threading.Event()
        self.url = ""

    def chunks(self, asked: list[int]) -> Iterator[dict[str, Any]]:
        for index, ids in enumerate(self.ids):
            is_last = index == len(self.ids) - 1
            top = [{"token": f"token_id:{token}", "logprob": self.log_probability - token} for token in asked]
            content = [{"token": f"token_id:{token}", "logprob": -1.0, "top_logprobs": top} for token in ids]
            choice = {"index": 0, "delta": {}, "token_ids": ids, "logprobs": {"content": content}}
            yield {"choices": [{**choice, "finish_reason": self.ending if is_last else None}]}


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """The server on a free port of this machine."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {"data": [{"id": "a model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stand_in.requests.append(body)
            if stand_in.refusal:
                status, message = stand_in.refusal
                self.answer(status, {"error": {"message": message}})
            elif not body.get("stream"):
                self.answer(200, {"choices": []})
            else:
                self.stream(body)

        def stream(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for chunk in stand_in.chunks(body["logprob_token_ids"]):
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                    self.wfile.flush()
                    stand_in.pause.wait(10)
                self.wfile.write(b"data: [DONE]\n\n")
            except ConnectionError:
                stand_in.left_early.set()

        def answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stand_in
    finally:
        stand_in.pause.set()
        server.shutdown()
        thread.join()
        server.server_close()

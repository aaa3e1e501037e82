"""`vita serve --workers 2` with a scripted engine: run as a program by test_workers.py."""

from __future__ import annotations

import socket
import sys
from multiprocessing.connection import Connection

from vita.server.serving import Endpoint, listen
from vita.server.workers import serve_by_workers


def work(number: int, listening: socket.socket, telling: Connection, said: dict[str, tuple[float, str]]) -> None:
    """A worker."""
    from vita.engine.scripted import Line, ScriptedEngine
    from vita.server.app import create_app
    from vita.server.serving import serve
    from vita.server.settings import ServerSettings
    from vita.server.transcripts import Transcripts
    from vita.tokens import State

    engine = ScriptedEngine(lambda messages: Line(State.TYPED_QUERY, tuple(message.text for message in messages)))
    app = create_app(engine, ServerSettings(worker=number), transcripts=Transcripts(kept=said))
    serve(app, Endpoint(drain_s=5), listening, when_ready=telling.send)


def fail(number: int, listening: socket.socket, telling: Connection, said: dict[str, tuple[float, str]]) -> None:
    """One that cannot start."""
    sys.exit(2)


if __name__ == "__main__":
    endpoint = Endpoint(port=0, drain_s=5)
    behaviour = fail if sys.argv[1:] == ["fail"] else work
    serve_by_workers(behaviour, 2, endpoint, listen(endpoint), when_ready=lambda url: print(url, flush=True))

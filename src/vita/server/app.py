"""The application: routes, error handlers, middleware around one engine. Made by `serving.py` and by tests."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from pydantic import BaseModel

from vita import __version__
from vita.clock import RealClock
from vita.duplex.voice_activity import SileroVoiceActivity, VoiceActivity
from vita.engine.protocol import Engine
from vita.server.chat import Chat, check_model
from vita.server.edge import Edge
from vita.server.failures import ERRORS, add_error_handlers
from vita.server.gate import Gate
from vita.server.metrics import Metrics
from vita.server.page import Page
from vita.server.realtime.conversation import LiveParts
from vita.server.realtime.recording import Recorder
from vita.server.realtime.route import Realtime
from vita.server.replies import Desk
from vita.server.settings import ServerSettings
from vita.server.speaking import Speaker
from vita.server.speech import Speech
from vita.server.transcription import Transcription
from vita.server.transcripts import Transcripts


class ModelCard(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "vita"


class ModelList(BaseModel):
    """All of them: one."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class Health(BaseModel):
    """That the server is there."""

    status: Literal["ok"] = "ok"
    version: str = __version__


def create_app(
    engine: Engine,
    settings: ServerSettings | None = None,
    *,
    make_activity: Callable[[], VoiceActivity] = SileroVoiceActivity,
    transcripts: Transcripts | None = None,
) -> FastAPI:
    """The server's ASGI application around `engine`.

    Args:
        engine: holds the model.
        settings: limits and secrets.
        make_activity: makes what hears, for a realtime session, whether somebody speaks.
        transcripts: what spoken replies said, where several applications have it in common.
    """
    settings = settings or ServerSettings()
    metrics = Metrics()
    desk = Desk(settings, metrics)
    speaker = Speaker(metrics, settings.max_sessions)
    page = Page()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()
        speaker.close()

    app = FastAPI(title="vita", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    add_error_handlers(app)
    app.include_router(Chat(engine, settings, desk, speaker, transcripts or Transcripts()).router())
    app.include_router(Speech(settings, speaker).router())
    app.include_router(Transcription(engine, settings).router())
    live = LiveParts(
        engine=engine, settings=settings, metrics=metrics, speaker=speaker, make_activity=make_activity,
        make_clock=RealClock, recorder=Recorder(settings.record_to, settings.max_recorded_bytes)
        if settings.record_to else None,
    )  # fmt: skip
    realtime = Realtime(live)
    app.include_router(realtime.router())
    app.include_router(_about(settings, metrics))
    app.include_router(page.router())
    app.state.settings, app.state.drain = settings, realtime.drain
    gate = Gate(settings.api_keys, settings.host_names, open_paths=page.paths)
    app.add_middleware(Edge, settings=settings, gate=gate, metrics=metrics)
    return app


def _about(settings: ServerSettings, metrics: Metrics) -> APIRouter:
    """What is served, whether it is well, and its numbers."""
    router = APIRouter()
    card = ModelCard(id=settings.model_name, created=int(time.time()))

    @router.get("/v1/models", responses=ERRORS)
    async def list_models() -> ModelList:
        return ModelList(data=[card])

    @router.get("/v1/models/{model:path}", responses=ERRORS)
    async def get_model(model: str) -> ModelCard:
        check_model(model, settings)
        return card

    @router.get("/health", responses=ERRORS)
    async def get_health() -> Health:
        return Health()

    @router.get("/metrics", response_class=Response, responses=ERRORS)
    async def get_metrics() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    return router

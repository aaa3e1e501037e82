"""/v1/audio/transcriptions: the words of a sound, from a model whose ear was trained to tell them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import anyio.from_thread
import anyio.to_thread
import numpy as np
from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from vita.engine.protocol import Engine
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.server.chat import check_model
from vita.server.failures import ERRORS, ApiError
from vita.server.leaving import until_client_leaves
from vita.server.settings import ServerSettings

_MODELS = frozenset({"whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"})
"""Names of models that stand for the one that is served, besides its own."""
_PIECE = SAMPLE_RATE_HZ
_FORMATS = ("json", "text")


class Transcript(BaseModel):
    """The words."""

    text: str


class Transcription:
    """Answers requests.

    Args:
        engine: holds the model.
        settings: limits.
    """

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine, self._settings = engine, settings
        self._limiter = anyio.CapacityLimiter(settings.max_sessions)

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        router.post("/v1/audio/transcriptions", response_model=Transcript, responses=ERRORS)(self.create)
        return router

    async def create(
        self,
        request: Request,
        file: Annotated[UploadFile, File()],
        model: Annotated[str, Form()],
        response_format: Annotated[str, Form()] = "json",
        stream: Annotated[bool, Form()] = False,
    ) -> Response:
        """One request. Fields that are not listed (language, prompt, temperature) are hints for other models."""
        if model not in _MODELS:
            check_model(model, self._settings)
        if response_format not in _FORMATS or stream:
            message = f"response_format is one of {', '.join(_FORMATS)}, and nothing is streamed"
            raise ApiError(400, message, param="response_format", code="unsupported_parameter")
        data = await file.read()
        async with until_client_leaves(request.receive):
            text = await anyio.to_thread.run_sync(self._words, data, limiter=self._limiter)
            if response_format == "text":
                return PlainTextResponse(text + "\n")
            return JSONResponse({"text": text})
        return Response(status_code=499)  # nobody is there to read it

    def _words(self, data: bytes) -> str:
        """The words of a sound file, in a worker thread. Raises VitaError, ApiError."""
        samples = load_audio(data, limits=self._settings.media, policy=self._settings.fetch)
        words = words_of(self._engine, samples, anyio.from_thread.check_cancelled)
        if words is None:
            raise ApiError(400, "this model was not trained to tell the words of a sound", code="not_supported")
        return words


def words_of(engine: Engine, samples: np.ndarray, check: Callable[[], None]) -> str | None:
    """The words of a sound, float32 [num_samples] at 16 kHz; None from a model that hears none.

    `check` is called now and then; it raises when nobody waits any more. Raises VitaError for what cannot be heard.
    """
    context = engine.open()
    listening = context.listen()
    try:
        for start in range(0, len(samples), _PIECE):
            listening.push(samples[start : start + _PIECE])
            check()
        words = listening.words()
    finally:
        listening.cancel()
        context.rewind(0)
    return None if words is None else words.text

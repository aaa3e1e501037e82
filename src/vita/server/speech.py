"""/v1/audio/speech: a text, spoken. Files come whole, bare samples (`pcm`) clause by clause."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from vita.server.failures import ERRORS, ApiError
from vita.server.leaving import LiveStream, until_client_leaves
from vita.server.parameters import check_other_fields
from vita.server.settings import ServerSettings
from vita.server.speaking import Speaker, check_format, media_type

_MODELS = frozenset({"espeak", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"})
"""Names of models that stand for the voices that are there, besides the name of the served model."""


class SpeechRequest(BaseModel):
    """The body of a request: what is said, by which voice, in which format."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str = Field(min_length=1)
    voice: str
    response_format: str | None = None
    speed: float | None = Field(default=None, ge=0.25, le=4, allow_inf_nan=False)


class Speech:
    """Answers requests.

    Args:
        settings: limits.
        speaker: speaks.
    """

    def __init__(self, settings: ServerSettings, speaker: Speaker) -> None:
        self._settings, self._speaker = settings, speaker

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        sound = {"content": {"audio/*": {}}, "description": "the sound"}
        router.post("/v1/audio/speech", response_class=Response, responses={**ERRORS, 200: sound})(self.create)
        return router

    async def create(self, body: SpeechRequest, request: Request) -> Response:
        """One request."""
        check_other_fields(body.model_extra or {})
        if body.model not in {*_MODELS, self._settings.model_name}:
            raise ApiError(404, "the model is not served here; use tts-1", param="model", code="model_not_found")
        if len(body.input) > self._settings.max_speech_characters:
            most = self._settings.max_speech_characters
            raise ApiError(400, f"the text is too long (expected at most {most} characters)", param="input")
        audio_format = body.response_format or "mp3"
        check_format(audio_format, streamed=False, param="response_format")
        voice = self._speaker.voice(body.voice, speed=body.speed or 1.0)
        if audio_format in ("pcm", "pcm16"):
            pieces = self._speaker.pcm_by_clause(voice, body.input)
            return LiveStream(pieces, media_type=media_type(audio_format))
        async with until_client_leaves(request.receive):
            samples = await self._speaker.speak(voice, body.input)
            return Response(await self._speaker.encode(samples, audio_format), media_type=media_type(audio_format))
        return Response(status_code=499)  # nobody is there to read it

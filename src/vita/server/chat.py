"""/v1/chat/completions: one reply to a conversation, whole or streamed, written or spoken.

Path of a question: here -> `replies.Desk` -> (worker thread) `conversation` -> media, engine -> `chat_reply` -> client.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vita.chat.state import StateMode
from vita.chat.tools import Tool
from vita.engine.protocol import Engine, Reply, Sampling
from vita.errors import VitaError
from vita.server.chat_reply import OutgoingReply, ReplySound
from vita.server.chat_request import AudioOptions, ChatRequest, ToolMessage
from vita.server.chat_response import ChatChunk, ChatCompletion
from vita.server.conversation import ConversationReader
from vita.server.edge import NOTES
from vita.server.failures import ERRORS, ApiError, as_api_error
from vita.server.leaving import LiveStream, until_client_leaves
from vita.server.parameters import check_other_fields
from vita.server.replies import Desk
from vita.server.settings import ServerSettings
from vita.server.speaking import Speaker, check_format
from vita.server.transcripts import Transcripts

_logger = logging.getLogger("vita.server")


class Chat:
    """Answers requests with an engine.

    Args:
        engine: holds the model.
        settings: limits and the model's name.
        desk: lets replies be written.
        speaker: speaks them.
        transcripts: what spoken replies said.
    """

    def __init__(
        self, engine: Engine, settings: ServerSettings, desk: Desk, speaker: Speaker, transcripts: Transcripts
    ) -> None:
        self._engine, self._settings, self._desk, self._speaker = engine, settings, desk, speaker
        self._transcripts = transcripts

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter()
        description = "A chat completion; with `stream`, an event stream of chunks."
        router.post("/v1/chat/completions", response_model=ChatCompletion, responses=ERRORS, summary=description)(
            self.complete
        )
        return router

    async def complete(self, body: ChatRequest, request: Request) -> Response:
        """One request. Raises ApiError and VitaError as long as nothing has been sent."""
        check_other_fields(body.model_extra or {})
        check_model(body.model, self._settings)
        tools = self._tools(body)
        spoken = self._sound(body)
        sampling = self._sampling(body)
        async with until_client_leaves(request.receive):
            running = await self._desk.begin(self._opener(body, sampling, tools))
            name, notes = self._settings.model_name, request.scope[NOTES]
            reply = OutgoingReply(running, body, name, notes, may_call=bool(tools))
            if body.stream:
                events = _events(reply, spoken)
                return LiveStream(events, media_type="text/event-stream", close=running.abort)
            try:
                completion = await reply.whole(spoken)
            finally:
                running.abort()
            return Response(completion.model_dump_json(), media_type="application/json")
        return Response(status_code=499)  # nobody is there to read it

    def _opener(
        self, body: ChatRequest, sampling: Sampling, tools: Sequence[Tool]
    ) -> Callable[[Callable[[], None]], Reply]:
        def opener(check: Callable[[], None]) -> Reply:
            reader = ConversationReader(self._settings, self._transcripts.find, check)
            messages = reader.read(body.messages, tools)
            check()
            return self._engine.open(messages=messages).reply(sampling)

        return opener

    def _tools(self, body: ChatRequest) -> list[Tool]:
        """What the model may call. Raises ApiError for a model that cannot."""
        has_calls = any(isinstance(message, ToolMessage) for message in body.messages)
        if (body.tools or has_calls) and not self._engine.has_tools:
            message = "tools are not supported by this model: its chat template has none; leave them out"
            raise ApiError(400, message, param="tools", code="unsupported_parameter")
        if body.tool_choice == "none":
            return []
        definitions = [tool.function.model_dump(exclude_none=True) for tool in body.tools or ()]
        return [Tool(json.dumps(definition, ensure_ascii=False)) for definition in definitions]

    def _sampling(self, body: ChatRequest) -> Sampling:
        """A tool's result is never taken for noise."""
        state: StateMode = body.vita.state if body.vita else "auto"
        asked = body.max_completion_tokens or body.max_tokens or self._settings.default_tokens
        return Sampling(
            max_new_tokens=min(asked, self._settings.max_tokens),
            temperature=body.temperature or 0.0,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=body.seed,
            state="answer" if isinstance(body.messages[-1], ToolMessage) else state,
        )

    def _sound(self, body: ChatRequest) -> ReplySound | None:
        """How the reply is to be spoken, if it is."""
        if not body.speaks:
            return None
        if body.audio is None:
            raise ApiError(400, "a spoken reply needs audio: {voice, format}", param="audio")
        options: AudioOptions = body.audio
        check_format(options.format, streamed=bool(body.stream), param="audio.format")
        return ReplySound(
            self._speaker, self._speaker.voice(options.voice, param="audio.voice"), options, self._transcripts
        )


def check_model(name: str, settings: ServerSettings) -> None:
    """Raises ApiError for the name of a model that is not served."""
    if name != settings.model_name:
        message = f"the model is not served here; use {settings.model_name}"
        raise ApiError(404, message, param="model", code="model_not_found")


async def _events(reply: OutgoingReply, spoken: ReplySound | None) -> AsyncGenerator[bytes, None]:
    """Server-sent events; one with an error for what goes wrong on the way."""
    try:
        async for chunk in reply.chunks(spoken):
            yield _event(chunk)
    except Exception as error:  # the edge of a connection: its status has been sent, so the stream has to tell
        if not isinstance(error, (ApiError, VitaError)):
            _logger.exception("stream failed")
        yield f"data: {json.dumps(as_api_error(error).content())}\n\n".encode()
        return
    yield b"data: [DONE]\n\n"


def _event(chunk: ChatChunk) -> bytes:
    return f"data: {chunk.model_dump_json()}\n\n".encode()

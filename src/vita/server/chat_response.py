"""What a client gets from /v1/chat/completions: OpenAI's objects, with `vita` beside the text."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from vita.chat.tools import ToolCall
from vita.engine.protocol import Usage
from vita.tokens import State

FinishReason = Literal["stop", "length", "tool_calls"]


class Judgement(BaseModel):
    """What the model took the turn for.

    state: spoken_query, typed_query, or noise (which stays unanswered).
    probabilities: of every state that was allowed.
    """

    state: State
    probabilities: dict[State, float]


class SpokenReply(BaseModel):
    """A reply as sound: a file in base64."""

    id: str
    data: str
    expires_at: int
    transcript: str


class CalledFunction(BaseModel):
    """arguments: a JSON object, as text; the model wrote it, so that it may not fit the function."""

    name: str
    arguments: str

    @classmethod
    def of(cls, call: ToolCall) -> CalledFunction:
        """From the model's."""
        return cls(name=call.name, arguments=call.arguments)


class MadeToolCall(BaseModel):
    """That the model asks for a function."""

    id: str = Field(default_factory=lambda: f"call_{uuid.uuid4().hex}")
    type: Literal["function"] = "function"
    function: CalledFunction


class ToolCallDelta(MadeToolCall):
    """The same in a stream, where a call comes whole. index: which of them."""

    index: int


class ReplyMessage(BaseModel):
    """The reply. content: its text; null where it is spoken, or calls tools."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    audio: SpokenReply | None = None
    tool_calls: list[MadeToolCall] | None = None
    vita: Judgement


class Choice(BaseModel):
    """The one reply."""

    index: Literal[0] = 0
    message: ReplyMessage
    finish_reason: FinishReason
    logprobs: None = None


class PromptDetails(BaseModel):
    """How many tokens of the prompt stand for sound, and for pictures and video."""

    audio_tokens: int
    image_tokens: int
    cached_tokens: int = 0


class UsageReport(BaseModel):
    """Tokens; the state token counts as one of the reply's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails

    @classmethod
    def of(cls, usage: Usage) -> UsageReport:
        """From the engine's."""
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details=PromptDetails(audio_tokens=usage.audio_tokens, image_tokens=usage.image_tokens),
        )


class ChatCompletion(BaseModel):
    """A whole reply."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageReport


class _Addition(BaseModel):
    """Part of a chunk: what it does not hold is left out, not null."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class AudioDelta(_Addition):
    """A piece of a spoken reply: of its words, or of its sound (pcm16, 24 kHz, base64)."""

    id: str
    transcript: str | None = None
    data: str | None = None
    expires_at: int | None = None


class Delta(_Addition):
    """What a chunk adds; `vita` comes with the first."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    audio: AudioDelta | None = None
    tool_calls: list[ToolCallDelta] | None = None
    vita: Judgement | None = None


class ChunkChoice(BaseModel):
    """The one reply's addition."""

    index: Literal[0] = 0
    delta: Delta = Field(default_factory=Delta)
    finish_reason: FinishReason | None = None


class ChatChunk(BaseModel):
    """A piece of a streamed reply. choices: empty in the chunk that tells the usage."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageReport | None = None

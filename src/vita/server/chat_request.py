"""What a client sends to /v1/chat/completions: OpenAI's request, the parts of it that are read here.

Messages and parts may hold fields that are not listed (a client sends back what it got); they are ignored. Unlisted
fields of the request itself are judged by `parameters.py`. `vita` is ours.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vita.chat.tools import json_object
from vita.tokens import State

_INT64 = 2**63


class TextPart(BaseModel):
    """Words."""

    type: Literal["text"]
    text: str


class MediaUrl(BaseModel):
    """Where a medium is: a data: or http(s) URL."""

    url: str = Field(min_length=1)


class ImagePart(BaseModel):
    """A picture. `detail` is ignored: pictures are tiled as the model was trained."""

    type: Literal["image_url"]
    image_url: MediaUrl


class VideoPart(BaseModel):
    """A clip, of which some frames are looked at; its sound is not heard."""

    type: Literal["video_url"]
    video_url: MediaUrl


class SoundData(BaseModel):
    """A sound file, in base64. `format` is ignored: the file itself tells."""

    data: str = Field(min_length=1)


class AudioPart(BaseModel):
    """Sound: a spoken question, or noise."""

    type: Literal["input_audio"]
    input_audio: SoundData


UserPart = Annotated[TextPart | ImagePart | VideoPart | AudioPart, Field(discriminator="type")]


class SystemMessage(BaseModel):
    """Instructions in place of the model's own system prompt."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]


class UserMessage(BaseModel):
    """What the user says and shows."""

    role: Literal["user"]
    content: str | list[UserPart]


class AudioReference(BaseModel):
    """A spoken reply of before, by its id."""

    id: str


class TurnState(BaseModel):
    """What the model took the turn before a reply for, as it came in `message.vita`."""

    state: State


class FunctionCall(BaseModel):
    """What a reply asked for. arguments: a JSON object, as text."""

    name: str
    arguments: str

    @field_validator("arguments")
    @classmethod
    def _is_an_object(cls, text: str) -> str:
        found = json_object(text or "{}")
        if found is None:
            raise ValueError("not a JSON object")
        return json.dumps(found, ensure_ascii=False)


class MadeCall(BaseModel):
    """A call of a reply of before."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantMessage(BaseModel):
    """A reply of before: its text, or the id of its sound, or its calls of tools."""

    role: Literal["assistant"]
    content: str | list[TextPart] | None = None
    audio: AudioReference | None = None
    vita: TurnState | None = None
    tool_calls: list[MadeCall] | None = Field(default=None, max_length=64)


class ToolMessage(BaseModel):
    """What came of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: str | list[TextPart]


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class FunctionDefinition(BaseModel):
    """A function: its name, what it is for, and a JSON schema of its arguments. `strict` is ignored."""

    name: str = Field(pattern=r"^[\w.-]{1,64}$")
    description: str | None = Field(default=None, max_length=4096)
    parameters: dict[str, Any] | None = None

    @field_validator("parameters")
    @classmethod
    def _is_text(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        json.dumps(schema, ensure_ascii=False).encode()  # raises a ValueError for half a surrogate pair
        return schema


class ToolDefinition(BaseModel):
    """Something that the model may call."""

    type: Literal["function"]
    function: FunctionDefinition


StopSequence = Annotated[str, Field(max_length=200)]


class StreamOptions(BaseModel):
    """include_usage: a last chunk with the usage."""

    include_usage: bool = False


class AudioOptions(BaseModel):
    """How a reply is spoken; see `speaking.py` for the names."""

    voice: str = "alloy"
    format: str = "wav"


class VitaOptions(BaseModel):
    """Ours. state: "answer" also answers what sounds like no question."""

    state: Literal["auto", "answer"] = "auto"


class ChatRequest(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, lt=_INT64)
    max_completion_tokens: int | None = Field(default=None, ge=1, lt=_INT64)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    stop: StopSequence | list[StopSequence] | None = None
    tools: list[ToolDefinition] | None = Field(default=None, max_length=64)
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    vita: VitaOptions | None = None

    @field_validator("stop")
    @classmethod
    def _at_most_four(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if isinstance(stop, list) and len(stop) > 4:
            raise ValueError("at most 4 stop sequences")
        return stop

    @property
    def speaks(self) -> bool:
        """Whether the reply is to be spoken."""
        return "audio" in (self.modalities or ())

    @property
    def stops(self) -> list[str]:
        """The stop sequences."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or ())

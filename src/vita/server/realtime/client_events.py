"""What a client sends over a realtime connection: one class per event. Read by `conversation.py`.

Fields that are not known are refused with an error event that names them; those that are known and change nothing here
are listed as Any.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vita.server.failures import ApiError
from vita.server.realtime.configuration import MaxTokens, Modalities

_LONGEST_ID = 64
_MOST_TEXT = 200_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Event(_Strict):
    event_id: str | None = Field(default=None, max_length=512)


class SessionUpdate(_Event):
    """Other settings; what is missing stays as it is. Validated by `configuration.py`."""

    type: Literal["session.update"]
    session: dict[str, Any]


class AudioAppend(_Event):
    """More sound, base64, in the input format."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(_Event):
    """The sound so far is a turn of the user."""

    type: Literal["input_audio_buffer.commit"]


class AudioClear(_Event):
    """Forget the sound that was not committed."""

    type: Literal["input_audio_buffer.clear"]


class Content(_Strict):
    """A part of an item. What belongs to which type is checked where items are made."""

    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"]
    text: str | None = Field(default=None, max_length=_MOST_TEXT)
    audio: str | None = None
    image_url: str | None = None
    transcript: str | None = Field(default=None, max_length=_MOST_TEXT)
    detail: Any = None


class NewItem(_Strict):
    """A message that joins the conversation."""

    id: str | None = Field(default=None, min_length=1, max_length=_LONGEST_ID)
    object: Any = None
    type: Literal["message"] = "message"
    status: Any = None
    role: Literal["user", "assistant", "system"]
    content: list[Content] = Field(min_length=1, max_length=64)


class ItemCreate(_Event):
    """A further item, at the end or behind another."""

    type: Literal["conversation.item.create"]
    previous_item_id: str | None = Field(default=None, max_length=_LONGEST_ID)
    item: NewItem


class ItemRetrieve(_Event):
    """Send an item."""

    type: Literal["conversation.item.retrieve"]
    item_id: str


class ItemTruncate(_Event):
    """So much of an answer was heard."""

    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int = 0
    audio_end_ms: float = Field(ge=0, allow_inf_nan=False)


class ItemDelete(_Event):
    """Take an item out of the conversation."""

    type: Literal["conversation.item.delete"]
    item_id: str


class ResponseOptions(_Strict):
    """How a response is written. vita.state: "answer" never takes the turn for noise."""

    output_modalities: Modalities | None = None
    max_output_tokens: MaxTokens | None = None
    instructions: str | None = None
    conversation: Literal["auto"] | None = None
    metadata: dict[str, str] | None = None
    audio: Any = None
    tools: list[Any] | None = Field(default=None, max_length=0)
    tool_choice: Any = None
    temperature: Any = None
    vita: dict[Literal["state"], Literal["auto", "answer"]] | None = None


class ResponseCreate(_Event):
    """Answer the conversation as it stands."""

    type: Literal["response.create"]
    response: ResponseOptions | None = None


class ResponseCancel(_Event):
    """End the response that is on its way."""

    type: Literal["response.cancel"]
    response_id: str | None = None


class OutputClear(_Event):
    """Play nothing more of it, either."""

    type: Literal["output_audio_buffer.clear"]


class Played(_Event):
    """Ours. So much of an item's sound has been played by now."""

    type: Literal["vita.output_audio_buffer.played"]
    item_id: str
    audio_end_ms: float = Field(ge=0, allow_inf_nan=False)


ClientEvent = Union[  # noqa: UP007
    SessionUpdate, AudioAppend, AudioCommit, AudioClear, ItemCreate, ItemRetrieve, ItemTruncate, ItemDelete,
    ResponseCreate, ResponseCancel, OutputClear, Played,
]  # fmt: skip
_ADAPTER: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parsed(message: str) -> Any:
    """What a message holds; None for what is no JSON."""
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return None


def id_of(found: Any) -> str | None:
    """The client's id of what may be an event."""
    event_id = found.get("event_id") if isinstance(found, dict) else None
    return event_id[:512] if isinstance(event_id, str) else None


def read_event(found: Any) -> ClientEvent:
    """What a message holds as an event. Raises ApiError for what is none."""
    if found is None:
        raise ApiError(400, "the message is no valid JSON", code="invalid_json")
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise ApiError(400, "the message is no event: it needs a `type`", code="invalid_event", param="type")
    try:
        return _ADAPTER.validate_python(found)
    except ValidationError as error:
        raise refusal(error) from None


def refusal(error: ValidationError, start: str = "") -> ApiError:
    """What is told of an event, or of a part `start` of it, that is not valid; what was sent is not repeated."""
    first = max(error.errors(include_input=False, include_url=False), key=lambda found: len(found["loc"]))
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return ApiError(400, "there is no event of this type", code="unknown_event", param="type")
    steps = [str(step)[:60] for step in first["loc"] if "." not in str(step) and str(step).isprintable()]
    param = ".".join([*([start] if start else []), *steps]) or None
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{param} is not known here; leave it out", code="unknown_parameter", param=param)
    return ApiError(400, f"{param} is not valid: {first['msg']}"[:300], code="invalid_value", param=param)

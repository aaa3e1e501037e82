"""What a client may set of its session, and what that means for the live session. Used by `conversation.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_serializer

from vita.duplex.options import LiveOptions
from vita.duplex.turns import FixedSilence, Semantic, StartStrategy, StopStrategy
from vita.engine.protocol import Sampling
from vita.server.settings import ServerSettings

Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=1)]
MaxTokens = Annotated[int, Field(ge=1, le=4096)] | Literal["inf"]
_REPLACED = frozenset({"turn_detection", "format", "output_modalities"})
"""Settings that an update replaces as a whole."""
_NOT_CHANGED = frozenset({"id", "object", "expires_at", "model", "vita_resumed"})
"""Of a session as it is sent; clients send them back."""
_EAGERNESS = {"low": (0.97, 2000.0), "medium": (0.9, 500.0), "auto": (0.9, 500.0), "high": (0.8, 400.0)}
"""How sure the model has to be that a turn is complete, and the silence in milliseconds that ends it otherwise."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AudioFormat(_Part):
    """pcm is 16-bit, little-endian, mono, at 24 or 16 kHz; the others are G.711 at 8 kHz."""

    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"] = "audio/pcm"
    rate: Literal[8000, 16000, 24000] | None = None

    @field_validator("rate")
    @classmethod
    def _fits(cls, rate: int | None, info: Any) -> int | None:
        if rate is not None and (rate == 8000) != (info.data.get("type", "audio/pcm") != "audio/pcm"):
            raise ValueError("audio/pcm has the rate 24000 or 16000, G.711 has 8000")
        return rate

    @property
    def rate_hz(self) -> int:
        """Samples a second."""
        return self.rate or (24_000 if self.type == "audio/pcm" else 8_000)

    @model_serializer
    def _sent(self) -> dict[str, Any]:
        """Clients expect the rate of pcm, and none for the others."""
        return {"type": self.type} | ({"rate": self.rate_hz} if self.type == "audio/pcm" else {})


class ServerVad(_Part):
    """A turn ends after a silence."""

    type: Literal["server_vad"]
    threshold: float = Field(default=0.5, gt=0.01, lt=1)
    prefix_padding_ms: int = Field(default=300, ge=0, le=5000)
    silence_duration_ms: int = Field(default=500, ge=64, le=10_000)
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: None = None


class SemanticVad(_Part):
    """A turn ends when the model takes it for complete."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[ServerVad | SemanticVad, Field(discriminator="type")]


class Transcription(BaseModel):
    """Spoken turns are told in words, too, by the served model's ear; what else is asked for is ignored."""

    model: str | None = Field(default=None, max_length=100)


class InputAudio(_Part):
    """Sound that comes in. There is no noise reduction; asking for it changes nothing."""

    format: AudioFormat = AudioFormat()
    turn_detection: TurnDetection | None = SemanticVad()
    transcription: Transcription | None = None
    noise_reduction: Any = None

    @field_validator("turn_detection", mode="before")
    @classmethod
    def _off(cls, asked: Any) -> Any:
        """Some clients say false where OpenAI's documentation has null."""
        return None if asked is False else asked

    @field_validator("noise_reduction")
    @classmethod
    def _not_there(cls, asked: Any) -> None:
        return None


class OutputAudio(_Part):
    """Sound that goes out."""

    format: AudioFormat = AudioFormat()
    voice: str = "alloy"
    speed: float = Field(default=1.0, ge=0.25, le=1.5)


class Audio(_Part):
    """Both."""

    input: InputAudio = InputAudio()
    output: OutputAudio = OutputAudio()


class VitaSettings(_Part):
    """Ours.

    lead_ms: sound is sent so much before it is to be played.
    events: send events of ours, too.
    """

    lead_ms: int = Field(default=200, ge=0, le=2000)
    events: bool = False


class Configuration(_Part):
    """All settings, as they stand in `session.created` and `session.updated`."""

    type: Literal["realtime"] = "realtime"
    model: str
    output_modalities: Modalities = ["audio"]
    instructions: str | None = Field(default=None, max_length=100_000)
    audio: Audio = Audio()
    max_output_tokens: MaxTokens = "inf"
    tools: list[Any] = Field(default=[], max_length=0)
    tool_choice: Any = None
    tracing: Any = None
    truncation: Any = None
    include: Any = None
    prompt: None = None
    reasoning: Any = None
    parallel_tool_calls: Any = None
    vita: VitaSettings = VitaSettings()

    @field_validator("tool_choice", "tracing", "truncation", "include", "reasoning", "parallel_tool_calls")
    @classmethod
    def _without_effect(cls, asked: Any) -> None:
        return None

    @property
    def speaks(self) -> bool:
        """Whether answers are spoken."""
        return self.output_modalities == ["audio"]

    def updated(self, changes: Mapping[str, Any]) -> Configuration:
        """With some settings changed. Raises pydantic's ValidationError; the model cannot be changed."""
        wanted = {name: value for name, value in changes.items() if name not in _NOT_CHANGED}
        return Configuration.model_validate(_merged(self.model_dump(), wanted))


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for name, value in new.items():
        before = old.get(name)
        is_part = isinstance(before, dict) and isinstance(value, Mapping) and name not in _REPLACED
        merged[name] = _merged(before, value) if is_part else value  # type: ignore[arg-type]
    return merged


def sampling(configuration: Configuration, settings: ServerSettings) -> Sampling:
    """How answers are written."""
    most = configuration.max_output_tokens
    asked = settings.default_tokens if most == "inf" else most
    return Sampling(max_new_tokens=min(asked, settings.max_tokens))


def live_options(configuration: Configuration, settings: ServerSettings) -> LiveOptions:
    """What they mean for the live session."""
    turns = configuration.audio.input.turn_detection
    start, stop = _strategies(turns)
    return LiveOptions(
        answers=turns is None or turns.create_response,
        system=configuration.instructions,
        start=start,
        stop=stop,
        sampling=sampling(configuration, settings),
        sample_rate_hz=configuration.audio.output.format.rate_hz,
        lead_ms=float(configuration.vita.lead_ms) if configuration.speaks else 0.0,
    )


def _strategies(turns: ServerVad | SemanticVad | None) -> tuple[StartStrategy, StopStrategy]:
    if isinstance(turns, ServerVad):
        stay = min(turns.threshold, max(0.01, turns.threshold - 0.15))
        start = StartStrategy(threshold=turns.threshold, stay_threshold=stay, preroll_ms=float(turns.prefix_padding_ms))
        return start, FixedSilence(silence_ms=float(turns.silence_duration_ms))
    threshold, silence_ms = _EAGERNESS[turns.eagerness if turns else "auto"]
    return StartStrategy(), Semantic(threshold=threshold, silence_ms=silence_ms)

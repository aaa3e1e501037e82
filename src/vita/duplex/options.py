"""How a live conversation behaves. Made by the command line and the server, read by `session.py`."""

from __future__ import annotations

from dataclasses import dataclass, field

from vita.duplex.spotter import Spotter
from vita.duplex.state import Policy
from vita.duplex.turns import Semantic, StartStrategy, StopStrategy
from vita.engine.protocol import GREEDY, Sampling
from vita.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """All settings of a session.

    system: system prompt instead of the model's own.
    start, stop: when a turn begins and ends.
    policy: what interrupts.
    sampling: how answers are written.
    spotter: words that stop an answer, or never do.
    word_silence_ms: so much silence must follow a stop word while its turn goes on.
    sample_rate_hz: of the sound that is played.
    answers: spoken questions are answered; else they only join the conversation, see `Session.answer`.
    echo: what is played comes back through the microphone (open speakers): it is taken out, and does not interrupt.
    lead_ms: sound is handed to the sink so much before it is to be heard, for a sink that is far away.
    chunk_ms: the monitor reads sound in pieces of this length.
    trailing_ms: so much of the silence after a turn's last voice is read with it.
    video_s, max_frames: the frames of the last `video_s` seconds, at most so many, are the video of a turn.
    history_tokens: when a prompt was longer, the oldest turn is forgotten; the engine's own limit holds as well; None
        leaves it to that. Leave room for a question and its answer in the model's context.
    """

    system: str | None = None
    start: StartStrategy = field(default_factory=StartStrategy)
    stop: StopStrategy = field(default_factory=Semantic)
    policy: Policy = field(default_factory=Policy)
    sampling: Sampling = GREEDY
    spotter: Spotter = field(default_factory=Spotter)
    word_silence_ms: float = 100.0
    sample_rate_hz: int = 24_000
    answers: bool = True
    echo: bool = False
    lead_ms: float = 0.0
    chunk_ms: float = 160.0
    trailing_ms: float = 200.0
    video_s: float = 8.0
    max_frames: int = 16
    history_tokens: int | None = 3000

    def __post_init__(self) -> None:
        if not 8_000 <= self.sample_rate_hz <= 48_000:
            raise ConfigError("sample_rate_hz is out of range", got=self.sample_rate_hz, expected="8000 to 48000")
        if not 0 <= self.lead_ms <= 2000:
            raise ConfigError("lead_ms is out of range", got=self.lead_ms, expected="0 to 2000")
        if not self.chunk_ms > 0:
            raise ConfigError("chunk_ms is too small", got=self.chunk_ms, expected="more than 0")

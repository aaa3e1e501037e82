"""VitaAudioConfig: every size and option of the audio tower and of its connector, checked on construction.

Used by AudioTower, AudioConnector, VitaConfig (as `audio_config`) and the checkpoint converter.
"""

from __future__ import annotations

from transformers import PreTrainedConfig

from vita.errors import ConfigError
from vita.models.filterbank import num_frames

MIN_FRAMES = 7
"""Mel frames under the receptive field of one encoder frame: shorter sounds are padded to this."""
REFERENCE_MAX_POSITIONS = {"abs": 1499, "rel": 5000}
WHISPER_HOP = 160
"""Samples per mel frame of Whisper; an encoder frame is two."""
CHOICES = {
    "encoder": ("whale", "whisper"),
    "position": ("abs", "rel", "rotary"),
    "feed_forward": ("linear", "conv1d-linear"),
    "connector_type": ("cnn", "linear", "subsampling", "ctc"),
    "connector_activation": ("relu", "gelu"),
    "connector_norm": ("batch", "layer"),
    "connector_num_convs": (1, 2),
}
SIZES = (
    "input_dim",
    "subsampling_dim",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "num_hidden_layers",
    "conv_kernel_size",
    "connector_kernel_size",
    "connector_stride",
    "output_dim",
    "window_positions",
)
CHUNK_FRAMES_DRAWN = 25
"""Largest chunk (encoder frames of 40 ms) drawn in training with dynamic chunks."""


class VitaAudioConfig(PreTrainedConfig):
    r"""
    encoder (`str`): "whale", VITA's and ours, or "whisper", the encoder of a Whisper. The latter takes hidden_size,
        num_attention_heads, intermediate_size, num_hidden_layers, hidden_act, input_dim and window_positions of what
        follows, and all of the connector.
    window_positions (`int`): encoder frames of 20 ms that a Whisper sees together; longer sounds are cut into windows.
    input_dim (`int`): mel bins of a feature frame.
    subsampling_dim (`int`): channels of the two convolutions and width of their output.
    position (`str`): "abs" and "rel" as in VITA-1.0, "rotary" for towers trained here.
    normalize_before (`bool`): layer norm before each block and once at the end (pre-norm), else after each block.
    concat_after (`bool`): join a block's input and its attention by a linear map instead of a sum.
    feed_forward (`str`): "linear" or "conv1d-linear" (causal depth-wise convolution over time first).
    chunk_size (`int`): encoder frames seen together, -1 for full attention (not streamable).
    left_chunks (`int`): chunks visible to the left of a frame's own, -1 for all.
    dynamic_chunks (`bool`): draw both at random for every call in training; evaluation uses the two above.
    max_positions (`int`, *optional*): most encoder frames of one clip; by default the limit of the position kind.
    connector_type (`str`): "cnn", "linear", "subsampling" (VITA-1.0) or "ctc" (ours: posteriors times a table).
    connector_stride (`int`): encoder frames per token of the "subsampling" connector.
    connector_num_convs (`int`): convolutions of the "subsampling" connector, 1 or 2.
    output_dim (`int`): width of the language model.
    ctc_vocab_size (`int`): symbols of the "ctc" connector without the blank, which comes last.
    """

    model_type = "vita_audio"
    base_config_key = "audio_config"

    encoder: str = "whale"
    window_positions: int = 1500
    input_dim: int = 80
    subsampling_dim: int = 1024
    hidden_size: int = 1024
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    hidden_act: str = "relu"
    position: str = "rel"
    normalize_before: bool = True
    concat_after: bool = False
    feed_forward: str = "linear"
    conv_kernel_size: int = 1
    chunk_size: int = -1
    left_chunks: int = -1
    dynamic_chunks: bool = False
    dropout: float | int = 0.1
    attention_dropout: float | int = 0.0
    positional_dropout: float | int = 0.1
    layer_norm_eps: float | int = 1e-5
    rope_base: float | int = 10000.0
    max_positions: int | None = None
    connector_type: str = "subsampling"
    connector_kernel_size: int = 5
    connector_stride: int = 2
    connector_activation: str = "gelu"
    connector_norm: str = "layer"
    connector_norm_eps: float | int = 1e-3
    connector_num_convs: int = 1
    output_dim: int = 4096
    ctc_vocab_size: int = 0

    def __post_init__(self, **kwargs) -> None:
        super().__post_init__(**kwargs)
        if self.max_positions is None and self.encoder == "whale":
            self.max_positions = REFERENCE_MAX_POSITIONS.get(self.position)
        self._check_choices()
        self._check_sizes()
        self._check_chunks()

    def _check_choices(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"audio {name} unknown", got=getattr(self, name), expected=f"one of {choices}")

    def _check_sizes(self) -> None:
        for name in SIZES:
            least = MIN_FRAMES if name == "input_dim" else 1  # the convolutions need 7 bins as they need 7 frames
            if getattr(self, name) < least:
                raise ConfigError(f"audio {name} too small", got=getattr(self, name), expected=f"at least {least}")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                "audio hidden_size must be a multiple of num_attention_heads",
                got=f"{self.hidden_size} and {self.num_attention_heads}",
            )
        if self.position == "rotary" and self.head_dim % 2:
            raise ConfigError("rotary positions need an even head size", got=self.head_dim)
        if self.connector_type == "ctc" and self.ctc_vocab_size < 1:
            raise ConfigError("the ctc connector needs ctc_vocab_size >= 1", got=self.ctc_vocab_size)
        if self.connector_kernel_size < self.token_stride:
            raise ConfigError(
                "connector_kernel_size is smaller than its stride",
                got=self.connector_kernel_size,
                expected=f"at least {self.token_stride}",
            )

    def _check_chunks(self) -> None:
        if self.chunk_size == 0 or self.chunk_size < -1:
            raise ConfigError("audio chunk_size out of range", got=self.chunk_size, expected="-1 (full) or >= 1")
        if self.encoder == "whisper" and self.chunk_size != -1:
            raise ConfigError("Whisper's encoder has no chunks", got=self.chunk_size, expected="chunk_size -1")
        if self.encoder == "whisper" and self.window_positions % 50:
            raise ConfigError(
                "Whisper's window is no whole number of seconds",
                got=f"{self.window_positions} frames",
                expected="a multiple of 50",
            )
        if self.left_chunks < -1:
            raise ConfigError("audio left_chunks out of range", got=self.left_chunks, expected="-1 (all) or >= 0")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def streamable(self) -> bool:
        """Whether frames see a bounded piece of the future, so that streaming equals batch."""
        return self.chunk_size > 0

    @property
    def token_stride(self) -> int:
        """Encoder frames per token of the connector."""
        if self.connector_type == "subsampling":
            return self.connector_stride
        return 2 if self.connector_type == "ctc" else 1

    @property
    def frame_ms(self) -> int:
        """Milliseconds per encoder frame."""
        return 20 if self.encoder == "whisper" else 40

    @property
    def window_samples(self) -> int:
        """Samples of a window of Whisper's encoder."""
        return 2 * WHISPER_HOP * self.window_positions

    def num_frames(self, num_samples: int) -> int:
        """Mel frames of a clip of so many samples at 16 kHz; 0 for one that is too short (under 25 ms)."""
        if self.encoder == "whale" or not num_frames(num_samples):
            return num_frames(num_samples)
        windows, rest = divmod(num_samples, self.window_samples)
        last = min(-(-rest // WHISPER_HOP) + 2, 2 * self.window_positions) if rest else 0
        return 2 * self.window_positions * windows + last

    def num_encoder_frames(self, num_frames: int) -> int:
        """Encoder frames of a clip of `num_frames` mel frames; a clip shorter than 7 frames is padded to 7."""
        if self.encoder == "whisper":
            return -(-num_frames // 2)
        return ((max(num_frames, MIN_FRAMES) - 1) // 2 - 1) // 2

    def num_audio_tokens(self, num_frames: int) -> int:
        """Tokens that the connector gives for a clip of `num_frames` mel frames (see filterbank.num_frames)."""
        return -(-self.num_encoder_frames(num_frames) // self.token_stride)


__all__ = ["VitaAudioConfig"]

"""AudioTower: mel features to encoder frames of 40 ms, in batches or chunk by chunk.

CMVN, 4x convolutional subsampling, then a Transformer whose frames see everything, or the chunks to their left and
their own (`chunk_size`, `left_chunks`). With chunks, feeding a sound piece by piece gives the numbers of the batch.
Called by VitaForConditionalGeneration, the CTC pre-training and the engine's listening stream.
Shape legend: B batch, T mel frames, F mel bins, L encoder frames, D width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vita.errors import LimitError, MediaError
from vita.models.audio_layers import ConvSubsampling, EncoderLayer, InputProjection, rotations, sinusoids
from vita.models.audio_masks import draw_chunks, valid_frames, visibility
from vita.models.audio_stream import TowerStream, finish_features, open_tower_stream, push_features
from vita.models.cmvn import Cmvn
from vita.models.configuration_audio import MIN_FRAMES, VitaAudioConfig

if TYPE_CHECKING:
    from vita.models.whisper_tower import WhisperTower


class AudioTower(nn.Module):
    """The audio encoder of a VITA model; all sizes in `config`."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.cmvn = Cmvn(config.input_dim)
        self.subsampling = ConvSubsampling(config)
        self.input_projection = InputProjection(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.normalize_before else nn.Identity()
        )

    def forward(
        self,
        features_BTF: Tensor,
        lengths_B: Tensor,
        *,
        chunk_size: int | None = None,
        left_chunks: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encodes a padded batch.

        Args:
            features_BTF: raw mel features, zero-padded.
            lengths_B: mel frames of each clip. A clip under 7 frames is lengthened to 7 by silence of the mean kind
                (zeros after CMVN), so that it gives one encoder frame.
            chunk_size: overrides the configured chunk size for this call; -1 for full attention.
            left_chunks: overrides the configured number of visible chunks to the left; -1 for all.

        Returns:
            hidden [B, L, D], L = ((T-1)//2 - 1)//2, and the mask bool [B, L] of frames that belong to the clip. A frame
            is valid only if all mel frames that it sees are; numbers at other frames are defined but of no use.
        """
        x, lengths_B = lengthen_short(self.cmvn(features_BTF), lengths_B.to(features_BTF.device))
        x_BLD = self.embed(self.subsampling(x))
        num_frames = x_BLD.shape[1]
        mask_BL = valid_frames(((lengths_B - 1) // 2 - 1) // 2, num_frames)
        visible = visibility(mask_BL, *self._chunks(num_frames, chunk_size, left_chunks))
        positions = self.positions(0, num_frames, x_BLD.device)
        for layer in self.layers:
            x_BLD, _ = layer(x_BLD, positions, visible)
        return self.final_norm(x_BLD), mask_BL

    def embed(self, subsampled: Tensor, start: int = 0) -> Tensor:
        """Subsampled frames [B, L, subsampling_dim] from position `start` on -> input of the first layer [B, L, D]."""
        config, length = self.config, subsampled.shape[1]
        if config.max_positions is not None and start + length > config.max_positions:
            raise LimitError(
                "sound is longer than the audio tower can place",
                got=f"{(start + length) * 0.04:.0f} s",
                expected=f"at most {config.max_positions * 0.04:.0f} s",
                fix="split it",
            )
        x_BLD = self.input_projection(subsampled)
        if config.position != "rotary":
            x_BLD = x_BLD * math.sqrt(config.hidden_size)
        if config.position == "abs":
            x_BLD = x_BLD + sinusoids(start, length, config.hidden_size, x_BLD.device).to(x_BLD.dtype)
        return F.dropout(x_BLD, config.positional_dropout, self.training)

    def positions(self, start: int, length: int, device: torch.device) -> Tensor | None:
        """What the layers' attention needs to know of the positions start..start+length-1; see SelfAttention."""
        config = self.config
        if config.position == "rel":
            return sinusoids(start, length, config.hidden_size, device)
        if config.position == "rotary":
            return rotations(start, length, config.head_dim, config.rope_base, device)
        return None

    def new_stream(self, *, chunk_size: int | None = None, left_chunks: int | None = None) -> TowerStream:
        """The state of a sound about to arrive; both sizes as in `forward`. ConfigError with full attention."""
        return open_tower_stream(self.config, self.training, chunk_size, left_chunks)

    def push(self, state: TowerStream, features_TF: Tensor) -> Tensor:
        """Takes raw mel frames [T, F] as they come; gives the encoder frames of the chunks now complete, [L, D]."""
        return push_features(self, state, features_TF)

    def finish(self, state: TowerStream) -> Tensor:
        """Ends the sound; gives the encoder frames of its last, incomplete chunk, [L, D]."""
        return finish_features(self, state)

    def _chunks(self, num_frames: int, chunk_size: int | None, left_chunks: int | None) -> tuple[int, int]:
        if self.training and self.config.dynamic_chunks and chunk_size is None and left_chunks is None:
            return draw_chunks(num_frames)
        return (
            self.config.chunk_size if chunk_size is None else chunk_size,
            self.config.left_chunks if left_chunks is None else left_chunks,
        )


def build_audio_tower(config: VitaAudioConfig) -> AudioTower | WhisperTower:
    """The tower named by config.encoder: forward(features_BTF, lengths_B) -> hidden [B, L, D], mask [B, L]."""
    if config.encoder == "whisper":
        from vita.models.whisper_tower import WhisperTower

        return WhisperTower(config)
    return AudioTower(config)


def lengthen_short(x_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised features of clips under 7 frames, lengthened by zeros to 7; others stay as they are."""
    shortest = int(lengths_B.min())
    if shortest < 1:
        raise MediaError("a sound has no feature frames", got=shortest, expected="at least 1")
    if int(lengths_B.max()) > x_BTF.shape[1]:
        raise MediaError("a sound is longer than its features", got=int(lengths_B.max()), expected=x_BTF.shape[1])
    if shortest >= MIN_FRAMES:
        return x_BTF, lengths_B
    x_BTF = F.pad(x_BTF, (0, 0, 0, max(MIN_FRAMES - x_BTF.shape[1], 0)))
    frame = torch.arange(x_BTF.shape[1], device=x_BTF.device)
    added_BT = (frame >= lengths_B[:, None]) & (frame < MIN_FRAMES)
    return x_BTF.masked_fill(added_BT[..., None], 0.0), lengths_B.clamp(min=MIN_FRAMES)

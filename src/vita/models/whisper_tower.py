"""WhisperTower: log-mel features to encoder frames of 20 ms, by the encoder of a Whisper.

It sees a window (30 s) at a time and always a whole one, so it cannot be streamed; sounds that are longer are encoded
window by window. Built by `build_audio_tower`.
Shape legend: B batch, T mel frames, F mel bins, W windows, L encoder frames, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from vita.errors import MediaError
from vita.models.configuration_audio import VitaAudioConfig

SILENCE = -1.5
"""The value of a log-mel feature of nothing at all: (log10(1e-10) + 4) / 4 in a window that is nothing but that."""
RANGE = 2.0
"""How far below a window's largest feature its smallest can be: 8 powers of ten, divided by 4."""


class WhisperTower(nn.Module):
    """The audio encoder of a Whisper; sizes in `config`."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = WhisperEncoder._from_config(whisper_config(config))

    def forward(self, features_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes a padded batch.

        Args:
            features_BTF: log-mel features as `audio_features` gives them, padded with anything.
            lengths_B: mel frames of each clip.

        Returns:
            hidden [B, L, D], L = ceil(T / 2), and the mask bool [B, L] of frames that belong to the clip.
        """
        lengths_B = lengths_B.to(features_BTF.device)
        if int(lengths_B.min()) < 1 or int(lengths_B.max()) > features_BTF.shape[1]:
            raise MediaError("a sound's length and its features do not fit", got=lengths_B.tolist())
        size, num_frames = 2 * self.config.window_positions, features_BTF.shape[1]
        x = F.pad(features_BTF.float(), (0, 0, 0, -num_frames % size)).unflatten(1, (-1, size))  # [B, W, size, F]
        frame = torch.arange(x.shape[1] * size, device=x.device).unflatten(0, (-1, size))
        is_sound = (frame < lengths_B[:, None, None])[..., None]
        largest = x.masked_fill(~is_sound, float("-inf")).amax((2, 3), keepdim=True)
        x = torch.where(is_sound, x, (largest - RANGE).clamp(min=SILENCE))
        dtype = self.encoder.conv1.weight.dtype
        hidden = self.encoder(x.flatten(0, 1).transpose(1, 2).to(dtype)).last_hidden_state
        hidden_BLD = hidden.unflatten(0, x.shape[:2]).flatten(1, 2)[:, : -(-num_frames // 2)]
        position = torch.arange(hidden_BLD.shape[1], device=x.device)
        return hidden_BLD, position < ((lengths_B + 1) // 2)[:, None]


def whisper_config(config: VitaAudioConfig) -> WhisperConfig:
    """The encoder's settings as transformers has them."""
    return WhisperConfig(
        num_mel_bins=config.input_dim,
        d_model=config.hidden_size,
        encoder_layers=config.num_hidden_layers,
        encoder_attention_heads=config.num_attention_heads,
        encoder_ffn_dim=config.intermediate_size,
        activation_function=config.hidden_act,
        max_source_positions=config.window_positions,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
    )

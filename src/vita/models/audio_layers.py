"""The parts of the audio tower: convolutional subsampling, positions, attention, feed-forward, encoder layer.

Attention and the convolutional feed-forward take an optional past (what earlier chunks left behind), so the same
modules serve batches and streams. Shape legend: B batch, T mel frames, F mel bins, L encoder frames, S keys (past
and present), D width, H heads, K head width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from vita.models.configuration_audio import VitaAudioConfig

MASKED_SCORE = -65504.0


class ConvSubsampling(nn.Module):
    """Two 3x3 convolutions of stride 2 over time and mel bins: a frame every 40 ms, seeing 7 mel frames."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        channels = config.subsampling_dim
        num_bins = ((config.input_dim - 1) // 2 - 1) // 2
        self.conv1 = nn.Conv2d(1, channels, 3, 2)
        self.conv2 = nn.Conv2d(channels, channels, 3, 2)
        self.projection = nn.Linear(channels * num_bins, channels)

    def forward(self, features_BTF: Tensor) -> Tensor:
        """[B, T, F] -> [B, L, subsampling_dim], L = ((T-1)//2 - 1)//2."""
        # Channels last trains a quarter faster on a CPU; contiguous, pieces of a sound give the very bits of the whole.
        layout = torch.channels_last if self.training else torch.contiguous_format
        x = features_BTF[:, None].to(self.conv1.weight.dtype, memory_format=layout)
        x = F.relu(self.conv2(F.relu(self.conv1(x), inplace=True)), inplace=True)
        return self.projection(x.transpose(1, 2).flatten(2))


class InputProjection(nn.Module):
    """Subsampled frames to the width of the Transformer: linear, layer norm, dropout, ReLU."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(config.subsampling_dim, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = config.dropout

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, subsampling_dim] -> [B, L, D]."""
        return F.relu(F.dropout(self.norm(self.linear(x)), self.dropout, self.training))


def sinusoids(start: int, length: int, width: int, device: torch.device) -> Tensor:
    """Positions start..start+length-1 as float32 [length, width]: sines at even places, cosines at odd ones."""
    position = torch.arange(start, start + length, device=device, dtype=torch.float32)
    rate = torch.exp(torch.arange(0, width, 2, device=device, dtype=torch.float32) * -(math.log(10000.0) / width))
    angle = position[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def rotations(start: int, length: int, head_dim: int, base: float, device: torch.device) -> Tensor:
    """Rotary positions start..start+length-1 as float32 [2, length, head_dim]: cosines, then sines."""
    position = torch.arange(start, start + length, device=device, dtype=torch.float32)
    rate = base ** (-torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim)
    angle = (position[:, None] * rate).repeat(1, 2)
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x_BHLK: Tensor, rotations_2LK: Tensor) -> Tensor:
    """Turns each pair (k, k + K/2) of a query or key by its position's angle."""
    cosine, sine = rotations_2LK.to(x_BHLK.dtype)
    first, second = x_BHLK.chunk(2, dim=-1)
    return x_BHLK * cosine + torch.cat([-second, first], dim=-1) * sine


@dataclass(frozen=True)
class KeyValues:
    """Keys and values [B, H, S, K] of one layer; for "rel" also what each key adds to every score, [B, H, 1, S]."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None

    def after(self, past: KeyValues | None) -> KeyValues:
        """This, preceded by what an earlier chunk left."""
        if past is None:
            return self
        bias = None if self.bias is None or past.bias is None else torch.cat([past.bias, self.bias], dim=3)
        return KeyValues(torch.cat([past.keys, self.keys], 2), torch.cat([past.values, self.values], 2), bias)

    def last(self, num_frames: int) -> KeyValues:
        """Only the last `num_frames` keys."""
        start = max(self.keys.shape[2] - num_frames, 0)
        bias = None if self.bias is None else self.bias[..., start:]
        return KeyValues(self.keys[:, :, start:], self.values[:, :, start:], bias)


class SelfAttention(nn.Module):
    """Multi-head attention; the position enters through the input ("abs"), the keys ("rel") or both sides ("rotary").

    "rel" is VITA-1.0's relative attention, which leaves out the shift: score = (q + u).k + (q + v).p with p of the
    key's absolute position. That is q.(k + p) plus a bias per key, u.k + v.p, so fused attention serves it as well.
    """

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        width, self.num_heads, self.head_dim = config.hidden_size, config.num_attention_heads, config.head_dim
        self.position, self.dropout = config.position, config.attention_dropout
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        if self.position == "rel":
            self.position_proj = nn.Linear(width, width, bias=False)
            self.content_bias = nn.Parameter(torch.empty(self.num_heads, self.head_dim))
            self.position_bias = nn.Parameter(torch.empty(self.num_heads, self.head_dim))
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Random biases of the relative position term; the linear maps initialise themselves."""
        if self.position == "rel":
            nn.init.xavier_uniform_(self.content_bias)
            nn.init.xavier_uniform_(self.position_bias)

    def forward(
        self, x_BLD: Tensor, positions: Tensor | None, visible: Tensor | None, past: KeyValues | None = None
    ) -> tuple[Tensor, KeyValues]:
        """Attention of the frames over themselves and the past.

        Args:
            x_BLD: normalised input.
            positions: of these frames; sinusoids [L, D] for "rel", rotations [2, L, K] for "rotary", None for "abs".
            visible: bool, broadcast to [B, H, L, S], or None when everything is visible.
            past: keys and values before these frames.

        Returns:
            [B, L, D] and the keys and values, past included.
        """
        query = self.split_heads(self.q_proj(x_BLD))
        present = KeyValues(self.split_heads(self.k_proj(x_BLD)), self.split_heads(self.v_proj(x_BLD)), None)
        if self.position == "rotary" and positions is not None:
            query = rotate(query, positions)
            present = KeyValues(rotate(present.keys, positions), present.values, None)
        elif self.position == "rel" and positions is not None:
            present = self.place_keys(present, positions)
        seen = present.after(past)
        scores = _additive(seen.bias, visible, query.dtype)
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(query, seen.keys, seen.values, attn_mask=scores, dropout_p=dropout)
        if visible is not None:  # a padded frame may see nothing at all: its attention is zero
            out = out * visible.any(-1, keepdim=True)
        return self.out_proj(out.transpose(1, 2).flatten(2)), seen

    def split_heads(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] -> [B, H, L, K]."""
        return x_BLD.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def place_keys(self, present: KeyValues, positions_LD: Tensor) -> KeyValues:
        """Puts the position term of "rel" into the keys and their bias."""
        place_1HLK = self.split_heads(self.position_proj(positions_LD.to(self.position_proj.weight.dtype))[None])
        bias = (present.keys * self.content_bias[:, None]).sum(-1) + (place_1HLK * self.position_bias[:, None]).sum(-1)
        return KeyValues(present.keys + place_1HLK, present.values, bias[:, :, None] / math.sqrt(self.head_dim))


def _additive(bias: Tensor | None, visible: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores: the keys' bias where visible, the masked score elsewhere; None for nothing."""
    if visible is None:
        return None if bias is None else bias.to(dtype)
    seen = torch.zeros((), dtype=dtype, device=visible.device) if bias is None else bias.to(dtype)
    return torch.where(visible, seen, torch.full((), MASKED_SCORE, dtype=dtype, device=visible.device))


class FeedForward(nn.Module):
    """Two linear maps; "conv1d-linear" puts a causal depth-wise convolution over time before the first."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.dropout, self.activation = config.dropout, ACT2FN[config.hidden_act]
        self.convolves = config.feed_forward == "conv1d-linear"
        self.context = config.conv_kernel_size - 1
        if self.convolves:
            depthwise = nn.Conv1d(width, width, config.conv_kernel_size, groups=width)
            self.up = nn.Sequential(depthwise, nn.Conv1d(width, inner, 1))
        else:
            self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def forward(self, x_BLD: Tensor, past_BSD: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """[B, L, D] -> [B, L, D] and the last inputs, which the next chunk's convolution needs."""
        if self.convolves:
            if past_BSD is None:
                past_BSD = x_BLD.new_zeros(x_BLD.shape[0], self.context, x_BLD.shape[2])
            joined = torch.cat([past_BSD, x_BLD], dim=1)
            past_BSD = joined[:, joined.shape[1] - self.context :]
            hidden = self.up(joined.transpose(1, 2)).transpose(1, 2)
        else:
            hidden = self.up(x_BLD)
        hidden = F.dropout(self.activation(hidden), self.dropout, self.training)
        return self.down(hidden), past_BSD


@dataclass(frozen=True)
class LayerPast:
    """What one layer keeps of earlier chunks."""

    attention: KeyValues
    feed_forward: Tensor | None


class EncoderLayer(nn.Module):
    """Attention and feed-forward with residuals, pre-norm or post-norm."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.dropout, self.normalize_before = config.dropout, config.normalize_before
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)
        self.attention_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.feed_forward_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.concat_proj = nn.Linear(2 * width, width) if config.concat_after else None

    def forward(
        self, x_BLD: Tensor, positions: Tensor | None, visible: Tensor | None, past: LayerPast | None = None
    ) -> tuple[Tensor, LayerPast]:
        """[B, L, D] -> [B, L, D]; arguments as in SelfAttention. Also gives what the next chunk needs."""
        norm1, norm2 = self.attention_norm, self.feed_forward_norm
        normed = norm1(x_BLD) if self.normalize_before else x_BLD
        attended, keys = self.attention(normed, positions, visible, past and past.attention)
        if self.concat_proj is not None:
            x_BLD = x_BLD + self.concat_proj(torch.cat([normed, attended], dim=-1))
        else:
            x_BLD = x_BLD + F.dropout(attended, self.dropout, self.training)
        if not self.normalize_before:
            x_BLD = norm1(x_BLD)
        forwarded, inputs = self.feed_forward(
            norm2(x_BLD) if self.normalize_before else x_BLD, past and past.feed_forward
        )
        x_BLD = x_BLD + F.dropout(forwarded, self.dropout, self.training)
        return x_BLD if self.normalize_before else norm2(x_BLD), LayerPast(keys, inputs)

"""AudioConnector: encoder frames to tokens of the language model's width.

"linear" is one linear map; "cnn" two convolutions that look back before it; "subsampling" one or two, the last with
stride 2 (12.5 tokens a second); these are VITA-1.0's. "ctc" is ours: one convolution of stride 2, a CTC head over the
language model's own vocabulary, and tokens made of its posterior (posterior.py). Shape legend: B batch, L encoder
frames, D encoder width, N tokens, C width of the last convolution, H width of the language model.
"""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN

from vita.models.audio_stream import ConnectorStream, push_hidden
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.posterior import PosteriorProjection


class TimeConv(nn.Module):
    """Convolution over time, then a norm and an activation. `left` and `right` zeros stand around the sound."""

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        kernel_size: int,
        stride: int,
        right: int,
        norm: str,
        activation: str,
        eps: float,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.out_dim = kernel_size, stride, out_dim
        self.left, self.right = kernel_size - 1 - right, right
        self.conv = nn.Conv1d(in_dim, out_dim, kernel_size, stride)
        self.norm = nn.BatchNorm1d(out_dim, eps=eps) if norm == "batch" else nn.LayerNorm(out_dim, eps=eps)
        self.activation = ACT2FN[activation]

    def forward(self, x_BLD: Tensor) -> Tensor:
        """[B, L, in_dim] -> [B, ceil(L / stride), out_dim]."""
        return self.convolve(F.pad(x_BLD, (0, 0, self.left, self.right)))

    def convolve(self, x_BLD: Tensor) -> Tensor:
        """The same without padding: [B, L, in_dim] -> [B, (L - kernel) // stride + 1, out_dim]."""
        x_BCN = self.conv(x_BLD.transpose(1, 2))
        if isinstance(self.norm, nn.BatchNorm1d):
            return self.activation(self.norm(x_BCN)).transpose(1, 2)
        return self.activation(self.norm(x_BCN.transpose(1, 2)))


class AudioConnector(nn.Module):
    """The connector named by `config.connector_type`."""

    def __init__(self, config: VitaAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.convs, width = build_convs(config)
        if config.connector_type == "ctc":
            self.projection = PosteriorProjection(width, [config.ctc_vocab_size + 1], config.output_dim)
        else:
            self.projection = nn.Linear(width, config.output_dim)

    def forward(self, hidden_BLD: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        """hidden [B, L, D], mask bool [B, L] -> tokens [B, N, H], mask bool [B, N]."""
        hidden_BNC, mask_BN = self.hidden(hidden_BLD, mask_BL)
        return self.projection(hidden_BNC), mask_BN

    def hidden(self, hidden_BLD: Tensor, mask_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Everything before the projection: [B, L, D] -> [B, N, C] and the mask of the tokens [B, N].

        Convolutions see padded encoder frames as zeros.
        """
        if not self.convs:
            return hidden_BLD, mask_BL
        x = hidden_BLD.masked_fill(~mask_BL[..., None], 0.0)
        for conv in self.time_convs():
            x = conv(x)
        return x, mask_BL[:, :: self.config.token_stride]

    @property
    def projection_weight(self) -> Tensor:
        """A weight of the projection: where the tokens are made, and in which number format."""
        return next(self.projection.parameters())

    def time_convs(self) -> list[TimeConv]:
        """The convolutions in the order in which they apply."""
        return cast("list[TimeConv]", list(self.convs))

    def new_stream(self) -> ConnectorStream:
        """The state of a sound that is about to arrive."""
        return ConnectorStream(
            [conv.conv.weight.new_zeros(conv.left, conv.conv.in_channels) for conv in self.time_convs()]
        )

    def push(self, state: ConnectorStream, hidden_LD: Tensor) -> Tensor:
        """Takes encoder frames [L, D] as they come; gives the tokens now complete, [N, H]."""
        return push_hidden(self, state, hidden_LD)

    def finish(self, state: ConnectorStream, hidden_LD: Tensor) -> Tensor:
        """Takes the last encoder frames [L, D], maybe none, and ends the sound; gives the tokens that were left."""
        return push_hidden(self, state, hidden_LD, final=True)


def build_convs(config: VitaAudioConfig) -> tuple[nn.ModuleList, int]:
    """The convolutions of a connector and the width that they end with.

    As in VITA-1.0, connectors of two convolutions always use batch norm and ReLU, whatever the options say, and the
    convolution of stride 2 looks ahead by all of its kernel, the others back. The "ctc" connector's looks ahead by the
    one frame that it shares a token with, so that chunks of even size pass without delay.
    """
    width, kind, kernel_size = config.hidden_size, config.connector_type, config.connector_kernel_size
    if kind == "linear":
        return nn.ModuleList(), width
    if kind == "ctc":
        widths = [width, width]
    elif kind == "subsampling" and config.connector_num_convs == 1:
        widths = [width, 2 * width]
    else:
        widths = [width, 2 * width, 4 * width]
    fixed, ahead = len(widths) == 3, {"ctc": 1, "subsampling": kernel_size - 1, "cnn": 0}[kind]
    last = len(widths) - 2
    convs = nn.ModuleList(
        TimeConv(
            widths[i],
            widths[i + 1],
            kernel_size=kernel_size,
            stride=config.token_stride if i == last else 1,
            right=ahead if i == last else 0,
            norm="batch" if fixed else config.connector_norm,
            activation="relu" if fixed else config.connector_activation,
            eps=config.connector_norm_eps,
        )
        for i in range(len(widths) - 1)
    )
    return convs, widths[-1]

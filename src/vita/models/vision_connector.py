"""Vision connectors: patch features to tokens of the language model's width.

"mlp2x_gelu" is VITA's: features scaled by half, 2 x 2 patches joined into one (pixel shuffle), two linear layers.
"slots" is ours (slots.py): few tokens, one for each object. Built by VitaForConditionalGeneration.
Shape legend: N tiles, P patches (in rows), D width of the vision encoder, K tokens of a tile, H width of the LLM.
"""

from __future__ import annotations

from torch import Tensor, nn

from vita.errors import MediaError
from vita.models.configuration_vita import VitaConfig


def pixel_shuffle(patches_NPD: Tensor, block: int) -> Tensor:
    """Joins block x block neighbouring patches: [N, P, D] -> [N, P / block^2, D * block^2], tokens row by row.

    The channels of a token come patch by patch: the patches of its first row from left to right, then the next row.
    """
    num_tiles, num_patches, width = patches_NPD.shape
    edge = round(num_patches**0.5)
    if edge * edge != num_patches or edge % block:
        raise MediaError("patches do not form a square that can be joined", got=f"{num_patches} patches by {block}")
    tokens = edge // block
    grid = patches_NPD.reshape(num_tiles, tokens, block, tokens, block, width).transpose(2, 3)
    return grid.reshape(num_tiles, tokens * tokens, block * block * width)


class MlpConnector(nn.Module):
    """Scale, pixel shuffle, linear, GELU, linear."""

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        self.block = round(1 / config.downsample_ratio)
        self.scale = config.vision_feature_scale
        in_dim, out_dim = config.vision_width * self.block**2, config.text_config.hidden_size
        self.input_projection = nn.Linear(in_dim, out_dim)
        self.activation = nn.GELU()
        self.output_projection = nn.Linear(out_dim, out_dim)

    def shuffle(self, patches_NPD: Tensor) -> Tensor:
        """What the two layers see: [N, K, D * block^2]."""
        return pixel_shuffle(patches_NPD * self.scale, self.block)

    def forward(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """[N, P, D] -> [N, K, H]; with `num_tokens` only the first of them."""
        tokens = self.shuffle(patches_NPD)[:, :num_tokens]
        return self.output_projection(self.activation(self.input_projection(tokens)))


def build_vision_connector(config: VitaConfig) -> nn.Module:
    """The connector named by config.vision_connector["type"]: forward(patches_NPD, num_tokens) -> [N, K, H]."""
    if config.vision_connector["type"] == "slots":
        from vita.models.slots import SlotsConnector

        return SlotsConnector(config)
    return MlpConnector(config)

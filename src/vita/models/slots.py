"""SlotsConnector: few tokens for a picture, one for each object, character or box. Ours; the pocket model uses it.

Learned queries read the patches of the vision tower; what each query found is stated as posteriors over kind, shape,
colour, place, position and character (posterior.py), and the token is their expectation over a table of embeddings.
Slots see only the slots before them, so the first k slots of a frame are the same whether k or all are asked for.
Shape legend: N tiles, P patches, D width of the vision encoder, K slots, H width of the language model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vita.models.configuration_vita import VitaConfig
from vita.models.posterior import PosteriorProjection


def grid_positions(edge: int, width: int) -> Tensor:
    """[edge * edge, width]: sines and cosines of column and row; a query finds a region from the first step on."""
    frequencies = math.pi * 2.0 ** torch.linspace(-1, math.log2(edge / 2), width // 4, device="cpu")
    axis = (torch.arange(edge, device="cpu") + 0.5) / edge
    waves = torch.cat([torch.sin(axis[:, None] * frequencies), torch.cos(axis[:, None] * frequencies)], -1)
    columns, rows = waves.expand(edge, edge, -1), waves[:, None].expand(edge, edge, -1)
    return torch.cat([columns, rows], -1).reshape(edge * edge, -1)


def attend(query_NQD: Tensor, key_NPD: Tensor, value_NPD: Tensor, heads: int, *, causal: bool = False) -> Tensor:
    """Multi-head attention [N, Q, D]; written out, because the fused kernel's backward is slow on a CPU."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query_NQD, key_NPD, value_NPD))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


class PatchLayer(nn.Module):
    """Patches look at each other: what is a line of print, what follows what (pre-norm, residual each)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, patches_NPD: Tensor) -> Tensor:
        """[N, P, D] -> [N, P, D]."""
        query, key, value = self.qkv(self.norm(patches_NPD)).chunk(3, -1)
        patches_NPD = patches_NPD + self.out(attend(query, key, value, self.heads))
        return patches_NPD + self.mlp(self.mlp_norm(patches_NPD))


class SlotLayer(nn.Module):
    """Slots read the patches, then the slots before them, then think (pre-norm, residual each)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.read_norm, self.slot_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.read_query, self.read_out = nn.Linear(width, width), nn.Linear(width, width)
        self.read_key_value = nn.Linear(width, 2 * width)
        self.slot_qkv, self.slot_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, slots_NKD: Tensor, patches_NPD: Tensor) -> Tensor:
        """[N, K, D] and [N, P, D] -> [N, K, D]."""
        query = self.read_query(self.read_norm(slots_NKD))
        key, value = self.read_key_value(patches_NPD).chunk(2, -1)
        slots_NKD = slots_NKD + self.read_out(attend(query, key, value, self.heads))
        query, key, value = self.slot_qkv(self.slot_norm(slots_NKD)).chunk(3, -1)
        slots_NKD = slots_NKD + self.slot_out(attend(query, key, value, self.heads, causal=True))
        return slots_NKD + self.mlp(self.mlp_norm(slots_NKD))


class SlotsConnector(nn.Module):
    """Settings in config.vision_connector.

    num_slots, frame_slots: tokens of a picture and of a video frame.
    num_patch_layers, num_layers, num_heads: layers of the patches, of the slots, and their heads.
    group_sizes: the posterior's groups.
    """

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        settings, width = config.vision_connector, config.vision_width
        edge = config.tile_size // config.patch_size
        self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.empty(edge * edge, width))
        self.queries = nn.Parameter(torch.randn(settings["num_slots"], width) * 0.5)
        heads = settings.get("num_heads", 4)
        self.patch_layers = nn.ModuleList(PatchLayer(width, heads) for _ in range(settings.get("num_patch_layers", 0)))
        self.layers = nn.ModuleList(SlotLayer(width, heads) for _ in range(settings.get("num_layers", 2)))
        self.final_norm = nn.LayerNorm(width)
        self.projection = PosteriorProjection(width, settings["group_sizes"], config.text_config.hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The position table as it starts; a model that is built without storage gets it from its checkpoint."""
        if not self.positions.is_meta:
            self.positions.data.copy_(grid_positions(round(len(self.positions) ** 0.5), self.positions.shape[1]))

    def place(self, patches_NPD: Tensor) -> Tensor:
        """Patches that know where they are and what is around them: [N, P, D] -> [N, P, D]."""
        patches_NPD = self.norm(patches_NPD) + self._positions_of(patches_NPD.shape[1])
        for layer in self.patch_layers:
            patches_NPD = layer(patches_NPD)
        return patches_NPD

    def _positions_of(self, num_patches: int) -> Tensor:
        """[P, D]; for tiles of another size than the configured one interpolated bicubically."""
        if num_patches == len(self.positions):
            return self.positions
        old, new = round(len(self.positions) ** 0.5), round(num_patches**0.5)
        grid = self.positions.T.unflatten(-1, (old, old))[None]
        return nn.functional.interpolate(grid, size=(new, new), mode="bicubic")[0].flatten(1).T

    def hidden(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """[N, P, D] -> [N, K, D], before the posteriors."""
        return self.read(self.place(patches_NPD), num_tokens)

    def read(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """What the slots find in placed patches: [N, P, D] -> [N, K, D]."""
        slots_NKD = self.queries[:num_tokens].expand(len(patches_NPD), -1, -1)
        for layer in self.layers:
            slots_NKD = layer(slots_NKD, patches_NPD)
        return self.final_norm(slots_NKD)

    def forward(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """[N, P, D] -> tokens [N, K, H]; with `num_tokens` only the first of them."""
        return self.projection(self.hidden(patches_NPD, num_tokens))

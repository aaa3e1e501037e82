"""SlotsConnector: few tokens for a picture, one for each object, character or box. Ours; the pocket model uses it.

Learned queries read the patches of the vision tower; what each query found is stated as posteriors over kind, shape,
colour, place, position and character (posterior.py), and the token is their expectation over a table of embeddings.
Slots see only the slots before them, so the first k slots of a frame are the same whether k or all are asked for.
Shape legend: N tiles, P patches, D width of the vision encoder, K slots, H width of the language model.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vita.models.configuration_vita import VitaConfig
from vita.models.posterior import PosteriorProjection


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
        slots_NKD = slots_NKD + self.read_out(self._attend(query, key, value, causal=False))
        query, key, value = self.slot_qkv(self.slot_norm(slots_NKD)).chunk(3, -1)
        slots_NKD = slots_NKD + self.slot_out(self._attend(query, key, value, causal=True))
        return slots_NKD + self.mlp(self.mlp_norm(slots_NKD))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, *, causal: bool) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


class SlotsConnector(nn.Module):
    """Settings in config.vision_connector: num_slots, frame_slots, num_layers, num_heads, group_sizes (posterior groups)."""

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        settings, width = config.vision_connector, config.vision_config.hidden_size
        num_patches = (config.tile_size // config.patch_size) ** 2
        self.norm = nn.LayerNorm(width)
        self.positions = nn.Parameter(torch.randn(num_patches, width) * 0.02)
        self.queries = nn.Parameter(torch.randn(settings["num_slots"], width) * 0.5)
        self.layers = nn.ModuleList(SlotLayer(width, settings.get("num_heads", 4)) for _ in range(settings.get("num_layers", 2)))
        self.final_norm = nn.LayerNorm(width)
        self.projection = PosteriorProjection(width, settings["group_sizes"], config.text_config.hidden_size)

    def hidden(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """[N, P, D] -> [N, K, D], before the posteriors."""
        patches_NPD = self.norm(patches_NPD) + self.positions
        slots_NKD = self.queries[:num_tokens].expand(len(patches_NPD), -1, -1)
        for layer in self.layers:
            slots_NKD = layer(slots_NKD, patches_NPD)
        return self.final_norm(slots_NKD)

    def forward(self, patches_NPD: Tensor, num_tokens: int | None = None) -> Tensor:
        """[N, P, D] -> tokens [N, K, H]; with `num_tokens` only the first of them."""
        return self.projection(self.hidden(patches_NPD, num_tokens))

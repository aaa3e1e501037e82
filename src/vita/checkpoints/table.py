"""The table that turns the reference's tensor names into ours, and the arithmetic that goes with some of them.

Most tensors only change their name. The vision encoder's fused qkv is split in three; the experts of a mixture layer,
two or three matrices each, are stacked into one tensor. Every step can be undone (`Step.pick`). Used by `convert` and
by the parity tests, which compare gradients under the reference's names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vita.checkpoints.audio_names import rename_audio_key
from vita.errors import CheckpointError
from vita.models.configuration_vita import VitaConfig

LANGUAGE = "language_model.model."
VISION_PREFIX = "model.vision_tower.vision_tower."
AUDIO_PREFIX = "model.audio_encoder."
_VISION_LAYER = r"model\.vision_tower\.vision_tower\.encoder\.layers\.(\d+)\."
_OUR_LAYER = r"vision_tower.encoder.encoder.layer.\1."

RENAMES = (
    (r"model\.(embed_tokens|norm)\.", rf"{LANGUAGE}\1."),
    (r"lm_head\.", "language_model.lm_head."),
    (r"model\.layers\.(\d+)\.(self_attn|mlp|input_layernorm|post_attention_layernorm)\.", rf"{LANGUAGE}layers.\1.\2."),
    (r"model\.layers\.(\d+)\.block_sparse_moe\.gate\.", rf"{LANGUAGE}layers.\1.mlp.gate."),
    (r"model\.mm_projector\.0\.", "vision_connector.input_projection."),
    (r"model\.mm_projector\.2\.", "vision_connector.output_projection."),
    (r"model\.vision_tower\.vision_tower\.embeddings\.class_embedding", "vision_tower.encoder.embeddings.cls_token"),
    (
        r"model\.vision_tower\.vision_tower\.embeddings\.position_embedding",
        "vision_tower.encoder.embeddings.position_embeddings",
    ),
    (
        r"model\.vision_tower\.vision_tower\.embeddings\.patch_embedding\.",
        "vision_tower.encoder.embeddings.patch_embeddings.projection.",
    ),
    (_VISION_LAYER + r"attn\.proj\.", _OUR_LAYER + "attention.projection_layer."),
    (_VISION_LAYER + r"attn\.([qk]_norm)\.", _OUR_LAYER + r"attention.\2."),
    (_VISION_LAYER + r"mlp\.(fc[12])\.", _OUR_LAYER + r"mlp.\2."),
    (_VISION_LAYER + r"norm1\.", _OUR_LAYER + "layernorm_before."),
    (_VISION_LAYER + r"norm2\.", _OUR_LAYER + "layernorm_after."),
    (_VISION_LAYER + r"ls([12])", _OUR_LAYER + r"lambda_\2"),
)
SPLIT = _VISION_LAYER + r"attn\.qkv\.(weight|bias)"
EXPERT = r"model\.layers\.(\d+)\.block_sparse_moe\.experts\.(\d+)\.w([123])\.weight"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What becomes of one tensor of the reference.

    source: its name.
    targets: our tensors that it becomes; several for a split along the rows.
    part: which part of the target it is, where several tensors are joined.
    num_parts: how many they are.
    num_stacked: experts that the joined rows are cut into; 0 if nothing is stacked.
    """

    source: str
    targets: tuple[str, ...]
    part: int = 0
    num_parts: int = 1
    num_stacked: int = 0

    def join(self, parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """All parts, in order -> our tensors."""
        if self.num_stacked:
            return {self.targets[0]: torch.cat(list(parts)).unflatten(0, (self.num_stacked, -1))}
        pieces = parts[0].chunk(len(self.targets)) if len(self.targets) > 1 else parts
        return dict(zip(self.targets, pieces, strict=True))

    def pieces(self, tensor: Tensor) -> Iterator[tuple[str, int, int, Tensor]]:
        """What is to be written of a tensor: our name, which run of its rows, of how many equal runs, the values."""
        if len(self.targets) == 1:
            yield self.targets[0], self.part, self.num_parts, tensor
            return
        for target, piece in zip(self.targets, tensor.chunk(len(self.targets)), strict=True):
            yield target, 0, 1, piece

    def pick(self, ours: Mapping[str, Tensor]) -> Tensor:
        """The inverse: our tensors (weights or gradients) -> the tensor of the reference."""
        if self.num_stacked:
            return ours[self.targets[0]].flatten(0, 1).chunk(self.num_parts)[self.part]
        tensors = [ours[name] for name in self.targets]
        return torch.cat(tensors) if len(tensors) > 1 else tensors[0]


class Table:
    """The steps for the tensors of one checkpoint; the configuration says how many experts there are."""

    def __init__(self, config: VitaConfig) -> None:
        self.config = config
        self._kinds: tuple[Callable[[str], Step | None], ...] = (self._rename, self._split, self._expert, self._audio)

    def step(self, name: str) -> Step | None:
        """What becomes of the tensor `name`; None if the table does not know it."""
        return next((step for kind in self._kinds if (step := kind(name))), None)

    def steps(self, names: Sequence[str]) -> dict[str, Step]:
        """What becomes of all of them, by name; CheckpointError naming those that the table does not know."""
        found = {name: self.step(name) for name in names}
        unknown = [name for name, step in found.items() if step is None]
        if unknown:
            raise CheckpointError(
                f"{len(unknown)} tensors are not in the conversion table",
                got=first_few(unknown),
                fix="is this a VITA-1.0 or VITA-1.5 checkpoint?",
            )
        return {name: step for name, step in found.items() if step is not None}

    def _rename(self, name: str) -> Step | None:
        for pattern, replacement in RENAMES:
            renamed, matches = re.subn("^" + pattern, replacement, name)
            if matches:
                return Step(source=name, targets=(renamed,))
        return None

    def _split(self, name: str) -> Step | None:
        match = re.fullmatch(SPLIT, name)
        if not match:
            return None
        layer, kind = match.groups()
        stem = f"vision_tower.encoder.encoder.layer.{layer}.attention."
        return Step(source=name, targets=tuple(f"{stem}{letter}_proj.{kind}" for letter in "qkv"))

    def _expert(self, name: str) -> Step | None:
        match = re.fullmatch(EXPERT, name)
        if not match:
            return None
        layer, expert, which = (int(group) for group in match.groups())
        num_experts = self.config.text_config.num_local_experts
        if expert >= num_experts:
            return None
        stem = f"{LANGUAGE}layers.{layer}.mlp.experts."
        if which == 2:
            target, part, num_parts = "down_proj", expert, num_experts
        else:
            target, part, num_parts = "gate_up_proj", 2 * expert + (which == 3), 2 * num_experts
        return Step(source=name, targets=(stem + target,), part=part, num_parts=num_parts, num_stacked=num_experts)

    def _audio(self, name: str) -> Step | None:
        if not name.startswith(AUDIO_PREFIX):
            return None
        try:
            return Step(
                source=name, targets=(rename_audio_key(name.removeprefix(AUDIO_PREFIX), self.config.audio_config),)
            )
        except CheckpointError:
            return None


def first_few(names: Sequence[str], count: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def describe_misfit(missing: Sequence[str], superfluous: Sequence[str], misshapen: Sequence[str]) -> str:
    """How tensors fail to make up a model, the first few of each kind named; empty if they do make it up."""
    kinds = {"missing": missing, "superfluous": superfluous, "misshapen": misshapen}
    return "; ".join(f"{len(names)} {kind}: {first_few(names)}" for kind, names in kinds.items() if names)

"""VITA on vLLM: our towers and connectors, and around them vLLM's own language model of the configured kind.

Towers and connectors are whole on every tensor-parallel rank; the language model is split as vLLM splits it. Loaded by
vLLM through the name that `register` gave. Shape legend: N tiles, K tokens of a tile, T tokens, H width of the
language model, V vocabulary, M mel frames, F mel bins.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsLoRA, SupportsMultiModal, SupportsPP
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import (
    AutoWeightsLoader,
    StageMissingLayer,
    init_vllm_registered_model,
    maybe_prefix,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.sequence import IntermediateTensors

from vita.chat.messages import PLACEHOLDER_OF
from vita.errors import CheckpointError
from vita.models.audio_connector import AudioConnector
from vita.models.audio_tower import AudioTower, build_audio_tower
from vita.models.batching import pad_clips
from vita.models.configuration_vita import VitaConfig
from vita.models.vision_connector import build_vision_connector
from vita.models.vision_tower import VisionTower
from vita.vllm_plugin.marking import KINDS
from vita.vllm_plugin.processing import VitaDummyInputs, VitaMultiModalProcessor, VitaProcessingInfo

TOWERS, CONNECTORS = ("vision_tower", "audio_tower"), ("vision_connector", "audio_connector")


@MULTIMODAL_REGISTRY.register_processor(VitaMultiModalProcessor, info=VitaProcessingInfo, dummy_inputs=VitaDummyInputs)
class VitaForConditionalGeneration(nn.Module, SupportsMultiModal, SupportsPP, SupportsLoRA):
    """See vLLM's interfaces for what its methods are for."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config: VitaConfig = vllm_config.model_config.hf_config
        self.config = config
        self._has_mixtral = config.text_config.model_type == "mixtral"
        self.configure_mm_token_handling(config.text_config.vocab_size, [config.image_token_id, config.audio_token_id])
        with self._mark_tower_model(vllm_config, {"image", "video"}):
            self.vision_tower = VisionTower(config.vision_config, config.patch_size).eval()
            self.vision_connector = build_vision_connector(config).eval()
        with self._mark_tower_model(vllm_config, "audio"):
            self.audio_tower = build_audio_tower(config.audio_config).eval()
            if isinstance(self.audio_tower, AudioTower):
                self.audio_tower.cmvn.float()
            self.audio_connector = AudioConnector(config.audio_config).eval()
        with self._mark_language_model(vllm_config):
            self.language_model = init_vllm_registered_model(
                vllm_config=vllm_config,
                hf_config=config.text_config,
                prefix=maybe_prefix(prefix, "language_model"),
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors
        self.packed_modules_mapping = getattr(self.language_model, "packed_modules_mapping", {})
        placeholders = {config.image_token_id, config.audio_token_id}
        self._never_written = [token for token in placeholders if token < config.text_config.vocab_size]

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """The placeholder of a medium in a prompt that is text."""
        return PLACEHOLDER_OF[KINDS[modality.removesuffix("_embeds")]]

    def get_mm_mapping(self) -> MultiModelKeys:
        """Which modules are what, for LoRA."""
        return MultiModelKeys.from_string_field("language_model", connector=list(CONNECTORS), tower_model=list(TOWERS))

    def embed_input_ids(
        self,
        input_ids: Tensor,
        multimodal_embeddings: Any = None,
        *,
        is_multimodal: Tensor | None = None,
    ) -> Tensor:
        """Ids [T] and the features among them -> embeddings [T, H]; ids outside the vocabulary are not looked up."""
        if self._has_oov_mm_tokens:
            input_ids = input_ids.masked_fill(input_ids >= self.config.text_config.vocab_size, 0)
        return super().embed_input_ids(input_ids, multimodal_embeddings, is_multimodal=is_multimodal)

    @torch.inference_mode()
    def embed_multimodal(self, **kwargs: Any) -> list[Tensor]:
        """Processed media of one modality -> the features [T, H] of each, in order."""
        if kwargs.get("image_tiles") is not None:
            return self._see(kwargs["image_tiles"], kwargs["image_num_tiles"], self.config.num_image_tokens)
        if kwargs.get("video_tiles") is not None:
            return self._see(kwargs["video_tiles"], kwargs["video_num_tiles"], self.config.num_frame_tokens)
        if kwargs.get("audio_embeds") is not None:
            return list(kwargs["audio_embeds"])
        return self._hear(kwargs["audio_features"]) if kwargs.get("audio_features") is not None else []

    def _see(self, tiles_NCSS: Tensor, num_tiles: Tensor, num_tokens: int) -> list[Tensor]:
        tokens_NKH = self.vision_connector(self.vision_tower(tiles_NCSS), num_tokens)
        return [tokens_KH.flatten(0, 1) for tokens_KH in tokens_NKH.split(num_tiles.flatten().tolist())]

    def _hear(self, clips: list[Tensor] | Tensor) -> list[Tensor]:
        """Mel features [M, F] of each clip -> its tokens."""
        padded = pad_clips(list(clips))
        tokens_CTH, mask_CT = self.audio_connector(
            *self.audio_tower(padded["audio_features"], padded["audio_lengths"].to(clips[0].device))
        )
        return [tokens_TH[mask_T] for tokens_TH, mask_T in zip(tokens_CTH, mask_CT, strict=True)]

    def forward(
        self,
        input_ids: Tensor | None,
        positions: Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor | IntermediateTensors:
        """The language model's layers on this pipeline rank."""
        if intermediate_tensors is not None:
            inputs_embeds = None
        return self.language_model.model(input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds)

    def compute_logits(self, hidden_states: Tensor) -> Tensor | None:
        """Logits [T, V]; the ids that stand for media are never written."""
        logits = self.language_model.compute_logits(hidden_states)
        if logits is not None and self._never_written:
            logits[:, self._never_written] = -torch.inf
        return logits

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        """Takes a checkpoint's tensors; every tensor of the model is in it, and nothing else."""
        loaded: set[str] = set()
        loader = AutoWeightsLoader(self)
        loaded |= loader.load_weights(self._without_ours(weights, loaded))
        missing = set(self._ours()) - loaded
        if missing:
            raise CheckpointError("the checkpoint lacks tensors of the towers or connectors", got=sorted(missing)[:3])
        return loaded

    def _ours(self) -> dict[str, Tensor]:
        """Tensors of the towers and connectors, buffers included; none of those that vLLM was told to leave out."""
        parts = {name: getattr(self, name) for name in (*TOWERS, *CONNECTORS)}
        built = {name: part for name, part in parts.items() if not isinstance(part, StageMissingLayer)}
        return {f"{name}.{key}": value for name, part in built.items() for key, value in part.state_dict().items()}

    def _without_ours(self, weights: Iterable[tuple[str, Tensor]], loaded: set[str]) -> Iterator[tuple[str, Tensor]]:
        """Copies what belongs to towers and connectors, noting it in `loaded`; yields the rest."""
        ours = self._ours()
        for name, value in weights:
            part = name.split(".", 1)[0]
            if part not in (*TOWERS, *CONNECTORS):
                yield from experts_apart(name, value) if self._has_mixtral else [(name, value)]
            elif name in ours and ours[name].shape == value.shape:
                ours[name].copy_(value)
                loaded.add(name)
            elif not isinstance(getattr(self, part), StageMissingLayer):
                expected = list(ours[name].shape) if name in ours else "no such tensor"
                raise CheckpointError(f"{name} does not fit the model", got=list(value.shape), expected=expected)


def experts_apart(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A tensor of Mixtral as `vita convert` writes it, experts stacked -> as vLLM's loader knows it, one by one."""
    layer, of_mixture, part = name.partition(".mlp.")
    mixture = f"{layer}.block_sparse_moe."
    if part == "experts.gate_up_proj":
        for expert, rows in enumerate(value):
            gate, up = rows.chunk(2)
            yield f"{mixture}experts.{expert}.w1.weight", gate
            yield f"{mixture}experts.{expert}.w3.weight", up
    elif part == "experts.down_proj":
        for expert, rows in enumerate(value):
            yield f"{mixture}experts.{expert}.w2.weight", rows
    else:
        yield (mixture + part if of_mixture else name), value

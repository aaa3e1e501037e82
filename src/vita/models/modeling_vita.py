"""VitaForConditionalGeneration: a causal language model that also sees and hears.

Pictures and sounds become features of the language model's width, the features replace their placeholder ids, and the
language model does the rest; while it decodes, nothing of ours runs but one call. Called by the engine, by training
and through transformers' Auto classes.
Shape legend: B rows, T positions, H width of the language model, V vocabulary, N tiles, K tokens of a tile, C clips,
S pixels of a tile's edge, M mel frames, F mel bins.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from vita.errors import ConfigError, MediaError, PromptError
from vita.models.audio_connector import AudioConnector
from vita.models.audio_tower import build_audio_tower
from vita.models.configuration_vita import VitaConfig
from vita.models.fusion import scatter_features, select_features
from vita.models.loss import causal_loss, label_positions
from vita.models.vision_connector import build_vision_connector
from vita.models.vision_tower import VisionTower

MEDIA_INPUTS = ("pixel_values", "tile_token_counts", "audio_features", "audio_lengths", "audio_token_counts")


class VitaForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """A language model, two towers, two connectors and their fusion."""

    config_class = VitaConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ["text", "image", "audio"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = [  # noqa: RUF012
        "InternVLVisionLayer", "SiglipEncoderLayer", "CLIPEncoderLayer", "EncoderLayer", "WhisperEncoderLayer",
    ]  # fmt: skip
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _keep_in_fp32_modules_strict = {"cmvn"}  # noqa: RUF012

    def __init__(self, config: VitaConfig) -> None:
        super().__init__(config)
        self._is_built = False
        self.vision_tower = VisionTower(config.vision_config, config.patch_size)
        self.vision_connector = build_vision_connector(config)
        self.audio_tower = build_audio_tower(config.audio_config)
        self.audio_connector = AudioConnector(config.audio_config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()
        self._is_built = True

    def _init_weights(self, module: nn.Module) -> None:
        """Towers and connectors keep the values they were built with; only what a checkpoint lacks is drawn again."""
        reset = getattr(module, "reset_parameters", None)
        if self._is_built and callable(reset):
            reset()

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embeddings."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the language model's token embeddings."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """The language model's head."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replaces the language model's head."""
        self.language_model.set_output_embeddings(new_embeddings)

    def get_image_features(self, pixel_values: Tensor, num_tokens: int | None = None) -> Tensor:
        """Normalised tiles [N, 3, S, S] -> [N, K, H]; with `num_tokens` only the first tokens of each tile."""
        if not isinstance(pixel_values, Tensor):
            raise MediaError(
                "pixel_values must be one tensor", got=type(pixel_values).__name__, expected="[N, 3, S, S]"
            )
        patches_NPD = self.vision_tower(pixel_values.to(self.vision_tower.encoder.dtype))
        return self.vision_connector(patches_NPD, num_tokens)

    def get_audio_features(self, audio_features: Tensor, audio_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mel features [C, M, F], zero-padded, of audio_lengths [C] frames -> tokens [C, K, H], mask bool [C, K]."""
        return self.audio_connector(*self.audio_tower(audio_features, audio_lengths))

    def embed(
        self,
        input_ids: Tensor,
        *,
        pixel_values: Tensor | None = None,
        tile_token_counts: Tensor | None = None,
        audio_features: Tensor | None = None,
        audio_lengths: Tensor | None = None,
        audio_token_counts: Tensor | None = None,
    ) -> Tensor:
        """Ids with expanded placeholders, and the media they stand for -> embeddings [B, T, H].

        Args:
            input_ids: int64 [B, T]; config.image_token_id and config.audio_token_id, once for each feature.
            pixel_values: tiles and frames in order of appearance, [N, 3, S, S].
            tile_token_counts: how many tokens of each tile, the first ones, are in the ids; by default all.
            audio_features: mel features of the clips in order of appearance, zero-padded, [C, M, F].
            audio_lengths: mel frames of each clip; by default M.
            audio_token_counts: how many tokens of each clip, the first ones, are in the ids; by default those of its
                own length. A larger count takes in tokens of the padding, as the reference does.

        Raises:
            PromptError: placeholders and features differ in number.
        """
        is_image_BT, is_audio_BT = input_ids == self.config.image_token_id, input_ids == self.config.audio_token_id
        embeds_BTH = self.get_input_embeddings()(input_ids.masked_fill(is_image_BT | is_audio_BT, 0))
        nothing = embeds_BTH.new_empty((0, embeds_BTH.shape[-1]))
        images = nothing if pixel_values is None else self._image_tokens(pixel_values, tile_token_counts)
        embeds_BTH = scatter_features(embeds_BTH, is_image_BT, images, "image")
        if audio_features is None:
            return scatter_features(embeds_BTH, is_audio_BT, nothing, "audio")
        audios = self._audio_tokens(audio_features, audio_lengths, audio_token_counts)
        return scatter_features(embeds_BTH, is_audio_BT, audios, "audio")

    def _image_tokens(self, pixel_values: Tensor, counts_N: Tensor | None) -> Tensor:
        most = None if counts_N is None else max(1, int(counts_N.max()))
        return select_features(self.get_image_features(pixel_values, most), counts_N)

    def _audio_tokens(self, features_CMF: Tensor, lengths_C: Tensor | None, counts_C: Tensor | None) -> Tensor:
        if lengths_C is None:
            lengths_C = torch.full((features_CMF.shape[0],), features_CMF.shape[1], device=features_CMF.device)
        tokens_CKH, mask_CK = self.get_audio_features(features_CMF, lengths_C)
        return tokens_CKH[mask_CK] if counts_C is None else select_features(tokens_CKH, counts_C)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tile_token_counts: Tensor | None = None,
        audio_features: Tensor | None = None,
        audio_lengths: Tensor | None = None,
        audio_token_counts: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        output_router_logits: bool | None = None,
        skip_logits: bool | None = None,
        num_items_in_batch: int | Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """One pass of the language model over text and media. The media arguments are those of `embed`.

        Args:
            input_ids: int64 [B, T], or None with `inputs_embeds`.
            attention_mask: [B, T], 0 at padding.
            position_ids: int64 [B, T]; counting from 0 in each row by default. They may start anew within a row:
                samples packed into one row, which do not see each other if there is neither an attention_mask nor a
                cache.
            past_key_values: a cache of transformers.
            inputs_embeds: embeddings [B, T, H] in place of ids and media.
            labels: int64 [B, T], -100 where nothing is learned; shifted by one here.
            use_cache: return the cache. Default: as the language model is configured; with labels, do not.
            logits_to_keep: number of last positions, or positions, to compute logits for; 0 for all.
            output_router_logits: for mixtures of experts: return the router's logits and its load balancing loss
                `aux_loss`; with labels, router_aux_loss_coef times it is added to the loss.
            skip_logits: with labels: compute logits only where a label is, and return none of them. Default: while
                training.
            num_items_in_batch: divide the sum of losses by this and not by the number of labels here.
            kwargs: passed to the language model.

        Returns:
            The language model's own output class: loss, logits [B, T, V], past_key_values, ...
        """
        given = (pixel_values, tile_token_counts, audio_features, audio_lengths, audio_token_counts)
        kwargs |= self._fused(input_ids, inputs_embeds, dict(zip(MEDIA_INPUTS, given, strict=True)))
        kwargs |= {"attention_mask": attention_mask, "position_ids": position_ids}
        kwargs |= {"past_key_values": past_key_values, "use_cache": use_cache, "logits_to_keep": logits_to_keep}
        if output_router_logits is not None:
            kwargs["output_router_logits"] = output_router_logits
        if labels is None:
            return self.language_model(**kwargs)
        skip_logits = self.training if skip_logits is None else skip_logits
        return self._forward_with_loss(labels, skip_logits, num_items_in_batch, **kwargs)

    def _fused(
        self, input_ids: Tensor | None, inputs_embeds: Tensor | None, media: dict[str, Tensor | None]
    ) -> dict[str, Tensor | None]:
        """What the language model reads: the ids as they are, or embeddings of ids and media."""
        if inputs_embeds is None:
            if input_ids is None:
                raise PromptError("neither input_ids nor inputs_embeds given")
            if self._needs_fusion(input_ids, media):
                return {"input_ids": None, "inputs_embeds": self.embed(input_ids, **media)}
        return {"input_ids": input_ids, "inputs_embeds": inputs_embeds}

    def _forward_with_loss(
        self, labels_BT: Tensor, skip_logits: bool, num_items: int | Tensor | None, **kwargs: Any
    ) -> CausalLMOutputWithPast:
        if not isinstance(kwargs["logits_to_keep"], int) or kwargs["logits_to_keep"] != 0:
            raise ConfigError("logits_to_keep cannot be combined with labels", fix="use skip_logits")
        if kwargs["use_cache"] is None and kwargs["past_key_values"] is None:
            kwargs["use_cache"] = False  # with a cache, transformers does not look for samples packed into one row
        keep, targets_BK = label_positions(labels_BT) if skip_logits else (0, labels_BT[:, 1:])
        outputs = self.language_model(**{**kwargs, "logits_to_keep": keep})
        logits_BKV = outputs.logits if skip_logits else outputs.logits[:, :-1]
        loss = causal_loss(logits_BKV, targets_BK, num_items)
        aux_loss = getattr(outputs, "aux_loss", None)
        if aux_loss is not None:
            loss = loss + self.config.text_config.router_aux_loss_coef * aux_loss.to(loss.device)
        outputs.loss = loss
        if skip_logits:
            outputs.logits = None
        return outputs

    def _needs_fusion(self, input_ids: Tensor, media: dict[str, Tensor | None]) -> bool:
        """Whether there is anything to fuse; a decoding step (one id, no media) is not even looked at."""
        if media["pixel_values"] is not None or media["audio_features"] is not None:
            return True
        if input_ids.shape[1] == 1:
            return False
        placeholders = (input_ids == self.config.image_token_id) | (input_ids == self.config.audio_token_id)
        return bool(placeholders.any())

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        *,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Inputs of one decoding step: media belong to the first one only."""
        inputs = super().prepare_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            for name in MEDIA_INPUTS:
                inputs.pop(name, None)
        return inputs

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Any = None, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Repeats the rows for beams and several samples; media are fused before, for they have no row of their own."""
        media = {name: kwargs.pop(name) for name in MEDIA_INPUTS if name in kwargs} if expand_size > 1 else {}
        if any(value is not None for value in media.values()):
            kwargs["inputs_embeds"] = self.embed(input_ids, **media)
        return super()._expand_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )


__all__ = ["VitaForConditionalGeneration"]

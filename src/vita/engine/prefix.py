"""The KV cache of one conversation and the ids that are in it: growing, going back, copying.

Called by `local`. Shape legend: L ids, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from vita.engine.prompt import Prompt, PromptBuilder, Span
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import stack_media

_PLAIN_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


def new_cache(model: VitaForConditionalGeneration) -> DynamicCache:
    """A cache that keeps every position, so that one can go back to any; models with a recurrent state get theirs."""
    text_config = model.config.text_config
    if set(getattr(text_config, "layer_types", None) or []) <= _PLAIN_LAYERS:
        return DynamicCache()
    return DynamicCache(config=text_config)


class Prefix:
    """What a model has read of one conversation. Every method leaves ids and cache in step.

    Args:
        model: in evaluation mode.
        builder: gives the media of prompts as numbers.
    """

    def __init__(self, model: VitaForConditionalGeneration, builder: PromptBuilder) -> None:
        self._model, self._builder = model, builder
        self._cache = new_cache(model)
        self._read = Prompt([], [])

    @property
    def length(self) -> int:
        """Number of ids read."""
        return len(self._read.ids)

    def shared_with(self, prompt: Prompt) -> int:
        """How many ids of `prompt` were read already, counted from its start."""
        return self._read.common_length(prompt)

    def read(self, prompt: Prompt) -> Tensor:
        """Read `prompt`: what it shares with what was read stays, the rest is computed. Logits [V] after its end."""
        kept = min(self.shared_with(prompt), len(prompt.ids) - 1)
        self.crop(kept)
        new_spans = [span for span in prompt.spans if span.start >= self.length and span.end > span.start]
        media = stack_media([self._builder.encoded(span.medium) for span in new_spans])
        logits_V = self._forward(prompt.ids[self.length :], media)
        self._read = prompt
        return logits_V

    def step(self, ids: Sequence[int]) -> Tensor:
        """Read a few more ids of text. Logits [V] after the last."""
        logits_V = self._forward(ids, {})
        self._read = Prompt([*self._read.ids, *ids], self._read.spans)
        return logits_V

    def peek(self, ids: Sequence[int]) -> Tensor:
        """The logits [V] that would follow `ids`, without reading them for good."""
        if not self._croppable():
            return self.fork(self._builder).step(ids)
        length = self.length
        logits_V = self.step(ids)
        self.crop(length)
        return logits_V

    @torch.inference_mode()
    def crop(self, length: int) -> None:
        """Forget what comes after the first `length` ids (a little more where a medium would be cut)."""
        spans: list[Span] = [span for span in self._read.spans if span.end <= length]
        cut = next((span for span in self._read.spans if span.start < length < span.end), None)
        length = cut.start if cut else length
        if length < self.length and not self._croppable():
            length, spans = 0, []
        if length == self.length:
            return
        if length == 0:
            self._cache = new_cache(self._model)
        else:
            self._cache.crop(length - self.length)
        self._read = Prompt(self._read.ids[:length], spans)

    @torch.inference_mode()
    def fork(self, builder: PromptBuilder) -> Prefix:
        """A second conversation with the same beginning; nothing is computed again."""
        twin = Prefix(self._model, builder)
        twin._cache = copy.deepcopy(self._cache)
        twin._read = self._read
        return twin

    def _croppable(self) -> bool:
        return not any(hasattr(layer, "conv_states") for layer in self._cache.layers)

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], media: dict[str, Tensor]) -> Tensor:
        device = self._model.device
        try:
            outputs = self._model(
                input_ids=torch.tensor([list(ids)], device=device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
                **{name: value.to(device) for name, value in media.items()},
            )
        except BaseException:
            self._cache, self._read = new_cache(self._model), Prompt([], [])  # half of the layers may have grown
            raise
        return outputs.logits[0, -1]

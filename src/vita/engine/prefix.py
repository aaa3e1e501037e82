"""The KV cache of one conversation and the ids that are in it: growing, going back, copying.

Called by `local` and `listening`. Shape legend: L ids, V vocabulary, N tokens of a sound, H width of the model.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from vita.engine.budget import CacheBudget
from vita.engine.prompt import Prompt, PromptBuilder, Span
from vita.engine.turnstile import Turnstile
from vita.models.batching import stack_media
from vita.models.modeling_vita import VitaForConditionalGeneration

_PLAIN_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


def new_cache(model: VitaForConditionalGeneration) -> DynamicCache:
    """A cache that keeps every position, so that one can go back to any; models with a recurrent state get theirs."""
    text_config = model.config.text_config
    if set(getattr(text_config, "layer_types", None) or []) <= _PLAIN_LAYERS:
        return DynamicCache()
    return DynamicCache(config=text_config)


def copy_cache(cache: DynamicCache) -> DynamicCache:
    """A second cache; layers that never write into their tensors share them until either grows."""
    twin = copy.copy(cache)
    plain = [type(layer) is DynamicLayer for layer in cache.layers]
    twin.layers = [
        (copy.copy if shares else copy.deepcopy)(layer) for layer, shares in zip(cache.layers, plain, strict=True)
    ]
    return twin


@dataclass(frozen=True)
class Mark:
    """A point to go back to: what was read, the logits after it, and the cache where it cannot be cropped."""

    read: Prompt
    logits_V: Tensor | None
    cache: DynamicCache | None


class Prefix:
    """What a model has read of one conversation. Every method leaves ids and cache in step.

    Args:
        model: in evaluation mode.
        builder: gives the media of prompts as numbers.
        budget: bounds the caches of all conversations; reading beyond it raises LimitError and changes nothing.
        turnstile: lets its passes in. What is heard, and reading a state, is urgent.
    """

    def __init__(
        self, model: VitaForConditionalGeneration, builder: PromptBuilder, budget: CacheBudget, turnstile: Turnstile
    ) -> None:
        self._model, self._builder, self._budget, self._turnstile = model, builder, budget, turnstile
        self._cache = new_cache(model)
        self._read = Prompt([], [])
        self._logits_V: Tensor | None = None
        budget.add(self)

    @property
    def length(self) -> int:
        """Number of ids read."""
        return len(self._read.ids)

    def shared_with(self, prompt: Prompt) -> int:
        """How many ids of `prompt` were read already, counted from its start."""
        return self._read.common_length(prompt)

    def read(self, prompt: Prompt) -> Tensor:
        """Read `prompt`: what it shares with what was read stays, the rest is computed. Logits [V] after its end."""
        shared = self.shared_with(prompt)
        if shared == len(prompt.ids) == self.length and self._logits_V is not None:
            self._read = prompt
            return self._logits_V
        self.crop(min(shared, len(prompt.ids) - 1))
        new_spans = [span for span in prompt.spans if span.start >= self.length]
        inputs = {"input_ids": self._ids(prompt.ids[self.length :]), **self._media(new_spans)}
        return self._forward(prompt, inputs)

    def step(self, ids: Sequence[int], *, is_urgent: bool = False) -> Tensor:
        """Read a few more ids of text. Logits [V] after the last."""
        after = Prompt([*self._read.ids, *ids], self._read.spans)
        return self._forward(after, {"input_ids": self._ids(ids)}, is_urgent=is_urgent)

    @torch.inference_mode()
    def hear(self, tokens_NH: Tensor, then: Prompt) -> Tensor:
        """Read tokens of a sound that is still open, and what comes after them. Logits [V] after the last.

        Until `settle` tells which sound it was, its ids belong to no medium.
        """
        sound = [self._model.config.audio_token_id] * len(tokens_NH)
        embeds_LH = tokens_NH.to(next(self._model.get_input_embeddings().parameters()))
        if then.ids:
            embeds_BLH = self._model.embed(self._ids(then.ids), **self._media(then.spans))
            embeds_LH = torch.cat([embeds_LH, embeds_BLH[0]])
        prompt = Prompt([*self._read.ids, *sound, *then.ids], self._read.spans)
        return self._forward(prompt, {"inputs_embeds": embeds_LH[None]}, is_urgent=True)

    def settle(self, prompt: Prompt) -> None:
        """What was heard has become a medium: `prompt` has the ids that were read, and names it."""
        assert prompt.ids == self._read.ids
        self._read = prompt

    def peek(self, ids: Sequence[int]) -> Tensor:
        """The logits [V] that would follow `ids`, without reading them for good."""
        mark = self.mark()
        logits_V = self.step(ids, is_urgent=True)
        self.restore(mark)
        return logits_V

    def mark(self) -> Mark:
        """Where it stands, to come back to after reading more."""
        return Mark(self._read, self._logits_V, None if self._croppable() else copy_cache(self._cache))

    @torch.inference_mode()
    def restore(self, mark: Mark) -> None:
        """Back to `mark`, from which nothing was cropped since."""
        if mark.cache is not None:
            self._cache = mark.cache
        else:
            self._cut(len(mark.read.ids))
        self._read, self._logits_V = mark.read, mark.logits_V

    def check_room(self, length: int) -> None:
        """Raises LimitError if the engine's budget does not let this conversation grow to `length` ids."""
        self._budget.check(length - self.length)

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
        self._cut(length)
        self._read, self._logits_V = Prompt(self._read.ids[:length], spans), None

    @torch.inference_mode()
    def fork(self, builder: PromptBuilder) -> Prefix:
        """A second conversation with the same beginning; nothing is computed again."""
        self._budget.check(self.length)
        twin = Prefix(self._model, builder, self._budget, self._turnstile)
        twin._cache = copy_cache(self._cache)
        twin._read, twin._logits_V = self._read, self._logits_V
        return twin

    def _croppable(self) -> bool:
        return not any(hasattr(layer, "conv_states") for layer in self._cache.layers)

    def _cut(self, length: int) -> None:
        """Only the first `length` positions stay in the cache."""
        if length == 0:
            self._cache = new_cache(self._model)
        else:
            self._cache.crop(length - self.length)

    def _ids(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self._model.device)

    def _media(self, spans: Sequence[Span]) -> dict[str, Tensor]:
        media = stack_media([self._builder.encoded(span.medium) for span in spans if span.end > span.start])
        return {name: value.to(self._model.device) for name, value in media.items()}

    @torch.inference_mode()
    def _forward(self, after: Prompt, inputs: dict[str, Tensor], *, is_urgent: bool = False) -> Tensor:
        """Runs the model on what is new in `after`, which is then what was read. Logits [V] after its end."""
        with self._turnstile.turn(is_urgent=is_urgent):
            self.check_room(len(after.ids))
            try:
                outputs = self._model(past_key_values=self._cache, use_cache=True, logits_to_keep=1, **inputs)
            except BaseException:
                # Half of the layers may have grown.
                self._cache, self._read, self._logits_V = new_cache(self._model), Prompt([], []), None
                raise
            logits_V = outputs.logits[0, -1]
            self._read, self._logits_V = after, logits_V
            return logits_V

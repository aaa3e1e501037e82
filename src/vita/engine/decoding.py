"""From logits to text: which token comes next, and the text of tokens as they come.

Used by `reply` and `batch`, so that both write the same. Shape legend: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from vita.chat.state import StateMode, StateReader, StateReading
from vita.engine.prefix import Prefix
from vita.engine.protocol import Sampling, Usage, Words
from vita.models.ctc_words import WordsHeard
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor


@dataclass(frozen=True, kw_only=True)
class ReplyParts:
    """What writing replies needs to know of a model.

    tokenizer: the model's.
    state_reader: scores the state tokens.
    stop_ids: ids that end a reply.
    forbidden_ids: ids that no reply holds, placeholders of media.
    image_token_id, audio_token_id: those placeholders.
    """

    tokenizer: PreTrainedTokenizerBase
    state_reader: StateReader
    stop_ids: frozenset[int]
    forbidden_ids: tuple[int, ...]
    image_token_id: int
    audio_token_id: int

    @classmethod
    def of(cls, model: VitaForConditionalGeneration, processor: VitaProcessor) -> ReplyParts:
        """Those of a model; replies end at the processor's ids and at those of the generation configuration."""
        eos = getattr(model.generation_config, "eos_token_id", None)
        extra = [] if eos is None else eos if isinstance(eos, list) else [eos]
        config = model.config
        return cls(
            tokenizer=processor.tokenizer,
            state_reader=processor.state_reader,
            stop_ids=frozenset([*processor.stop_ids, *extra]),
            forbidden_ids=(config.image_token_id, config.audio_token_id),
            image_token_id=config.image_token_id,
            audio_token_id=config.audio_token_id,
        )

    @torch.inference_mode()
    def read_state(self, prefix: Prefix, logits_V: Tensor, mode: StateMode) -> StateReading:
        """The state that the model would write after what `prefix` has read; `logits_V` follow that."""

        def score(ids: tuple[int, ...]) -> Tensor:
            return torch.log_softmax((prefix.peek(ids) if ids else logits_V).float(), dim=-1).cpu()

        return self.state_reader.read(score, mode)  # type: ignore[arg-type]

    def usage(self, prompt_ids: Sequence[int], completion_tokens: int) -> Usage:
        """The tokens of a reply to `prompt_ids`."""
        return Usage(
            prompt_tokens=len(prompt_ids),
            image_tokens=sum(token == self.image_token_id for token in prompt_ids),
            audio_tokens=sum(token == self.audio_token_id for token in prompt_ids),
            completion_tokens=completion_tokens,
        )


class TokenPicker:
    """Picks the tokens of one reply; placeholders of media are never picked.

    Args:
        sampling: temperature, top_p and seed.
        forbidden: ids that are never picked.
    """

    def __init__(self, sampling: Sampling, forbidden: Sequence[int]) -> None:
        self._temperature, self._top_p = sampling.temperature, sampling.top_p
        self._forbidden = list(forbidden)
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def pick(self, logits_V: Tensor) -> int:
        """The next token."""
        forbidden = [token for token in self._forbidden if token < logits_V.shape[-1]]
        if forbidden:
            logits_V = logits_V.clone()
            logits_V[forbidden] = -torch.inf
        if self._temperature == 0:
            return int(logits_V.argmax())
        weights_V = torch.softmax(logits_V.float().cpu() / self._temperature, dim=-1)
        return int(torch.multinomial(self._nucleus(weights_V), 1, generator=self._generator))

    def _nucleus(self, weights_V: Tensor) -> Tensor:
        """The weights of the likeliest tokens that reach `top_p` together; of the others, 0."""
        if self._top_p == 1:
            return weights_V
        sorted_V, order_V = weights_V.sort(descending=True)
        before_V = sorted_V.cumsum(-1) - sorted_V
        kept_V = torch.where(before_V < self._top_p, sorted_V, 0.0)
        return torch.zeros_like(weights_V).scatter(-1, order_V, kept_V)


class TextStream:
    """Text from tokens: a piece comes out when its characters are whole; blanks at the two ends are dropped.

    Args:
        tokenizer: the model's.
        before: ids that precede the text (the state token); they decide on the blank before the first word.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, before: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(before)
        self._window, self._read = 0, len(self._ids)
        self._blanks = ""
        self.text = ""

    def push(self, token: int) -> str:
        """Add a token; the text that it completes."""
        self._ids.append(token)
        return self._advance(final=False)

    def finish(self) -> str:
        """The rest: bytes that never became a character are written as U+FFFD."""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        known = self._decode(self._ids[self._window : self._read])
        whole = self._decode(self._ids[self._window :])
        if not final and (whole.endswith("\ufffd") or len(whole) <= len(known)):
            return ""
        self._window, self._read = self._read, len(self._ids)
        return self._without_outer_blanks(whole[len(known) :])

    def _without_outer_blanks(self, piece: str) -> str:
        piece = self._blanks + piece
        if not self.text:
            piece = piece.lstrip()
        kept = piece.rstrip()
        self._blanks = piece[len(kept) :]
        self.text += kept
        return kept

    def _decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text


def words_of(heard: WordsHeard | None, tokenizer: PreTrainedTokenizerBase, phrases: Sequence[str]) -> Words | None:
    """What an ear heard, as text; None from an ear that hears no words. See `Listening.words`."""
    if heard is None:
        return None
    spelled = [tokenizer(phrase, add_special_tokens=False)["input_ids"] for phrase in phrases]
    text = tokenizer.decode(heard.ids(), skip_special_tokens=True)
    assert isinstance(text, str)
    return Words(text.strip(), dict(zip(phrases, heard.likelihoods(spelled), strict=True)))  # type: ignore[arg-type]

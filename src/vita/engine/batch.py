"""Many conversations at once: left-padded prefill, states, then decoding; a row that has ended leaves the batch.

Called by `LocalEngine.batch`. Writes what the conversations would get one by one. Shape legend: B rows, L ids,
V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vita.chat.messages import Message
from vita.chat.state import StateReading
from vita.engine.decoding import ReplyParts, TextStream, TokenPicker
from vita.engine.prefix import new_cache
from vita.engine.protocol import Ending, Result, Sampling, Timing
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State


@dataclass
class _Row:
    """One conversation of the batch and its reply so far."""

    prompt_ids: list[int]
    reading: StateReading
    picker: TokenPicker
    stream: TextStream
    forced: list[int] = field(default_factory=list)
    num_tokens: int = 0
    ending: Ending | None = None

    def next_token(self, logits_V: Tensor, parts: ReplyParts, max_new_tokens: int) -> int:
        """The id to read next: what is left of the state token, then what is picked; notes the end."""
        if self.forced:
            return self.forced.pop(0)
        token = self.picker.pick(logits_V)
        if token in parts.stop_ids:
            self.ending = "stop"
            return token
        self.stream.push(token)
        self.num_tokens += 1
        if self.num_tokens == max_new_tokens:
            self.ending = "length"
        return token


@torch.inference_mode()
def answer_batch(
    model: VitaForConditionalGeneration,
    processor: VitaProcessor,
    parts: ReplyParts,
    conversations: Sequence[Sequence[Message]],
    sampling: Sampling,
) -> list[Result]:
    """One Result per conversation, in order; their timing is that of the whole batch."""
    if not conversations:
        return []
    started_s = time.perf_counter()
    inputs = {name: value.to(model.device) for name, value in processor(conversations).items()}
    batch = _Batch(model, inputs)
    readings = _read_states(batch, parts, sampling)
    prefill_ms = 1000 * (time.perf_counter() - started_s)
    rows = [
        _Row(
            prompt_ids=ids_L[mask_L.bool()].tolist(),
            reading=reading,
            picker=TokenPicker(sampling, parts.forbidden_ids),
            stream=TextStream(parts.tokenizer, reading.ids),
            forced=list(reading.ids),
            ending="noise" if reading.state is State.NOISE else None,
        )
        for ids_L, mask_L, reading in zip(inputs["input_ids"], inputs["attention_mask"], readings, strict=True)
    ]
    first_token_ms = _decode(batch, rows, parts, sampling, started_s) or prefill_ms
    total_ms = 1000 * (time.perf_counter() - started_s)
    timing = Timing(prefill_ms=prefill_ms, first_token_ms=first_token_ms, total_ms=total_ms)
    return [_result(row, parts, timing) for row in rows]


class _Batch:
    """The rows that are still being written: cache, mask, last logits [B, V]."""

    def __init__(self, model: VitaForConditionalGeneration, inputs: dict[str, Tensor]) -> None:
        self._model, self._cache = model, new_cache(model)
        self._mask_BL = inputs["attention_mask"]
        self._lengths_B = self._mask_BL.sum(-1)
        outputs = model(**inputs, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self.logits_BV: Tensor = outputs.logits[:, -1]

    def step(self, ids_BL: Tensor) -> Tensor:
        """Read some more ids in every row; their last logits."""
        num_new = ids_BL.shape[1]
        new = torch.arange(num_new, device=ids_BL.device)
        self._mask_BL = torch.cat([self._mask_BL, torch.ones_like(ids_BL)], dim=1)
        outputs = self._model(
            input_ids=ids_BL,
            attention_mask=self._mask_BL,
            position_ids=self._lengths_B[:, None] + new,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._lengths_B = self._lengths_B + num_new
        self.logits_BV = outputs.logits[:, -1]
        return self.logits_BV

    def peek(self, ids: Sequence[int]) -> Tensor:
        """The logits that would follow the same `ids` in every row, without reading them for good."""
        before = (self._mask_BL, self._lengths_B, self.logits_BV)
        ids_BL = torch.tensor([list(ids)], device=self._mask_BL.device).expand(len(self._mask_BL), -1)
        logits_BV = self.step(ids_BL)
        self._mask_BL, self._lengths_B, self.logits_BV = before
        self._cache.crop(-len(ids))
        return logits_BV

    def keep(self, indices: list[int]) -> None:
        """Drop all other rows."""
        index_B = torch.tensor(indices, device=self._mask_BL.device)
        self._cache.batch_select_indices(index_B)
        self._mask_BL, self._lengths_B = self._mask_BL[index_B], self._lengths_B[index_B]
        self.logits_BV = self.logits_BV[index_B]


def _read_states(batch: _Batch, parts: ReplyParts, sampling: Sampling) -> list[StateReading]:
    """The state of every row; each prefix of the spellings is scored for all rows at once."""
    reader = parts.state_reader
    scores = {}
    for prefix in reader.prefixes(sampling.state):
        logits_BV = batch.peek(prefix) if prefix else batch.logits_BV
        scores[prefix] = torch.log_softmax(logits_BV.float(), dim=-1).cpu()
    num_rows = len(batch.logits_BV)
    return [
        reader.decide({prefix: rows_BV[row] for prefix, rows_BV in scores.items()}, sampling.state)  # type: ignore[misc]
        for row in range(num_rows)
    ]


def _decode(batch: _Batch, rows: list[_Row], parts: ReplyParts, sampling: Sampling, started_s: float) -> float | None:
    """Write all replies; when the first text was there (ms), None if no row has any."""
    first_token_ms = None
    active = [index for index, row in enumerate(rows) if row.ending is None]
    if 0 < len(active) < len(rows):
        batch.keep(active)
    while active:
        tokens = [
            rows[index].next_token(logits_V, parts, sampling.max_new_tokens)
            for index, logits_V in zip(active, batch.logits_BV, strict=True)
        ]
        if first_token_ms is None and any(rows[index].stream.text for index in active):
            first_token_ms = 1000 * (time.perf_counter() - started_s)
        going = [place for place, index in enumerate(active) if rows[index].ending is None]
        if not going:
            break
        if len(going) < len(active):
            batch.keep(going)
            active, tokens = [active[place] for place in going], [tokens[place] for place in going]
        batch.step(torch.tensor(tokens, device=batch.logits_BV.device)[:, None])
    return first_token_ms


def _result(row: _Row, parts: ReplyParts, timing: Timing) -> Result:
    assert row.ending is not None
    if row.ending != "noise":
        row.stream.finish()
    return Result(
        state=row.reading.state,
        probabilities=row.reading.probabilities,
        text=row.stream.text,
        ending=row.ending,
        usage=parts.usage(row.prompt_ids, len(row.reading.ids) + row.num_tokens),
        timing=timing,
    )

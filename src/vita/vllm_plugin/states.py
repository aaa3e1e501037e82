"""The state token on vLLM: a reply begins with the spelling of a state, and a reply to noise ends after it.

The local engine scores the spellings; here their first tokens are the only ones that can be written first, and so on
to the end of the spelling. For spellings of one token each that is the same choice. A request chooses by
`vllm_xargs: {"vita_state": ...}`: auto (the default), answer (never noise), off (whatever the model writes).
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vllm.exceptions import VLLMValidationError
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor

from vita.chat.state import StateMode, StateReader
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State

MODE_ARGUMENT = "vita_state"
MODES = ("auto", "answer", "off")


class StateLogits(LogitsProcessor):
    """Masks the logits of replies whose state is not written yet."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuses an unknown mode."""
        mode = _mode(sampling_params)
        if mode not in MODES:
            raise VLLMValidationError(f"{MODE_ARGUMENT} is one of {MODES}", parameter=MODE_ARGUMENT, value=mode)

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        processor = VitaProcessor.from_pretrained(vllm_config.model_config.model)
        self._reader, self._stop_id = processor.state_reader, processor.stop_ids[0]
        self._requests: dict[int, tuple[StateMode, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """No: another token can win."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follows which request is in which row."""
        process_dict_updates(self._requests, batch_update, lambda params, prompt, written: _request(params, written))

    def apply(self, logits: Tensor) -> Tensor:
        """Logits [B, V], in which only what may come next stays."""
        for row, (mode, written) in self._requests.items():
            allowed = allowed_next(self._reader, written, mode, self._stop_id)
            if allowed is not None:
                kept = logits[row, allowed].clone()
                logits[row] = -torch.inf
                logits[row, allowed] = kept
        return logits


def allowed_next(reader: StateReader, written: Sequence[int], mode: StateMode, stop_id: int) -> list[int] | None:
    """The ids that may follow what a reply has `written`; None where all may."""
    if tuple(written) == reader.spellings[State.NOISE]:
        return [stop_id]
    return reader.next_ids(written, mode) or None


def _mode(params: SamplingParams) -> Any:
    return (params.extra_args or {}).get(MODE_ARGUMENT, "auto")


def _request(params: SamplingParams, written: list[int]) -> tuple[StateMode, list[int]] | None:
    mode = _mode(params)
    return None if mode == "off" else (mode, written)

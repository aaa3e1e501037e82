"""What an ear with words makes of a sound: the CTC posterior over the language model's vocabulary, read as text.

For connectors of the kind "ctc"; others have no words. Kept by `audio_stream`, read by the engine's listening stream.
Shape legend: N tokens of sound, V symbols of the CTC vocabulary, the last of which is blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LONGEST = 40
"""Phrases are looked for in sounds of at most so many tokens."""


@dataclass(frozen=True, eq=False)
class WordsHeard:
    """The words of one sound so far.

    best_N: the likeliest symbol of each token.
    posteriors: float32 [N, V], in pieces, up to LONGEST tokens; a longer sound keeps none.
    num_symbols: V; 0 as long as nothing was heard.
    """

    best_N: tuple[int, ...] = ()
    posteriors: tuple[Tensor, ...] = ()
    num_symbols: int = 0

    def add(self, posterior_NV: Tensor) -> WordsHeard:
        """With the tokens that were heard next."""
        best_N = (*self.best_N, *posterior_NV.argmax(-1).tolist())
        posteriors = (*self.posteriors, posterior_NV) if len(best_N) <= LONGEST else ()
        return WordsHeard(best_N, posteriors, posterior_NV.shape[-1])

    def ids(self) -> list[int]:
        """The best path: repeats joined, blanks dropped."""
        before = (None, *self.best_N)
        changes = (symbol for last, symbol in zip(before, self.best_N, strict=False) if symbol != last)
        return [symbol for symbol in changes if symbol != self.num_symbols - 1]

    def likelihoods(self, phrases: Sequence[Sequence[int]]) -> list[float]:
        """For each phrase of ids, how likely it is that just this was said, compared with the best path: at most 1.

        Summed over all alignments (CTC's forward algorithm). 0 for sounds of no token or more than LONGEST.
        """
        if not self.posteriors:
            return [0.0] * len(phrases)
        posterior_NV = torch.cat(self.posteriors).cpu()
        candidates = [*map(list, phrases), self.ids()]
        log_NV = posterior_NV.clamp_min(1e-10).log()
        losses_B = F.ctc_loss(
            log_NV[:, None].expand(-1, len(candidates), -1),
            torch.tensor([symbol for ids in candidates for symbol in ids], dtype=torch.long),
            torch.full((len(candidates),), len(log_NV), dtype=torch.long),
            torch.tensor([len(ids) for ids in candidates], dtype=torch.long),
            blank=self.num_symbols - 1,
            reduction="none",
        )
        return (losses_B[-1] - losses_B[:-1]).exp().clamp(max=1.0).tolist()

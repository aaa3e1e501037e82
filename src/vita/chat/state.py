"""Reading the state token: which of its spellings the model would write as the first thing of its reply.

The spellings are scored, not sampled: a trie of their tokens is walked and every token's log-probability is asked for
once per shared prefix, so that spellings of one token each cost nothing beyond the prefill. Used by the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vita.errors import ConfigError
from vita.tokens import State, StateTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Prefix = tuple[int, ...]
Score = Callable[[Prefix], Sequence[float]]
"""Ids written so far in the reply -> log-probability of every token of the vocabulary as the next one."""
StateMode = Literal["auto", "answer"]
"""auto: as the model judges; answer: never noise."""


@dataclass(frozen=True)
class StateReading:
    """What the model made of a turn.

    state: the most probable state.
    probabilities: of every state allowed; they add up to one.
    ids: the spelling of `state`, as the reply must go on from it.
    """

    state: State
    probabilities: dict[State, float]
    ids: Prefix


class StateReader:
    """Scores the spellings of the state tokens as the beginning of a reply.

    Args:
        spellings: the token ids of each state, as they follow the beginning of a reply (see `spelling_ids`).
        whole: score a spelling to its end; else only up to the token that tells it from all others.
    """

    def __init__(self, spellings: Mapping[State, Sequence[int]], *, whole: bool = True) -> None:
        self.spellings = {state: tuple(ids) for state, ids in spellings.items()}
        if set(self.spellings) != set(State):
            raise ConfigError("not every state has a spelling", got=[state.value for state in self.spellings])
        self._scored = {
            state: ids if whole else ids[: self._told_apart_at(ids)] for state, ids in self.spellings.items()
        }
        for state, ids in self.spellings.items():
            if not ids or any(other[: len(ids)] == ids for at, other in self.spellings.items() if at is not state):
                raise ConfigError(f"the spelling of {state.value} is empty or begins another one", got=ids)

    def prefixes(self, mode: StateMode = "auto") -> list[Prefix]:
        """The prefixes whose next-token log-probabilities `decide` needs, shortest first; the first is ()."""
        needed = {self._scored[state][:depth] for state in _allowed(mode) for depth in range(len(self._scored[state]))}
        return sorted(needed, key=lambda prefix: (len(prefix), prefix))

    def read(self, score: Score, mode: StateMode = "auto") -> StateReading:
        """Asks `score` for every prefix once and decides."""
        return self.decide({prefix: score(prefix) for prefix in self.prefixes(mode)}, mode)

    def decide(self, scores: Mapping[Prefix, Sequence[float]], mode: StateMode = "auto") -> StateReading:
        """The state, from the next-token log-probabilities after each of `prefixes(mode)`."""
        totals = {state: self._total(state, scores) for state in _allowed(mode)}
        best = max(totals, key=lambda state: totals[state])
        if not math.isfinite(totals[best]):
            raise ConfigError("the model gives no state token any probability", fix="check the configured state tokens")
        weights = {state: math.exp(total - totals[best]) for state, total in totals.items()}
        whole = sum(weights.values())
        probabilities = {state: weight / whole for state, weight in weights.items()}
        return StateReading(best, probabilities, self.spellings[best])

    def next_ids(self, written: Sequence[int], mode: StateMode = "auto") -> list[int]:
        """The ids with which a reply that begins with `written` can go on to a state; none once it is spelled out.

        For engines that cannot score before they write: following it greedily is `decide` where spellings are of one
        token each.
        """
        spellings = [self.spellings[state] for state in _allowed(mode)]
        depth = len(written)
        return sorted({ids[depth] for ids in spellings if len(ids) > depth and ids[:depth] == tuple(written)})

    def _total(self, state: State, scores: Mapping[Prefix, Sequence[float]]) -> float:
        ids = self._scored[state]
        return sum(float(scores[ids[:depth]][token]) for depth, token in enumerate(ids))

    def _told_apart_at(self, ids: Prefix) -> int:
        """Length of the shortest beginning of `ids` that no other spelling shares."""
        others = [other for other in self.spellings.values() if other != ids]
        return next((n for n in range(1, len(ids)) if all(other[:n] != ids[:n] for other in others)), len(ids))


def spelling_ids(tokenizer: PreTrainedTokenizerBase, before: str, states: StateTokens) -> dict[State, list[int]]:
    """The token ids of each state's spelling right after the text `before`, which is the beginning of a reply.

    Raises ConfigError where a spelling would change how `before` is tokenised: such a state cannot be scored.
    """
    base = tokenizer(before, add_special_tokens=False).input_ids
    spellings = {}
    for state, spelling in states.items():
        ids = tokenizer(before + spelling, add_special_tokens=False).input_ids
        if ids[: len(base)] != base or len(ids) == len(base):
            raise ConfigError(
                f"the spelling {spelling!r} of {state.value} melts into the text before it",
                got=tokenizer.convert_ids_to_tokens(ids),
                fix="configure another spelling of the states",
            )
        spellings[state] = ids[len(base) :]
    return spellings


def _allowed(mode: StateMode) -> list[State]:
    if mode not in ("auto", "answer"):
        raise ConfigError("unknown state mode", got=repr(mode), expected="auto or answer")
    return [state for state in State if mode == "auto" or state is not State.NOISE]

"""What has really been played of one answer, word by word: the end of generation is not the end of sound.

Filled by `session.py` with clauses as they are spoken, emptied by `player.py` block by block. An answer that is
interrupted is cut, in the history, to what its ledger says was heard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3007"
_WORD = re.compile(f"\\s*(?:[{_HAN}][^\\w\\s]*\\s*|[^\\s{_HAN}]+\\s*)")
_SILENT = 0.002


@dataclass(frozen=True)
class Word:
    """A word of a clause, with the blanks and marks around it, and where its sound begins and ends (samples)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class SpokenClause:
    """A clause as it sounds: float32 [num_samples], and its words."""

    samples: np.ndarray
    words: tuple[Word, ...]


def spoken_clause(text: str, samples: np.ndarray) -> SpokenClause:
    """Place the words of `text` in its sound: each takes its share, by its letters, of the part that is not silent."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    first, last = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(samples))
    words: list[Word] = []
    pieces = split_words(text)
    total = sum(map(_weight, pieces))
    done = 0
    for piece in pieces:
        start = first + (last - first) * done // total
        done += _weight(piece)
        words.append(Word(piece, start, first + (last - first) * done // total))
    return SpokenClause(samples, tuple(words))


def split_words(text: str) -> list[str]:
    """Words with the blanks and marks after them, single characters of Chinese; joined, they are the text."""
    return _WORD.findall(text) or [text]


def _weight(piece: str) -> int:
    return 1 + sum(character.isalnum() for character in piece)


class Ledger:
    """The sound of one answer in the order in which it is played."""

    def __init__(self) -> None:
        self._clauses: list[SpokenClause] = []
        self._clause = 0
        self._at = 0
        self._num_words = 0
        self._heard: list[str] = []

    @property
    def heard(self) -> str:
        """The text whose sound was played to its end, word by word."""
        return "".join(self._heard)

    @property
    def has_sound(self) -> bool:
        """Whether there is something left to play."""
        return sum(len(clause.samples) for clause in self._clauses[self._clause :]) > self._at

    def add(self, clause: SpokenClause) -> None:
        """A further clause was spoken."""
        self._clauses.append(clause)

    def take(self, num_samples: int) -> tuple[np.ndarray, list[str]]:
        """The next samples, at most so many and all of one clause, and the words that end in them."""
        words: list[str] = []
        while self._clause < len(self._clauses):
            clause = self._clauses[self._clause]
            block = clause.samples[self._at : self._at + num_samples]
            self._at += len(block)
            while self._num_words < len(clause.words) and clause.words[self._num_words].end <= self._at:
                words.append(clause.words[self._num_words].text)
                self._num_words += 1
            if self._at >= len(clause.samples):
                self._clause, self._at, self._num_words = self._clause + 1, 0, 0
            if len(block):
                self._heard += words
                return block, words
        self._heard += words
        return np.zeros(0, np.float32), words

    def back_to_word(self) -> None:
        """Go back to the beginning of the word that is being played, so that none is lost by a pause."""
        if self._clause < len(self._clauses) and self._num_words < len(self._clauses[self._clause].words):
            self._at = min(self._clauses[self._clause].words[self._num_words].start, self._at)

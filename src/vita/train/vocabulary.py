"""New pieces for a tokenizer, learned from a user's own text and merged with those that it has.

The text is cut into the old pieces, and the most frequent pairs of them become new ones. A BPE tokenizer gets their
merges after the old ones, so that what was learned is what it then does; a unigram tokenizer gets them with the
logarithm of their share, or a little more than their parts have together where that is higher. Tokenizers that write
unknown characters as bytes get those characters first. Called by `widening.py`.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer, models, trainers

from vita.errors import ConfigError

SPACE = "▁"
_FIRST_PRIVATE = 0x10000
_COVERAGE = 0.9995
_BETTER = 0.01
_BATCH = 4096
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACED_WORD = re.compile(rf"{SPACE}?[^\W\d_]+|[^\s{SPACE}]")


@dataclass(frozen=True)
class NewPiece:
    """One piece that the tokenizer did not have: its id, and the ids of the old pieces that it was made of before."""

    text: str
    token_id: int
    old_ids: tuple[int, ...]


@dataclass(frozen=True)
class Extended:
    """A tokenizer with more pieces than before, and which they are."""

    tokenizer: Tokenizer
    pieces: list[NewPiece]


def extend_tokenizer(
    tokenizer: Tokenizer, lines: Iterable[str], *, pieces: int, max_length: int, first_id: int = 0
) -> Extended:
    """A tokenizer with up to `pieces` more pieces; every old piece keeps its id.

    Args:
        tokenizer: BPE or unigram.
        lines: the text that they are learned from.
        pieces: how many at most; fewer if the text is too small for more.
        max_length: old pieces of the longest new one.
        first_id: new ids are this or higher, and higher than all that the tokenizer has.

    Raises ConfigError for a tokenizer of another kind and for text that gives no new piece.
    """
    content = json.loads(tokenizer.to_str())
    kind = content["model"].get("type")
    if kind not in ("BPE", "Unigram") or content["model"].get("continuing_subword_prefix"):
        raise ConfigError("the tokenizer takes no new pieces", got=kind, expected="BPE or Unigram")
    vocabulary = _Vocabulary(content)
    vocabulary.fill_up(first_id)
    first_id = len(vocabulary.texts)
    words = count_words(tokenizer, lines)
    for character, count in _unknown_characters(vocabulary, words, pieces):
        vocabulary.add(character, math.log(count / words.total()))
    _learn(vocabulary, words, pieces - (len(vocabulary.texts) - first_id), max_length)
    new = vocabulary.texts[first_id:]
    if not new:
        raise ConfigError("the corpus gives no new pieces", fix="give more text of the language that is to be added")
    old = [tuple(token.id for token in tokenizer.model.tokenize(text)) for text in new]
    found = [NewPiece(text, first_id + n, ids) for n, (text, ids) in enumerate(zip(new, old, strict=True))]
    return Extended(vocabulary.tokenizer(), found)


def tokens_per_character(tokenizer: Tokenizer, lines: Sequence[str]) -> float:
    """How many tokens a character of the text takes, special tokens not counted."""
    encoded = tokenizer.encode_batch(list(lines), add_special_tokens=False)
    return sum(len(one.ids) for one in encoded) / max(1, sum(map(len, lines)))


def count_words(tokenizer: Tokenizer, lines: Iterable[str]) -> Counter[str]:
    """How often each word comes, as the tokenizer's model sees words: pieces are learned within them.

    Tokenizers that write a space as a mark and do not cut words by themselves are given runs of letters, and whatever
    else there is as single characters.
    """
    words: Counter[str] = Counter()
    for line in lines:
        text = tokenizer.normalizer.normalize_str(line) if tokenizer.normalizer else line
        parts = [text]
        if tokenizer.pre_tokenizer:
            parts = [part for part, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        whole = tokenizer.pre_tokenizer is None or any(SPACE in part[1:] for part in parts)
        words.update(found for part in parts for found in (_SPACED_WORD.findall(part) if whole else (part,)))
    return words


class _Vocabulary:
    """The content of a tokenizer.json of either kind, which pieces are added to.

    texts: the piece of each id.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content, self._model = content, content["model"]
        self.is_bpe = self._model["type"] == "BPE"
        self.has_bytes = bool(self._model.get("byte_fallback"))
        rows = self._model["vocab"]
        by_id = (
            {token_id: text for text, token_id in rows.items()} if self.is_bpe else dict(enumerate(t for t, _ in rows))
        )
        unknown = self._model.get("unk_token") if self.is_bpe else rows[self._model["unk_id"] or 0][0]
        self._is_apart = lambda text: text == unknown or bool(_BYTE.fullmatch(text))
        self._by_id = by_id
        self._scores: dict[str, float] = {} if self.is_bpe else dict(rows)
        self.texts: list[str] = []
        self.known: set[str] = set()

    def fill_up(self, first_id: int) -> None:
        """Gives each id below the new ones a place in the model's own vocabulary.

        Special tokens would else be numbered anew behind a vocabulary that has grown.
        """
        added = {token["id"]: token["content"] for token in self._content["added_tokens"]}
        lowest = min(self._scores.values(), default=0.0)
        for token_id in range(max(first_id, 1 + max(self._by_id.keys() | added.keys()))):
            if token_id in self._by_id:
                self.texts.append(self._by_id[token_id])
            else:
                self.add(added.get(token_id, f"<|unused_{token_id}|>"), lowest)
        self.known = set(self.texts)

    def add(self, text: str, score: float) -> None:
        """One more piece, with the next id."""
        if self.is_bpe:
            self._model["vocab"][text] = len(self.texts)
        else:
            self._model["vocab"].append([text, score])
            self._scores[text] = score
        self.texts.append(text)
        self.known.add(text)

    def add_merge(self, left: str, right: str) -> None:
        """A merge of two pieces, after all others."""
        merges = self._model["merges"]
        as_pairs = not merges or not isinstance(merges[0], str)
        merges.append([left, right] if as_pairs else f"{left} {right}")

    def score(self, ids: Iterable[int]) -> float:
        """What these pieces have together."""
        return sum(self._scores.get(self.texts[token_id], 0.0) for token_id in ids)

    def runs(self, ids: Sequence[int]) -> Iterator[list[int]]:
        """The ids of a word, cut where a byte or an unknown character stands: those are not merged."""
        for is_apart, run in itertools.groupby(ids, lambda token_id: self._is_apart(self.texts[token_id])):
            if not is_apart:
                yield list(run)

    def tokenizer(self) -> Tokenizer:
        """As it is now."""
        return Tokenizer.from_str(json.dumps(self._content))


def _learn(vocabulary: _Vocabulary, words: Counter[str], pieces: int, max_length: int) -> None:
    """Adds pieces that are made of others, the most frequent pair first."""
    old, texts = vocabulary.tokenizer().model, list(vocabulary.texts)
    coded: Counter[str] = Counter()
    for word, count in words.items():
        for run in vocabulary.runs([token.id for token in old.tokenize(word)]):
            coded["".join(chr(_FIRST_PRIVATE + token_id) for token_id in run)] += count
    if pieces < 1 or not coded:
        return

    def decoded(codes: str) -> str:
        return "".join(texts[ord(code) - _FIRST_PRIVATE] for code in codes)

    trained = _train_merges(coded, pieces, max_length)
    shares: Counter[str] = Counter()
    for word, count in coded.items():
        for token in trained.model.tokenize(word):
            shares[decoded(token.value)] += count
    for left, right in json.loads(trained.to_str())["model"]["merges"]:
        left, right = decoded(left), decoded(right)
        if vocabulary.is_bpe:
            vocabulary.add_merge(left, right)
        if left + right not in vocabulary.known:
            parts = vocabulary.score(token.id for token in old.tokenize(left + right))
            share = math.log((shares[left + right] + 1) / shares.total())
            vocabulary.add(left + right, max(share, parts + _BETTER))


def _train_merges(coded: Counter[str], pieces: int, max_length: int) -> Tokenizer:
    """BPE learned from words whose characters stand for old pieces."""
    trained = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=len({code for word in coded for code in word}) + pieces,  # pyright: ignore[reportCallIssue]
        min_frequency=2,
        show_progress=False,
        max_token_length=max_length + 1,  # it merges what stays below
    )
    repeated = itertools.chain.from_iterable(itertools.repeat(word, count) for word, count in coded.items())
    trained.train_from_iterator(iter(lambda: list(itertools.islice(repeated, _BATCH)), []), trainer)
    return trained


def _unknown_characters(vocabulary: _Vocabulary, words: Counter[str], pieces: int) -> list[tuple[str, int]]:
    """Characters that are written as bytes so far, the most frequent first, until nearly all text is covered."""
    if not vocabulary.has_bytes:
        return []
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            counts[character] += count
    left = (1 - _COVERAGE) * counts.total()
    unknown = [(character, count) for character, count in counts.most_common() if character not in vocabulary.known]
    while unknown and (left := left - unknown[-1][1]) >= 0:
        unknown.pop()
    return unknown[:pieces]

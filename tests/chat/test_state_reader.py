"""Reading the state token by scoring its spellings."""

from __future__ import annotations

import math

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from vita.chat import StateReader, spelling_ids
from vita.errors import ConfigError
from vita.tokens import VITA_1_0_STATES, VITA_1_5_STATES, State

SINGLE = {State.SPOKEN_QUERY: [5], State.NOISE: [6], State.TYPED_QUERY: [7]}
SPELT = {State.SPOKEN_QUERY: [1, 5, 2], State.NOISE: [1, 6, 2], State.TYPED_QUERY: [1, 7, 2]}


class Model:
    """A made-up language model: probabilities of the next token after each prefix; counts how often it is asked."""

    def __init__(self, tables: dict[tuple[int, ...], dict[int, float]]) -> None:
        self.tables, self.asked = tables, []

    def __call__(self, prefix: tuple[int, ...]) -> list[float]:
        self.asked.append(prefix)
        return [math.log(self.tables[prefix].get(token, 1e-9)) for token in range(10)]


def test_spellings_of_one_token_need_the_prefill_alone():
    model = Model({(): {5: 0.2, 6: 0.6, 7: 0.1}})
    reading = StateReader(SINGLE).read(model)
    assert model.asked == [()]
    assert reading.state is State.NOISE
    assert reading.ids == (6,)
    assert reading.probabilities == pytest.approx(
        {State.SPOKEN_QUERY: 2 / 9, State.NOISE: 6 / 9, State.TYPED_QUERY: 1 / 9}
    )


def test_longer_spellings_share_what_they_begin_with():
    model = Model({(): {1: 0.9}, (1,): {5: 0.5, 6: 0.3, 7: 0.2}, (1, 5): {2: 0.1}, (1, 6): {2: 0.9}, (1, 7): {2: 0.9}})
    reading = StateReader(SPELT).read(model)
    assert sorted(model.asked) == [(), (1,), (1, 5), (1, 6), (1, 7)]
    totals = {State.SPOKEN_QUERY: 0.5 * 0.1, State.NOISE: 0.3 * 0.9, State.TYPED_QUERY: 0.2 * 0.9}
    assert reading.state is State.NOISE
    assert reading.ids == (1, 6, 2)
    assert reading.probabilities == pytest.approx({k: v / sum(totals.values()) for k, v in totals.items()})


def test_spellings_may_be_scored_up_to_where_they_part():
    model = Model({(): {1: 0.9}, (1,): {5: 0.5, 6: 0.3, 7: 0.2}})
    reading = StateReader(SPELT, whole=False).read(model)
    assert model.asked == [(), (1,)]
    assert reading.state is State.SPOKEN_QUERY
    assert reading.ids == (1, 5, 2)
    assert reading.probabilities[State.SPOKEN_QUERY] == pytest.approx(0.5)


def test_answering_leaves_noise_out():
    model = Model({(): {5: 0.2, 6: 0.6, 7: 0.1}})
    reading = StateReader(SINGLE).read(model, "answer")
    assert reading.state is State.SPOKEN_QUERY
    assert State.NOISE not in reading.probabilities
    assert sum(reading.probabilities.values()) == pytest.approx(1)
    deeper = {**SINGLE, State.NOISE: [6, 1, 2]}
    assert StateReader(deeper).prefixes("answer") == [()]


def test_spellings_of_different_length():
    spellings = {State.SPOKEN_QUERY: [5], State.NOISE: [6, 1], State.TYPED_QUERY: [6, 2]}
    model = Model({(): {5: 0.3, 6: 0.6}, (6,): {1: 0.5, 2: 0.5}})
    reading = StateReader(spellings).read(model)
    assert reading.probabilities == pytest.approx(dict.fromkeys(State, 1 / 3), abs=1e-6)


def test_very_unlikely_spellings_still_compare():
    reading = StateReader(SINGLE).decide({(): [-3000.0 - token for token in range(10)]})
    assert reading.state is State.SPOKEN_QUERY
    assert sum(reading.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "spellings",
    [
        {State.NOISE: [1]},
        {**SINGLE, State.NOISE: []},
        {**SINGLE, State.NOISE: [5, 2]},
        {**SINGLE, State.NOISE: [5]},
    ],
)
def test_spellings_that_cannot_be_told_apart(spellings):
    with pytest.raises(ConfigError):
        StateReader(spellings)


def test_unknown_mode_and_no_probability():
    with pytest.raises(ConfigError, match="unknown state mode"):
        StateReader(SINGLE).prefixes("always")
    with pytest.raises(ConfigError, match="no state token"):
        StateReader(SINGLE).decide({(): [-math.inf] * 10})


def word_tokenizer(extra: list[str]) -> PreTrainedTokenizerFast:
    words = ["?", "b", "o", "t", ":", "<", ">", "1", "2", "3", *extra]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="?"))
    pattern = "|".join([*extra, "."])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")


def test_spellings_as_tokens():
    spelt = spelling_ids(word_tokenizer([]), "bot:", VITA_1_0_STATES)
    assert spelt == {State.SPOKEN_QUERY: [5, 7, 6], State.NOISE: [5, 8, 6], State.TYPED_QUERY: [5, 9, 6]}
    single = spelling_ids(word_tokenizer(["☞", "☟", "☜"]), "bot:", VITA_1_5_STATES)
    assert sorted(len(ids) for ids in single.values()) == [1, 1, 1]


def test_a_spelling_that_melts_into_the_prompt_is_refused():
    with pytest.raises(ConfigError, match="melts"):
        spelling_ids(word_tokenizer([":<1"]), "bot:", VITA_1_0_STATES)

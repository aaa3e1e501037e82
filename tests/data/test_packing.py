"""Packing records up to a budget of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vita.data.packing import estimated_length, greedy_groups, histogram, join_records, reference_shuffle
from vita.data.records import Record
from vita.errors import ConfigError, DataError

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


@settings(deadline=None, max_examples=50)
@given(LENGTHS, st.integers(1, 400))
def test_groups(lengths, limit):
    groups = greedy_groups(lengths, limit)
    assert [index for group in groups for index in group] == list(range(len(lengths)))  # all, once, in order
    totals = [sum(lengths[index] for index in group) for group in groups]
    for group, total in zip(groups, totals, strict=True):
        assert total <= limit or len(group) == 1
    for group, total in zip(groups[1:], totals, strict=False):  # no group could have taken the next item
        assert total + lengths[group[0]] > limit


def test_a_limit_of_nothing():
    with pytest.raises(ConfigError, match="limit"):
        greedy_groups([1], 0)


@pytest.mark.parametrize(
    ("seconds", "tokens"), [([], 0), ([0.3], 25), ([2.0], 25), ([2.01], 50), ([0.3, 0.99], 50), ([5.0], 75)]
)
def test_sound_counts_in_steps_of_two_seconds(seconds, tokens):
    assert estimated_length(100, 3, seconds) == 100 + 3 * 256 + tokens
    assert estimated_length(100, 3, seconds, tokens_per_tile=16) == 100 + 3 * 16 + tokens


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(), max_size=20), st.integers(0, 2**32))
def test_shuffling_is_repeatable_and_leaves_its_input_alone(items, seed):
    before = list(items)
    assert reference_shuffle(items, seed) == reference_shuffle(items, seed)
    assert sorted(reference_shuffle(items, seed)) == sorted(before)
    assert items == before


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 20_000), max_size=40))
def test_histogram_counts_everything_once(lengths):
    assert sum(histogram(lengths).values()) == len(lengths)


def test_histogram_ranges():
    counts = histogram([0, 99, 100, 999, 1000, 1499, 9999, 10000])
    assert {name: count for name, count in counts.items() if count} == {
        "0-100": 2,
        "100-200": 1,
        "900-1000": 1,
        "1000-1500": 2,
        "9500-10000": 1,
        ">10000": 1,
    }


def record(name: str, turns: int = 2, **fields: object) -> Record:
    conversations = [{"from": ("human", "gpt")[index % 2], "value": f"{name}{index}"} for index in range(turns)]
    return Record.from_json({"id": name, "set": "s", "conversations": conversations, **fields})


def test_joined_records():
    joined = join_records([record("a", 4, image="a.png"), record("b", audio=["b.wav"], inserted_id=1), record("c")])
    assert joined.to_json() == {
        "set": ["s", "s", "s"],
        "id": ["a", "b", "c"],
        "image": ["a.png"],
        "audio": ["b.wav"],
        "conversations": [
            {"from": who, "value": text}
            for who, text in zip(["human", "gpt"] * 4, ["a0", "a1", "a2", "a3", "b0", "b1", "c0", "c1"], strict=True)
        ],
        "inserted_id": 5,
    }


def test_nothing_follows_a_reply_without_end():
    assert join_records([record("a"), record("b", end_tag=False)]).end_tag is False
    with pytest.raises(DataError, match="sample a"):
        join_records([record("a", end_tag=False), record("b")])
    with pytest.raises(DataError, match="no records"):
        join_records([])

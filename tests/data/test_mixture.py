"""The mixture: weights, epochs, questions asked aloud by rate, and going on from any position."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.media_set import NUM_RECORDS, sources_of, write_media_set
from vita.data.mixture import Draw, Mixture, Position, Source
from vita.data.packing import join_records
from vita.data.records import Record
from vita.data.spoken import with_spoken_questions
from vita.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media_set(tmp_path_factory.mktemp("set"))


def first(mixture: Mixture, count: int, position: Position | None = None) -> list[Draw]:
    return [draw for draw, _ in itertools.islice(mixture.draws(position or mixture.start()), count)]


def test_weights_are_kept_and_every_record_comes_once_an_epoch(path: Path) -> None:
    draws = first(Mixture(sources_of(path), seed=3), 3000)
    counts = Counter(draw.source for draw in draws)
    assert counts[0] / 3000 == pytest.approx(2 / 3, abs=0.03)
    for source in (0, 1):
        indices = [draw.index for draw in draws if draw.source == source]
        epochs = [tuple(indices[start : start + NUM_RECORDS]) for start in range(0, 900, NUM_RECORDS)]
        assert all(sorted(epoch) == list(range(NUM_RECORDS)) for epoch in epochs)
        assert len(set(epochs)) == len(epochs)  # another order each time
    assert [draw.number for draw in draws] == list(range(3000))


def test_without_weights_sources_are_drawn_by_their_size(path: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.jsonl"
    small.write_text("".join(path.read_text().splitlines(keepends=True)[:10]))
    mixture = Mixture([Source.open(path), Source.open(small)])
    assert mixture.num_records == 40
    assert Counter(draw.source for draw in first(mixture, 4000))[0] / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_seed_decides(path: Path) -> None:
    a, b, c = (first(Mixture(sources_of(path), seed=seed), 50) for seed in (1, 1, 2))
    assert a == b != c


@settings(max_examples=15)
@given(st.integers(0, 2500))
def test_going_on_from_anywhere_is_the_same_stream(path: Path, stop: int) -> None:
    mixture = Mixture(sources_of(path), seed=5)
    whole = list(itertools.islice(mixture.draws(mixture.start()), stop + 20))
    saved = whole[stop - 1][1].to_json() if stop else mixture.start().to_json()
    position = Position.from_json(json.loads(json.dumps(saved)))
    again = Mixture(sources_of(path), seed=5)
    assert first(again, 20, position) == [draw for draw, _ in whole[stop:]]


def test_questions_are_asked_aloud_by_rate(path: Path) -> None:
    mixture = Mixture([Source.open(path, spoken_rate=0.25)], seed=1)
    records = [mixture.record(draw) for draw in first(mixture, 3000)]
    asked = [record for record in records if int(record.name[1:]) % 4 == 3]
    spoken = [record for record in asked if record.audios]
    assert len(spoken) / len(asked) == pytest.approx(0.25, abs=0.05)
    assert {record.turns[0].text for record in spoken} == {"<image>\n<audio>"}
    assert {record.turns[0].text for record in asked if not record.audios} == {"<image>\nhow many"}
    typed = Mixture([Source.open(path)], seed=1)
    assert not any(typed.record(draw).audios for draw in first(typed, 40) if draw.index % 4 == 3)


def record_of(*questions: str, **fields: Any) -> Record:
    turns = [turn for text in questions for turn in ({"from": "human", "value": text}, {"from": "gpt", "value": "a"})]
    return Record.from_json({"id": "r", "conversations": turns, **fields})


def test_sounds_of_questions_stand_in_the_order_of_the_turns() -> None:
    record = record_of(
        "one", "<audio>", "<video>three", audio="b.wav", video="v.mp4", spoken=["a.wav", "x.wav", "c.wav"]
    )
    asked = with_spoken_questions(record)
    assert [turn.text for turn in asked.turns[::2]] == ["<audio>", "<audio>", "<video>\n<audio>"]
    assert asked.audios == ("a.wav", "b.wav", "c.wav")  # a turn that is a sound already keeps it
    assert with_spoken_questions(record_of("one")) == record_of("one")


def test_the_field_spoken_is_read_written_and_joined() -> None:
    record = record_of("one", "two", spoken=["a.wav", ""])
    assert Record.from_json(record.to_json()) == record
    assert join_records([record_of("zero"), record]).spoken == ("", "a.wav", "")
    assert join_records([record_of("zero")] * 2).spoken == ()
    with pytest.raises(DataError, match="spoken has another number"):
        record_of("one", "two", spoken="a.wav")


@pytest.mark.parametrize("options", [{"weight": 0}, {"weight": float("inf")}, {"spoken_rate": 1.1}])
def test_options_out_of_range(path: Path, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        Source.open(path, **options)


def test_a_position_of_another_mixture(path: Path) -> None:
    with pytest.raises(ConfigError, match="another mixture"):
        first(Mixture(sources_of(path)), 1, Position(0, (0,)))

"""The ledger: words by time, pauses that lose none, and contexts that are brought to what was heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vita.chat.messages import Audio, Message
from vita.duplex.history import History, catch_up
from vita.duplex.ledger import Ledger, split_words, spoken_clause
from vita.duplex.microphone import InputSound
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State


def loud(num_samples: int) -> np.ndarray:
    return np.full(num_samples, 0.5, np.float32)


def test_words_end_when_their_sound_does() -> None:
    ledger = Ledger()
    silence = np.zeros(100, np.float32)
    ledger.add(spoken_clause("aaa bbb", np.concatenate([silence, loud(800), silence])))
    blocks = [ledger.take(100) for _ in range(11)]
    assert [words for _, words in blocks] == [[], [], [], [], ["aaa "], [], [], [], ["bbb"], [], []]
    assert [len(block) for block, _ in blocks] == [100] * 10 + [0]
    assert (ledger.heard, ledger.has_sound) == ("aaa bbb", False)


def test_a_pause_goes_back_to_the_word_that_it_cut() -> None:
    ledger = Ledger()
    ledger.add(spoken_clause("aaa bbb", np.arange(1, 801, dtype=np.float32)))
    ledger.take(600)
    ledger.back_to_word()
    block, words = ledger.take(600)
    assert (block[0], block[-1], words, ledger.heard) == (401, 800, ["bbb"], "aaa bbb")


def test_a_clause_without_sound_is_heard_when_it_is_reached() -> None:
    ledger = Ledger()
    ledger.add(spoken_clause("aaa ", loud(100)))
    ledger.add(spoken_clause("**", loud(0)))
    assert ledger.take(100)[1] == ["aaa "]
    assert not ledger.has_sound
    assert ledger.take(0)[1] == ["**"]


@given(st.text())
def test_words_join_to_their_text(text: str) -> None:
    assert "".join(split_words(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [("Paris, of course.", ["Paris, ", "of ", "course."]), ("你好，world 了。", ["你", "好，", "world ", "了。"])],
)
def test_words_of_both_languages(text: str, words: list[str]) -> None:
    assert split_words(text) == words


SAID = Message.user(Audio(loud(10)))
STORY = Message.assistant("once upon a time", State.SPOKEN_QUERY)
HEARD = Message.assistant("once upon", State.SPOKEN_QUERY)
MORE = Message.user(Audio(loud(20)))


@pytest.mark.parametrize(
    ("have", "wanted"),
    [
        ([], [SAID]), ([SAID], [SAID]), ([SAID, STORY], [SAID, HEARD, MORE]),
        ([SAID, HEARD, MORE], [SAID, STORY, MORE]), ([SAID, STORY, MORE], [SAID, STORY]),
        ([SAID, STORY], [MORE]), ([SAID], []),
    ],
)  # fmt: skip
def test_a_context_catches_up(have: list[Message], wanted: list[Message]) -> None:
    context = ScriptedEngine(lambda messages: Line(State.NOISE)).open(messages=have)
    catch_up(context, wanted)
    assert list(context.messages) == wanted


def test_the_oldest_turn_is_forgotten_whole_and_named() -> None:
    history = History([("system", Message.system("Be kind."))], max_tokens=100)
    for message in (SAID, STORY, Message.user("and then?")):
        history.add(message)
    assert history.forget_oldest(101) is None  # nothing but what is just said
    history.add(STORY)
    assert history.forget_oldest(100) is None
    assert history.forget_oldest(101) is SAID
    assert [message.text for message in history.messages] == ["Be kind.", "and then?", "once upon a time"]


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 300), st.integers(0, 300))
def test_the_input_keeps_its_last_seconds(sizes: list[int], start: int, length: int) -> None:
    sound = InputSound(keep_s=100 / 16_000)
    whole = np.arange(sum(sizes), dtype=np.float32)
    position = 0
    for size in sizes:
        sound.add(whole[position : position + size])
        position += size
    assert sound.end == len(whole)
    start = max(start, len(whole) - 100)
    np.testing.assert_array_equal(sound.between(start, start + length), whole[start : start + length])

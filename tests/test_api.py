"""The Python interface: `vita.load(...).ask(...)`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import vita
from vita.api import Assistant
from vita.chat.messages import Audio, Image, Text, Video
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import CheckpointError, ConfigError, LimitError, MediaError, PromptError
from vita.tokens import State

RED = PIL.Image.new("RGB", (30, 20), "red")


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def assistant(seen: list[Any]) -> Assistant:
    def script(messages: Any) -> Line:
        seen.append(messages)
        return Line(State.TYPED_QUERY, ("one ", "two ", "three"))

    return Assistant(ScriptedEngine(script), load_ms=7.0)


def png() -> bytes:
    buffer = io.BytesIO()
    RED.save(buffer, "PNG")
    return buffer.getvalue()


def test_ask_gives_state_text_usage_and_times(assistant: Assistant) -> None:
    answer = assistant.ask("Count.")
    assert (answer.state, answer.text) == (State.TYPED_QUERY, "one two three")
    assert answer.timing_ms["load"] == 7.0
    assert 0 < answer.timing_ms["first_token"] <= answer.timing_ms["total"]
    assert answer.to_dict()["state"] == "typed_query"
    assert answer.to_dict()["usage"]["total_tokens"] == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_stream_knows_the_state_before_the_first_word(assistant: Assistant) -> None:
    stream = assistant.stream("Count.")
    assert stream.state is State.TYPED_QUERY
    pieces = iter(stream)
    assert next(pieces) == "one "
    stream.abort()
    assert list(pieces) == []
    assert stream.answer().text == "one "


@pytest.mark.parametrize("image", [RED, png(), [RED, png()], (RED,)])
def test_pictures_in_every_form(image: Any, assistant: Assistant, seen: list[Any]) -> None:
    assistant.ask("What?", image=image)
    pictures = [part for part in seen[0][0].parts if isinstance(part, Image)]
    assert len(pictures) == (len(image) if isinstance(image, (list, tuple)) else 1)
    assert all(part.image.getpixel((3, 3)) == (255, 0, 0) for part in pictures)


def test_sound_from_an_array_is_resampled(assistant: Assistant, seen: list[Any]) -> None:
    assistant.ask(audio=(np.zeros((8000, 2), np.float32), 8000))
    (part,) = seen[0][0].parts
    assert isinstance(part, Audio)
    assert part.samples.shape == (16000,)


def test_parts_stand_in_order(assistant: Assistant, seen: list[Any], tmp_path: Path) -> None:
    RED.save(tmp_path / "a.gif", save_all=True, append_images=[RED.rotate(90)] * 3, duration=500)
    assistant.ask("and?", image=RED, video=tmp_path / "a.gif", audio=(np.zeros(1600, np.float32), 16000), system="s")
    system, user = seen[0]
    assert system.text == "s"
    assert [type(part) for part in user.parts] == [Image, Video, Audio, Text]


def test_many_at_once(assistant: Assistant) -> None:
    questions = [assistant.question("a"), assistant.question("b", image=RED)]
    answers = assistant.ask_many(questions, max_new_tokens=1)
    assert [answer.text for answer in answers] == ["one ", "one "]


def test_many_more_than_a_batch_are_cut_up(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    batch = assistant.engine.batch

    def counted(conversations: Any, sampling: Any) -> Any:
        sizes.append(len(conversations))
        return batch(conversations, sampling)

    monkeypatch.setattr(assistant.engine, "batch", counted)
    questions = [assistant.question("a")] * (2 * assistant.batch_size + 1)
    assert len(assistant.ask_many(questions, max_new_tokens=1)) == len(questions)
    assert len(assistant.ask_many(questions, batch_size=len(questions), max_new_tokens=1)) == len(questions)
    assert sizes == [assistant.batch_size, assistant.batch_size, 1, len(questions)]
    assert assistant.ask_many([]) == []
    with pytest.raises(ConfigError, match="batch_size of at least 1"):
        assistant.ask_many(questions, batch_size=0)


def test_several_turns(assistant: Assistant, seen: list[Any]) -> None:
    context = assistant.open("Be brief.")
    context.append("a")
    assert context.reply().result().text == "one two three"
    context.append("b")
    context.reply().result()
    assert [message.role for message in seen[1]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, PromptError),
        ({"question": "  "}, PromptError),
        ({"image": RED}, PromptError),
        ({"question": "a", "image": b"no picture"}, MediaError),
        ({"question": "a", "temperature": -1}, ConfigError),
        ({"question": "a", "max_new_tokens": 0}, ConfigError),
    ],
)
def test_mistakes(arguments: dict[str, Any], error: type[Exception], assistant: Assistant, seen: list[Any]) -> None:
    with pytest.raises(error):
        assistant.ask(**arguments)
    assert seen == []


def test_load_and_ask(tiny_folder: Path) -> None:
    assistant = vita.load(str(tiny_folder), device="cpu")
    first = assistant.ask("What?", image=RED, max_new_tokens=5, state="answer")
    again = assistant.ask("What?", image=RED, max_new_tokens=5, state="answer")
    assert first.text == again.text
    assert first.usage.image_tokens > 0
    assert first.timing_ms["load"] > 0
    assert isinstance(assistant, vita.Assistant)


def test_a_limit_on_the_caches(tiny_folder: Path) -> None:
    roomy, tight = (vita.load(str(tiny_folder), device="cpu", max_cached_tokens=most) for most in (2000, 4))
    assert roomy.ask("What?", max_new_tokens=3, state="answer").usage.completion_tokens > 0
    with pytest.raises(LimitError, match="the engine's KV cache is full"):
        tight.ask("What?", max_new_tokens=3, state="answer")


def test_load_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="unknown model nothing-here"):
        vita.load("nothing-here")


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = vita.nothing  # type: ignore[attr-defined]

"""`vita ask`, one question: terminal, JSON, speech, states, and what is refused."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import vita.api
from vita.api import Assistant
from vita.cli.main import main
from vita.engine.scripted import Line, ScriptedEngine
from vita.speech import write_wav
from vita.tokens import State


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`scripted(state, *pieces)`: every model says this; gives the conversations and the arguments of `load`."""
    seen: dict[str, Any] = {"messages": [], "loads": []}

    def prepare(state: State, *pieces: str) -> dict[str, Any]:
        def script(messages: Any) -> Line:
            seen["messages"].append(messages)
            return Line(state, pieces)

        def load(*args: Any, **options: Any) -> Assistant:
            seen["loads"].append((args, options))
            return Assistant(ScriptedEngine(script), load_ms=5.0)

        monkeypatch.setattr(vita.api, "load", load)
        return seen

    return prepare


@pytest.fixture
def media(tmp_path: Path) -> Path:
    PIL.Image.new("RGB", (20, 20), "red").save(tmp_path / "red.png")
    PIL.Image.new("RGB", (20, 20), "blue").save(tmp_path / "blue.png")
    frames = [PIL.Image.new("RGB", (20, 20), (shade, 0, 0)) for shade in (10, 90, 170, 250)]
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:], duration=500)
    write_wav(tmp_path / "hum.wav", 0.3 * np.sin(np.arange(16000) / 20), 16000)
    return tmp_path


def test_answer_goes_to_stdout_piece_by_piece(scripted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    seen = scripted(State.TYPED_QUERY, "It is ", "blue.")
    assert main(["ask", "What colour?", "--model", "m", "--device", "cpu", "--dtype", "float32"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("It is blue.\n", "")
    assert seen["loads"] == [(("m",), {"device": "cpu", "dtype": "float32"})]


def test_noise_is_silent_and_no_failure(scripted: Any, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted(State.NOISE, "unheard")
    assert main(["ask", "--audio", str(media / "hum.wav")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "(noise: nothing to answer)\n"


def test_json_is_the_documented_object(scripted: Any, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted(State.NOISE)
    assert main(["ask", "--json", "--audio", str(media / "hum.wav")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["state", "text", "usage", "timing_ms"]
    assert (found["state"], found["text"]) == ("noise", "")
    assert list(found["timing_ms"]) == ["load", "prefill", "first_token", "total"]
    assert found["timing_ms"]["load"] == 5.0
    assert 0 <= found["timing_ms"]["first_token"] <= found["timing_ms"]["total"]
    assert set(found["usage"]) == {
        "prompt_tokens", "image_tokens", "audio_tokens", "completion_tokens", "total_tokens"
    }  # fmt: skip


def test_everything_given_reaches_the_model_in_order(scripted: Any, media: Path) -> None:
    seen = scripted(State.SPOKEN_QUERY, "ok")
    arguments = ["ask", "and?", "--image", str(media / "red.png"), "--image", str(media / "blue.png")]
    arguments += ["--video", str(media / "film.gif"), "--audio", str(media / "hum.wav"), "--system", "Be brief."]
    assert main(arguments) == 0
    system, user = seen["messages"][0]
    assert (system.role, system.text) == ("system", "Be brief.")
    assert [type(part).__name__ for part in user.parts] == ["Image", "Image", "Video", "Audio", "Text"]
    assert user.parts[1].image.getpixel((5, 5)) == (0, 0, 255)
    assert len(user.parts[2].clip.frames) == 4
    assert user.parts[3].samples.shape == (16000,)
    assert user.text == "and?"


def test_speak_writes_the_answer(scripted: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scripted(State.TYPED_QUERY, "The circle is blue.")
    path = tmp_path / "out" / "answer.wav"
    assert main(["ask", "What?", "--json", "--speak", str(path)]) == 0
    with wave.open(str(path)) as file:
        assert 0.8 < file.getnframes() / file.getframerate() < 3
    assert capsys.readouterr().err.startswith(f"spoken: {path}, ")


def test_speak_of_nothing_is_an_empty_file(scripted: Any, media: Path) -> None:
    scripted(State.NOISE)
    path = media / "answer.wav"
    path.write_bytes(b"an old answer")
    assert main(["ask", "--audio", str(media / "hum.wav"), "--speak", str(path)]) == 0
    with wave.open(str(path)) as file:
        assert file.getnframes() == 0


@pytest.mark.parametrize("sampling", [["--max-new-tokens", "1"], []])
def test_max_new_tokens(scripted: Any, sampling: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    scripted(State.TYPED_QUERY, "one ", "two")
    assert main(["ask", "count", *sampling]) == 0
    assert capsys.readouterr().out == ("one \n" if sampling else "one two\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "no question at all; type one, as in `vita ask 'What can you do?'`, or give --audio FILE"),
        (["--image", "red.png"], "no question at all; type one,"),
        ([" "], "no question at all"),
        (["caf\udce9"], "the question is not valid text (got 'caf\\udce9', expected UTF-8)"),
        (["hi", "--system", "\udcff"], "the system prompt is not valid text"),
        (["hi", "--image", "missing.png"], "missing.png"),
        (["hi", "--image", "."], "directory"),
        (["hi", "--image", "empty.png"], "empty"),
        (["hi", "--image", "text.png"], "text.png"),
        (["hi", "--video", "red.png"], "red.png"),
        (["--audio", "text.wav"], "text.wav"),
        (["--audio", "red.png"], "red.png"),
        (["hi", "--image", "data:image/png;base64,AAAA"], "the data URL"),
        (["hi", "--image", "ftp://example.com/a.png"], "ftp"),
        (["hi", "--max-new-tokens", "0"], "--max-new-tokens is too small (got 0, expected 1 or more)"),
        (["hi", "--max-new-tokens", "many"], "argument --max-new-tokens: invalid int value: 'many'"),
        (["hi", "--temperature", "-1"], "--temperature is out of range (got -1.0, expected 0 to 10)"),
        (["hi", "--speak", "out.mp3"], "--speak writes a WAV file (got out.mp3, expected a name that ends with .wav)"),
        (["hi", "--output", "a.jsonl"], "--output is for --batch"),
        (["hi", "--batch", "a.jsonl"], "--batch does not go with a QUESTION"),
        (["--batch", "a.jsonl", "--speak", "a.wav"], "--batch does not go with --speak"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    arguments: list[str],
    line: str,
    scripted: Any,
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scripted(State.TYPED_QUERY, "never")
    monkeypatch.chdir(media)
    (media / "empty.png").touch()
    (media / "text.png").write_text("this is no picture")
    (media / "text.wav").write_text("this is no sound")
    assert main(["ask", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("vita: error: ")
    assert captured.err.count("\n") == 1
    assert line in captured.err


def test_a_real_model_answers(tiny_folder: Path, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", str(tiny_folder), "--max-new-tokens", "4", "--state", "answer", "--json", "--device", "cpu"]
    assert main(["ask", "What is it?", "--image", str(media / "red.png"), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["state"] in ("spoken_query", "typed_query")
    assert found["usage"]["image_tokens"] == 4
    assert 0 < found["timing_ms"]["prefill"] <= found["timing_ms"]["total"]


def test_more_images_than_the_context_holds(tiny_folder: Path, media: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = ["--image", str(media / "red.png")] * 400
    assert main(["ask", "What?", "--model", str(tiny_folder), "--device", "cpu", *images]) == 2
    assert "does not fit into the model's context" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["no-such-model", "out", "a.txt"])
def test_unknown_model(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "a.txt").touch()
    assert main(["ask", "hi", "--model", model]) == 2
    assert model in capsys.readouterr().err

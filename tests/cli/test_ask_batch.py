"""`vita ask --batch`: rows in, rows out, resuming, and lines that cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import vita.api
from vita.api import Assistant
from vita.cli.main import main
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import LimitError
from vita.speech import write_wav
from vita.tokens import State


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "media").mkdir()
    PIL.Image.new("RGB", (20, 20), "red").save(tmp_path / "media" / "red.png")
    write_wav(tmp_path / "media" / "hum.wav", 0.3 * np.sin(np.arange(16000) / 20), 16000)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions that reached the model; it answers with the question in capitals, to sound alone with silence."""
    texts: list[str] = []

    def script(messages: Any) -> Line:
        message = messages[-1]
        texts.append(message.text)
        if "too long" in message.text:
            raise LimitError("does not fit")
        return Line(State.TYPED_QUERY if message.text else State.NOISE, (message.text.upper(),))

    monkeypatch.setattr(vita.api, "load", lambda *args, **options: Assistant(ScriptedEngine(script), batch_size=2))
    return texts


def write(path: Path, *rows: Any) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


ROWS = [
    {"id": "a", "question": "one", "image": "media/red.png"},
    {"id": 7, "question": "two\u2028three", "image": ["media/red.png", "media/red.png"]},
    {"audio": "media/hum.wav", "group": "extra"},
]


def test_rows_in_rows_out(folder: Path, asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    output = folder / "new" / "out.jsonl"
    assert main(["ask", "--batch", write(folder / "in.jsonl", *ROWS), "--output", str(output)]) == 0
    assert read(output) == [
        {**ROWS[0], "state": "typed_query", "text": "ONE"},
        {**ROWS[1], "state": "typed_query", "text": "TWO\u2028THREE"},
        {**ROWS[2], "id": 3, "state": "noise", "text": ""},
    ]
    errors = capsys.readouterr().err
    assert "3/3" in errors
    assert "keys copied to the output without being read: group" in errors


def test_without_output_rows_go_to_stdout(folder: Path, asked: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "--json", "--batch", write(folder / "in.jsonl", *ROWS[:2])]) == 0
    assert [json.loads(line)["text"] for line in capfd.readouterr().out.split("\n") if line] == [
        "ONE",
        "TWO\u2028THREE",
    ]


def test_answered_lines_are_not_asked_again(folder: Path, asked: list[str]) -> None:
    batch, output = write(folder / "in.jsonl", *ROWS), folder / "out.jsonl"
    output.write_text('{"id": 7, "state": "typed_query", "text": "before"}\n{"id": "a", "sta')
    assert main(["ask", "--batch", batch, "--output", str(output)]) == 0
    assert asked == ["one", ""]
    assert [(row["id"], row["text"]) for row in read(output)] == [(7, "before"), ("a", "ONE"), (3, "")]
    asked.clear()
    assert main(["ask", "--batch", batch, "--output", str(output)]) == 0
    assert asked == []
    assert len(read(output)) == 3


def test_an_id_is_a_text_or_a_number_not_both(folder: Path, asked: list[str]) -> None:
    rows = [{"id": 1, "question": "a"}, {"id": "1", "question": "b"}]
    assert main(["ask", "--batch", write(folder / "i.jsonl", *rows), "--output", str(folder / "o.jsonl")]) == 0
    assert [row["text"] for row in read(folder / "o.jsonl")] == ["A", "B"]


def test_a_line_that_cannot_be_asked_does_not_stop_the_others(
    folder: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = [
        "{not json",
        "[1]",
        {"id": "gone", "question": "x", "image": "media/gone.png"},
        {"id": "silent"},
        {"id": "typed", "question": 3},
        {"id": "long", "question": "too long"},
    ]
    batch = write(folder / "in.jsonl", ROWS[0], *bad, "", ROWS[1])
    output = folder / "out.jsonl"
    assert main(["ask", "--batch", batch, "--output", str(output)]) == 2
    rows = read(output)
    assert [row["id"] for row in rows] == ["a", 2, 3, "gone", "silent", "typed", "long", 7]
    assert [row.get("text") for row in rows] == ["ONE", *[None] * 6, "TWO\u2028THREE"]
    assert rows[1]["error"].startswith("line 2 is not JSON")
    assert "media/gone.png" in rows[3]["error"]
    assert rows[4]["error"].startswith("no question at all")
    assert rows[5]["error"].startswith("line 6: question is not a text")
    assert rows[6]["error"] == "does not fit"
    assert "6 of 8 lines could not be asked" in capsys.readouterr().err


def test_lines_with_errors_are_tried_again(folder: Path, asked: list[str]) -> None:
    batch = write(folder / "in.jsonl", {"id": 1, "question": "x", "image": "late.png"}, {"id": 2, "question": "y"})
    arguments = ["ask", "--batch", batch, "--output", str(folder / "out.jsonl")]
    assert main(arguments) == 2
    PIL.Image.new("RGB", (9, 9)).save(folder / "late.png")
    assert main(arguments) == 0
    assert [(row["id"], row["text"]) for row in read(folder / "out.jsonl")] == [(2, "Y"), (1, "X")]
    assert asked == ["y", "x"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot read"),
        ("", "holds no questions"),
        ("\n\n", "holds no questions"),
        ('{"id": 1, "question": "a"}\n{"id": 1, "question": "b"}\n', "the id 1 is in"),
        (b"\xff\xfe", "cannot read"),
    ],
)
def test_a_file_that_is_no_batch(
    content: Any, line: str, folder: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "in.jsonl"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["ask", "--batch", str(path), "--output", str(folder / "out.jsonl")]) == 2
    assert line in capsys.readouterr().err
    assert not (folder / "out.jsonl").exists()


def test_an_output_of_something_else_is_left_alone(
    folder: Path, asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = folder / "out.jsonl"
    output.write_text("my diary\n")
    assert main(["ask", "--batch", write(folder / "in.jsonl", *ROWS), "--output", str(output)]) == 2
    assert "is no line of an earlier run" in capsys.readouterr().err
    assert output.read_text() == "my diary\n"


def test_a_real_model_answers_as_one_by_one(tiny_folder: Path, folder: Path) -> None:
    options = ["--model", str(tiny_folder), "--device", "cpu", "--max-new-tokens", "5"]
    batch = write(folder / "in.jsonl", *ROWS)
    assert main(["ask", "--batch", batch, "--output", str(folder / "out.jsonl"), *options]) == 0
    assistant = vita.api.load(str(tiny_folder), device="cpu")
    for row in read(folder / "out.jsonl"):
        images = row.get("image") or []
        images = [str(folder / path) for path in ([images] if isinstance(images, str) else images)]
        audio = str(folder / row["audio"]) if "audio" in row else None
        answer = assistant.ask(row.get("question"), image=images, audio=audio, max_new_tokens=5)
        assert (row["state"], row["text"]) == (answer.state.value, answer.text)

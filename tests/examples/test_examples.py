"""The small programs of examples/ run, with the embedded model where that is cheap."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.server.conftest import Bench, on_loopback
from vita.clock import VirtualClock, run_virtual
from vita.engine.scripted import Line, ScriptedEngine
from vita.media import load_audio
from vita.tokens import State

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Recorded:
    """Devices that hear a recording and a silence after it, on virtual time; then the user leaves."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self.played: list[np.ndarray] = []
        self._clock, self._at = clock, 0
        heard = load_audio(EXAMPLES / "capital_en.wav")
        self._heard = np.concatenate([heard, np.zeros(int(16_000 * seconds) - len(heard), np.float32)])

    async def read(self) -> np.ndarray:
        piece = self._heard[self._at : self._at + 160]
        if not len(piece):
            raise asyncio.CancelledError
        self._at += 160
        await self._clock.sleep_until(self._at / 16_000)
        return piece

    def play(self, at_s: float, samples: np.ndarray) -> None:
        self.played.append(samples)


def test_assistant_has_20_lines_and_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assistant = load_example("assistant")
    lines = (EXAMPLES / "assistant.py").read_text(encoding="utf-8").splitlines()[1:]
    assert sum(bool(line.strip()) for line in lines) <= 20
    devices: list[Recorded] = []

    async def talk() -> None:
        clock = VirtualClock()
        monkeypatch.setattr(assistant, "RealClock", lambda: clock)
        monkeypatch.setattr(assistant, "Devices", lambda rate_hz: devices.append(Recorded(clock, 6.0)) or devices[-1])
        with pytest.raises(asyncio.CancelledError):
            await assistant.main()

    run_virtual(talk())
    assert "'event': 'reply_end'" in capsys.readouterr().out
    assert np.abs(np.concatenate(devices[0].played)).max() > 0.05


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server to which a long sound is a question, a short one noise."""
    engine = ScriptedEngine(
        lambda messages: Line(State.SPOKEN_QUERY, ("Three ", "words ", "here.")),
        lambda samples: {State.SPOKEN_QUERY if len(samples) > 16_000 else State.NOISE: 1.0},
    )
    with on_loopback(Bench(engine=engine).app) as address:
        yield address


def test_realtime_client_hears_an_answer(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = load_example("realtime_client")
    monkeypatch.chdir(tmp_path)
    arguments = [str(EXAMPLES / "colour_en.wav"), "--url", f"{url}/v1", "--out", "answer.wav"]
    monkeypatch.setattr("sys.argv", ["realtime_client.py", *arguments])
    client.main()
    assert capsys.readouterr().out == "Three words here.\n"
    assert soundfile.info(tmp_path / "answer.wav").duration > 0.4


def test_custom_voice_speaks_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load_example("custom_voice")
    monkeypatch.setattr("sys.argv", ["custom_voice.py", "--out", str(tmp_path)])
    example.main()
    for name in ("robot.wav", "robot_live.wav"):
        samples, _ = soundfile.read(tmp_path / name)
        assert np.abs(samples).max() > 0.05
    plain, _ = example.EspeakVoice(example.EspeakOptions(pitch=30, range=0)).speak("hello")
    robot, _ = example.Robot().speak("hello")
    assert len(robot) == len(plain)
    assert not np.allclose(robot, plain, atol=0.02)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder with 16 s and more of noise."""
    folder = tmp_path / "room"
    folder.mkdir()
    shutil.copy(EXAMPLES / "hum.wav", folder)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "hiss.wav", 0.05 * rng.standard_normal(16_000 * 17), 16_000)
    (folder / "notes.txt").write_text("no sound")
    return folder


def test_noise_records_are_cut_and_kept_apart(room: Path, tmp_path: Path) -> None:
    example = load_example("finetune_noise")
    learned, kept = example.cut(room, tmp_path / "clips")
    assert len(kept) == 2
    assert not set(learned) & set(kept)
    data = example.make_records(learned, tmp_path / "questions", seed=0)
    items: list[dict[str, Any]] = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    assert sum("inserted_id" in item for item in items) == len(learned)
    assert sum("inserted_id" not in item for item in items) == len(example.FACTS)
    example.recipe("pocket", data, tmp_path, 3)
    from vita import train

    assert any("adapt" in line for line in train.plan(tmp_path / "recipe.yaml"))


def test_too_little_noise_is_named(tmp_path: Path) -> None:
    example = load_example("finetune_noise")
    with pytest.raises(example.DataError, match="too little sound"):
        example.cut(tmp_path, tmp_path / "clips")


@pytest.mark.slow
def test_noise_is_learned(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = load_example("finetune_noise")
    monkeypatch.setattr("sys.argv", ["finetune_noise.py", str(room), "--out", str(tmp_path / "run"), "--steps", "20"])
    example.main()
    assert "silent on the noise: 1.00 before, 1.00 after" in capsys.readouterr().out


@pytest.fixture
def cells() -> list[str]:
    """The notebook's code."""
    notebook = json.loads((EXAMPLES / "walkthrough.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_notebook_runs(cells: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells in this process; `-m slow` has a Jupyter kernel run them."""
    import matplotlib

    matplotlib.use("Agg")
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"cell {number}", "exec"), names)
    out = capsys.readouterr().out
    assert "side talk            (silent)" in out
    assert [message.role for message in names["history"]].count("assistant") == 3
    assert any(event["event"] == "interrupted" for event in names["events"])
    assert len({event["context"] for event in names["events"] if event["event"] == "first_audio"}) == 2


@pytest.mark.slow
def test_notebook_runs_in_jupyter() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "walkthrough.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4

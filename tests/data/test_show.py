"""`vita data show` and `vita data stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile

from tests.data.media_set import NUM_RECORDS, write_media_set
from vita.cli.main import main
from vita.data.collate import Sample
from vita.data.lengths import rough_length, token_counts
from vita.data.loading import build_sample, load_media
from vita.data.records import MediaFolders, RecordFile
from vita.data.show import token_runs
from vita.data.sizes import examine, measure
from vita.data.stats import measure_sizes
from vita.tokens import AUDIO_PLACEHOLDER, IGNORE_LABEL, IMAGE_PLACEHOLDER


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media_set(tmp_path_factory.mktemp("set"))


def test_runs_of_tokens() -> None:
    sample = Sample(input_ids=[5, 8, 8, 6, 7, 9], labels=[IGNORE_LABEL] * 4 + [7, 9])
    runs = [(run.kind, run.is_learned, run.start, run.end) for run in token_runs(sample, 8, 4)]
    assert runs == [("text", False, 0, 1), ("image", False, 1, 3), ("text", False, 3, 4), ("text", True, 4, 6)]


def test_show_marks_what_is_learned(
    path: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "show", str(path), "--index", "2", "--model", str(tiny_folder)]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "data.jsonl line 3, sample s2: " in shown
    assert "sounds of 0.7 s" in shown
    assert "[[<1>red red red </s>]]" in shown
    assert "<audio x " in shown
    samples, rate_hz = soundfile.read(tmp_path / "out" / "audio-1.wav")
    assert (len(samples), rate_hz) == (12000, 16000)

    assert main([*arguments, "--tokens"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert "".join(row.split("'")[1] for row in rows if " + " in row) == "<1>red red red </s>"


def test_show_writes_pictures(path: Path, tiny_folder: Path, tmp_path: Path) -> None:
    arguments = ["--model", str(tiny_folder), "--out", str(tmp_path)]
    assert main(["data", "show", str(path), "--index", "-29", *arguments]) == 0
    assert PIL.Image.open(tmp_path / "image-1.png").size == (70, 40)


@pytest.mark.parametrize("index", [NUM_RECORDS, -NUM_RECORDS - 1])
def test_an_index_out_of_range(path: Path, index: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", str(path), "--index", str(index)]) == 2
    assert "--index is out of range" in capsys.readouterr().err


def test_sizes_are_those_of_the_decoded_media(path: Path, tmp_path: Path) -> None:
    turned = PIL.Image.new("RGB", (30, 20))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    soundfile.write(tmp_path / "other.wav", np.zeros((22051, 2)), 22050)
    for placeholder, file in [
        (IMAGE_PLACEHOLDER, tmp_path / "turned.jpg"),
        (IMAGE_PLACEHOLDER, path.parent / "1.png"),
        (AUDIO_PLACEHOLDER, path.parent / "1.wav"),
        (AUDIO_PLACEHOLDER, tmp_path / "other.wav"),
    ]:
        measured, examined = measure(placeholder, file), examine(placeholder, file)
        assert (measured.width, measured.height) == (examined.width, examined.height)
        assert abs(measured.num_samples - examined.num_samples) <= 1
    assert measure(IMAGE_PLACEHOLDER, tmp_path / "turned.jpg").height == 30


def test_counts_are_those_of_the_built_samples(path: Path, tiny_model: tuple[Any, Any]) -> None:
    processor = tiny_model[1]
    folders = MediaFolders(default=path.parent)
    file = RecordFile(path)
    for index in range(8):
        record = file[index]
        sizes = measure_sizes(record, folders)
        counts = token_counts(record, sizes, processor)
        sample = build_sample(record, load_media(record, folders), processor)
        assert counts.total == len(sample.input_ids)
        assert counts.learned == sum(label != IGNORE_LABEL for label in sample.labels)
        assert counts.image == sample.input_ids.count(processor.config.image_token_id)
        assert counts.audio == sample.input_ids.count(processor.config.audio_token_id)
        media = (256 if record.images and record.images[0] == "0.png" else 0) + 25 * len(record.audios)
        assert rough_length(record, sizes) >= media


def test_stats_count_everything(
    path: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"conversations": []}\n{')
    arguments = ["--root", str(path.parent), "--model", str(tiny_folder), "--workers", "1"]
    assert main(["data", "stats", str(path), str(broken), *arguments]) == 1
    table = capsys.readouterr().out
    assert "samples             30   turns 60" in table
    assert "not measured: 2 samples" in table
    assert main(["data", "stats", str(path), *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["sounds"], found["videos"]) == (15, 7, 0)
    assert found["audio_s"] == pytest.approx(sum(0.25 * (1 + n % 3) for n in range(2, 30, 4)))
    tokens = found["tokens"]
    assert tokens["text"] + tokens["image"] + tokens["video"] + tokens["audio"] == tokens["all"]
    assert 0 < tokens["learned"] < tokens["text"]
    assert found["lengths"]["p50"] <= found["lengths"]["p100"]


def test_a_plot(path: Path, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["data", "stats", str(path), "--model", str(tiny_folder), "--workers", "1", "--plot"]
    assert main([*arguments, str(tmp_path / "plot.png")]) == 0
    assert PIL.Image.open(tmp_path / "plot.png").width > 300
    assert main([*arguments, str(tmp_path / "plot.xyz")]) == 2
    assert "unknown format of the plot" in capsys.readouterr().err

"""`vita data check`: every kind of bad sample is found, named, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile

from vita.cli.main import main
from vita.data.check import KINDS, CheckRules, check_item
from vita.data.check_files import check_files
from vita.data.records import MediaFolders, RecordFile
from vita.errors import ConfigError, DataError

ASK, REPLY = {"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}
SEE, HEAR = {"from": "human", "value": "<image>\nwhat"}, {"from": "human", "value": "<audio>"}
WATCH = {"from": "human", "value": "<video>\nwhat"}
MOVING = Path(__file__).parents[2] / "examples" / "moving.mp4"


def cut(source: Path, target: Path, share: float = 0.6) -> None:
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good and bad files of each kind."""
    folder = tmp_path_factory.mktemp("media")
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(folder / "good.jpg")
    PIL.Image.fromarray(noise).save(folder / "good.png")
    PIL.Image.new("RGB", (300, 20)).save(folder / "long.png")
    cut(folder / "good.jpg", folder / "cut.jpg")
    cut(folder / "good.png", folder / "cut.png")
    (folder / "text.jpg").write_text("no picture")
    (folder / "zero.jpg").touch()
    samples = np.sin(np.arange(16000) / 20).astype(np.float32)
    for name in ("good.wav", "good.flac"):
        soundfile.write(folder / name, samples, 16000)
    soundfile.write(folder / "zero.wav", samples[:0], 16000)
    cut(folder / "good.wav", folder / "cut.wav")
    cut(folder / "good.flac", folder / "cut.flac")
    (folder / "good.mp4").write_bytes(MOVING.read_bytes())
    cut(MOVING, folder / "cut.mp4")
    (folder / "zero.mp4").touch()
    (folder / "text.mp4").write_text("no clip")
    return folder


BAD: list[tuple[dict[str, Any], str]] = [
    ({"conversations": []}, "malformed"),
    ({"conversations": [{"from": "cat", "value": "x"}]}, "malformed"),
    ({"conversations": [ASK, ASK]}, "roles"),
    ({"conversations": [ASK]}, "roles"),
    ({"conversations": [REPLY]}, "roles"),
    ({"conversations": [ASK, {"from": "gpt", "value": " "}]}, "empty_reply"),
    ({"conversations": [SEE, REPLY]}, "placeholders"),
    ({"conversations": [ASK, REPLY], "image": "good.jpg"}, "placeholders"),
    ({"conversations": [ASK, {"from": "gpt", "value": "<image>"}], "image": "good.jpg"}, "placeholders"),
    ({"conversations": [SEE, REPLY], "image": "none.jpg"}, "missing"),
    ({"conversations": [SEE, REPLY], "image": "zero.jpg"}, "empty_file"),
    ({"conversations": [HEAR, REPLY], "audio": "zero.wav"}, "empty_file"),
    ({"conversations": [SEE, REPLY], "image": "cut.jpg"}, "truncated"),
    ({"conversations": [SEE, REPLY], "image": "cut.png"}, "truncated"),
    ({"conversations": [HEAR, REPLY], "audio": "cut.wav"}, "truncated"),
    ({"conversations": [HEAR, REPLY], "audio": "cut.flac"}, "unreadable"),
    ({"conversations": [SEE, REPLY], "image": "text.jpg"}, "unreadable"),
    ({"conversations": [WATCH, REPLY]}, "placeholders"),
    ({"conversations": [WATCH, REPLY], "video": "none.mp4"}, "missing"),
    ({"conversations": [WATCH, REPLY], "video": "zero.mp4"}, "empty_file"),
    ({"conversations": [WATCH, REPLY], "video": "cut.mp4"}, "truncated"),
    ({"conversations": [WATCH, REPLY], "video": "text.mp4"}, "unreadable"),
    ({"conversations": [HEAR, REPLY], "audio": "none.wav"}, "missing"),
    ({"conversations": [HEAR, REPLY], "audio": "text.jpg"}, "unreadable"),
    ({"conversations": [SEE, REPLY], "image": "long.png"}, "aspect_ratio"),
    ({"conversations": [{"from": "human", "value": "a " * 400}, REPLY]}, "too_long"),
    ({"conversations": [{"from": "human", "value": "图" * 150}, REPLY]}, "too_long"),
]
GOOD: list[dict[str, Any]] = [
    {"id": 1, "conversations": [ASK, REPLY]},
    {"id": 2, "conversations": [REPLY, ASK, REPLY]},
    {"id": 3, "conversations": [SEE, REPLY], "image": "good.png", "extra": 5},
    {"id": 4, "conversations": [HEAR, REPLY], "audio": ["good.wav"]},
    {"id": 6, "conversations": [WATCH, REPLY], "video": "good.mp4"},
    {"id": 5, "conversations": [HEAR, {"from": "gpt", "value": ""}], "audio": ["good.flac"], "inserted_id": 1},
]


@pytest.mark.parametrize(("item", "kind"), BAD)
def test_one_bad_thing_is_found_alone(root: Path, item: dict[str, Any], kind: str) -> None:
    rules = CheckRules(max_tokens=100 if kind == "too_long" else 2000)
    verdict = check_item("here", item, rules, MediaFolders(default=root))
    assert {problem.kind for problem in verdict.problems} == {kind}


def test_every_kind_has_a_case() -> None:
    assert set(KINDS) - {kind for _, kind in BAD} == {"duplicate", "text"}


def test_an_unknown_set_is_missing() -> None:
    folders = MediaFolders(sets={"a": Path("/a")})
    item = {"conversations": [SEE, REPLY], "image": "x.png", "set": "b"}
    assert [problem.kind for problem in check_item("here", item, CheckRules(), folders).problems] == ["missing"]


def write(path: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_files_out_and_exit_code(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "data.jsonl", *GOOD, "{", BAD[9][0], GOOD[0], '{"conversations": 3}', "[]")
    before = file.read_bytes()
    out = tmp_path / "out"
    arguments = ["data", "check", str(file), "--root", str(root), "--out", str(out), "--workers", "1"]
    assert main(arguments) == 1
    assert file.read_bytes() == before
    shown = capsys.readouterr().out
    assert "11 samples, 6 good, 5 bad; media decoded: 2 audio, 1 image, 1 video" in shown
    assert "data.jsonl line 8: " in shown
    assert [json.loads(line) for line in (out / "good.jsonl").read_text().splitlines()] == GOOD
    bad = [json.loads(line) for line in (out / "bad.jsonl").read_text().splitlines()]
    assert [row["problems"][0].split(":")[0] for row in bad] == ["malformed", "missing", "duplicate"] + [
        "malformed"
    ] * 2
    assert bad[2]["problems"] == ["duplicate: the same as data.jsonl line 1"]
    assert bad[1]["image"] == "none.jpg"
    report = json.loads((out / "report.json").read_text())
    assert report["problems"] == {"malformed": 3, "missing": 1, "duplicate": 1}
    assert (report["samples"], report["good"], report["bad"]) == (11, 6, 5)

    clean = tmp_path / "clean"
    assert main(["data", "check", str(out / "good.jsonl"), "--root", str(root), "--out", str(clean)]) == 0
    assert (clean / "good.jsonl").read_text() == (out / "good.jsonl").read_text()
    assert "0 bad" in capsys.readouterr().out


def test_processes_find_what_one_finds_and_a_bar_tells_how_far(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "data.jsonl", *GOOD, *[item for item, _ in BAD if "video" not in item], GOOD[0])
    reports = [
        check_files([file], CheckRules(), root=root, out=tmp_path / str(workers), workers=workers, progress=True)
        for workers in (1, 2)
    ]
    assert reports[0] == reports[1]
    for name in ("good.jsonl", "bad.jsonl", "report.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    told = capsys.readouterr().err
    assert told.count(f"{reports[0].samples}/{reports[0].samples}") >= 2


def test_nothing_is_replaced_or_written_unasked(root: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "good.jsonl", GOOD[0])
    with pytest.raises(ConfigError, match="would replace the input"):
        check_files([file], CheckRules(), root=root, out=tmp_path)
    assert check_files([file], CheckRules(), root=root).good == 1
    assert [path.name for path in tmp_path.iterdir()] == ["good.jsonl"]


def test_tokens_are_those_of_the_model(tmp_path: Path, tiny_folder: Path) -> None:
    control = {"from": "human", "value": "what </s>"}
    long = {"from": "human", "value": "a" * 1500}
    rows = [GOOD[0], {"conversations": [control, REPLY]}, {"conversations": [long, REPLY]}]
    file = write(tmp_path / "data.jsonl", *rows)
    report = check_files([file], CheckRules(model_folder=tiny_folder), root=tmp_path)
    assert report.problems == {"text": 1, "too_long": 1}
    assert report.longest is not None
    assert 10 < report.longest < 1500


def test_a_folder_table(root: Path, tmp_path: Path) -> None:
    (tmp_path / "sets").symlink_to(root)
    table = tmp_path / "folders.yaml"
    table.write_text("sets: {a: sets}\naudio: sets\n")
    item = {"set": "a", "image": "good.png", "audio": "good.wav", "conversations": [SEE, REPLY, HEAR, REPLY]}
    file = write(tmp_path / "data.jsonl", item, {**item, "set": "b"})
    report = check_files([file], CheckRules(), table=table)
    assert (report.good, report.problems) == (1, {"missing": 1})
    table.write_text("set: {a: sets}\n")
    with pytest.raises(DataError, match="no folder table"):
        MediaFolders.read(table)


def test_a_file_that_cannot_be_read_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(tmp_path / "none.json")]) == 2
    assert "cannot read records" in capsys.readouterr().err
    with pytest.raises(DataError, match="line 2"):
        RecordFile(write(tmp_path / "a.jsonl", "", "{"))[0]

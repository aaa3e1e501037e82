"""Records: the reference's JSON and JSON Lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vita.data.records import MediaFolders, Record, RecordTurn, read_records
from vita.errors import DataError

TURNS = [{"from": "human", "value": "<image>\nwhat"}, {"from": "gpt", "value": "a circle"}]
SINGLE = {"set": "coco", "id": "7", "image": "a.png", "conversations": TURNS}
PACKED = {
    "set": ["coco", "web"],
    "id": ["7", "8"],
    "image": ["a.png", "b.png"],
    "audio": ["c.wav"],
    "conversations": TURNS * 2,
    "inserted_id": 3,
    "end_tag": False,
}


def test_fields():
    record = Record.from_json(PACKED)
    assert record.name == "7+8"
    assert record.images == ("a.png", "b.png")
    assert record.audios == ("c.wav",)
    assert record.noise_turns == (3,)
    assert record.end_tag is False
    assert record.turns[0] == RecordTurn("user", "<image>\nwhat")
    assert record.has_media
    assert not Record.from_json({"id": 3, "conversations": TURNS}).has_media


@pytest.mark.parametrize("item", [SINGLE, PACKED, {"id": "1", "conversations": TURNS, "audio": ["a", "b"]}])
def test_json_and_back(item):
    assert Record.from_json(item).to_json() == item


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ([], "no object"),
        ({"id": "7"}, "sample 7.*no conversations"),
        ({**SINGLE, "conversations": []}, "sample 7.*no conversations"),
        ({**SINGLE, "conversations": [{"from": "gpt"}]}, "sample 7.*malformed turn"),
        ({**SINGLE, "conversations": [{"from": "cat", "value": "x"}]}, "sample 7.*malformed turn"),
        ({**SINGLE, "conversations": ["x"]}, "sample 7.*malformed turn"),
        ({**SINGLE, "image": {"path": "x"}}, "sample 7.*image"),
        ({**SINGLE, "inserted_id": 2}, "sample 7.*inserted_id"),
        ({**SINGLE, "inserted_id": "1"}, "sample 7.*inserted_id"),
    ],
)
def test_malformed_items_are_named(item, told):
    with pytest.raises(DataError, match=told):
        Record.from_json(item)


def test_both_file_formats(tmp_path):
    as_list, as_lines = tmp_path / "data.json", tmp_path / "data.jsonl"
    as_list.write_text(json.dumps([SINGLE, PACKED]), encoding="utf-8")
    as_lines.write_text(f"{json.dumps(SINGLE)}\n\n{json.dumps(PACKED)}\n", encoding="utf-8")
    assert list(read_records(as_list)) == list(read_records(as_lines)) == [*map(Record.from_json, (SINGLE, PACKED))]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", "{}", "no records"),
        ("a.json", "[", r"cannot read.*a\.json"),
        ("a.jsonl", '{"id": 1}', r"a\.jsonl line 1"),
        ("a.jsonl", "\n{", r"a\.jsonl"),
        ("a.json", '[{"id": "x"}]', r"sample x.*a\.json item 0"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, told):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        list(read_records(tmp_path / name))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.json"):
        list(read_records(tmp_path / "none.json"))


FOLDERS = MediaFolders(sets={"coco": Path("/coco"), "web": Path("/web")}, audio=Path("/sound"))


def test_paths_by_set():
    record = Record.from_json(PACKED)
    assert FOLDERS.image_paths(record) == [Path("/coco/a.png"), Path("/web/b.png")]
    assert FOLDERS.audio_paths(record) == [Path("/sound/c.wav")]
    one_set = Record.from_json({**PACKED, "set": "web"})
    assert FOLDERS.image_paths(one_set) == [Path("/web/a.png"), Path("/web/b.png")]
    text_between = Record.from_json({**PACKED, "set": ["web"] * 3})
    assert FOLDERS.image_paths(text_between) == [Path("/web/a.png"), Path("/web/b.png")]
    assert FOLDERS.video_paths(record) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"set": ["coco", "web", "coco"]}, "told apart"),
        ({"set": None}, "told apart"),
        ({"set": "sun"}, "unknown set.*sun"),
    ],
)
def test_sets_that_do_not_lead_to_a_folder(change, told):
    with pytest.raises(DataError, match=rf"sample 7\+8.*{told}"):
        FOLDERS.image_paths(Record.from_json({**PACKED, **change}))


def test_sounds_without_a_folder():
    with pytest.raises(DataError, match="no audio folder"):
        MediaFolders(sets={}).audio_paths(Record.from_json(PACKED))

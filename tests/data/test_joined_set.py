"""`vita data pack` and `vita data convert`: joined records hold everything once, converted ones come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train.tuning_case import write_records
from vita.cli.main import main
from vita.data.joined_set import BEST_FIT, IN_ORDER, join_file
from vita.data.lengths import token_counts
from vita.data.records import MediaFolders, RecordFile, read_records
from vita.data.stats import measure_sizes
from vita.data.writing import convert_file, write_items
from vita.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("records"))


@pytest.mark.parametrize("method", [IN_ORDER, BEST_FIT])
def test_joined_records_hold_everything_once(
    records: Path, tiny_model: tuple[Any, Any], tmp_path: Path, method: str
) -> None:
    processor, folders = tiny_model[1], MediaFolders(default=records.parent)
    before = list(read_records(records))
    lengths = [token_counts(r, measure_sizes(r, folders), processor).total for r in before]
    budget = 2 * max(lengths)
    found = join_file(records, tmp_path / "j.jsonl", folders, processor, budget=budget, method=method)
    after = list(read_records(tmp_path / "j.jsonl"))
    assert sorted(name for record in after for name in record.ids) == sorted(r.name for r in before)
    assert found.lengths == lengths
    assert max(found.joined) <= budget
    assert sum(found.joined) == sum(lengths)
    assert len(after) < len(before)
    assert f"{found.efficiency:.1%} full" in found.table()
    if method == IN_ORDER:
        assert [name for record in after for name in record.ids] == [r.name for r in before]
    media = {record.ids: (record.images, record.audios) for record in after}
    assert sum(len(images) for images, _ in media.values()) == sum(len(r.images) for r in before)


def test_a_long_record_and_one_without_an_end_stay_alone(
    records: Path, tiny_model: tuple[Any, Any], tmp_path: Path
) -> None:
    items = [item for _, item in RecordFile(records).items()]
    items[2]["end_tag"] = False
    write_items(items, tmp_path / "open.jsonl")
    folders = MediaFolders(default=records.parent)
    join_file(tmp_path / "open.jsonl", tmp_path / "j.json", folders, tiny_model[1], budget=3000)
    alone = [record.ids for record in read_records(tmp_path / "j.json") if not record.end_tag]
    assert alone == [("s2",)]
    join_file(records, tmp_path / "short.json", folders, tiny_model[1], budget=1)
    assert len(list(read_records(tmp_path / "short.json"))) == 8


def test_what_cannot_be_measured_is_named(records: Path, tiny_model: tuple[Any, Any], tmp_path: Path) -> None:
    elsewhere = MediaFolders(default=tmp_path)
    with pytest.raises(DataError, match=r"records.jsonl line 2: .*; see `vita data check`"):
        join_file(records, tmp_path / "j.jsonl", elsewhere, tiny_model[1], budget=500)
    assert not (tmp_path / "j.jsonl").exists()
    found = join_file(records, tmp_path / "j.jsonl", elsewhere, tiny_model[1], budget=500, leave_out=True)
    assert len(found.left_out) == 6
    assert found.table().count("left out: records.jsonl line") == 6


def test_lists_and_lines_are_turned_into_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fields that we do not know and characters of every kind included."""
    turns = [{"from": "human", "value": "你好 \u2028?"}, {"from": "gpt", "value": "☞"}]
    rows = [{"id": "1", "conversations": turns, "score": 0.5, "set": "a"}, {"id": 2, "conversations": turns}]
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    assert main(["data", "convert", str(tmp_path / "a.json"), str(tmp_path / "b.jsonl")]) == 0
    assert capsys.readouterr().out.endswith("b.jsonl, 2 records\n")
    assert len((tmp_path / "b.jsonl").read_text(encoding="utf-8").split("\n")) == 3
    assert convert_file(tmp_path / "b.jsonl", tmp_path / "c.json") == 2
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8")) == rows
    write_items([], tmp_path / "none.json")
    assert json.loads((tmp_path / "none.json").read_text(encoding="utf-8")) == []


def test_a_bad_record_leaves_no_file_behind(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"id": "1"}]', encoding="utf-8")
    with pytest.raises(DataError, match=r"a.json item 0\) has no conversations"):
        convert_file(tmp_path / "a.json", tmp_path / "b.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(ConfigError, match="written over itself"):
        convert_file(tmp_path / "a.json", tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"got b.txt, expected .json or .jsonl"):
        convert_file(tmp_path / "a.json", tmp_path / "b.txt")


def test_the_command_joins_the_examples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = Path(__file__).parents[2] / "examples" / "train.jsonl"
    out = tmp_path / "joined.jsonl"
    assert main(["data", "pack", str(examples), "--out", str(out), "--max-tokens", "200", "--best-fit"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("12 records, ")
    assert f"written: {out}" in told
    assert sum(len(record.ids) for record in read_records(out)) == 12

"""Records: one training conversation each, read from the reference's JSON or from JSON Lines with the same fields.

Read by the samples (`sample.py`) and by packing. A record holds text and paths only; nothing is opened here.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from vita.errors import DataError

ROLE_OF = {"human": "user", "gpt": "assistant"}
LIST_FIELDS = ("set", "id", "image", "video", "audio")


@dataclass(frozen=True)
class RecordTurn:
    """One turn: `role` is "user" or "assistant"; the text holds one placeholder per medium."""

    role: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One training conversation; packed ones are several joined end to end.

    ids: the sample's id; one per part of a packed record.
    turns: what is said.
    images, videos, audios: paths, in the order of their placeholders.
    sets: which data set the media come from: one for all, or one per part.
    noise_turns: indices of the turns that reply to noise (`inserted_id` in the reference).
    end_tag: whether the last reply is learned with its end-of-turn mark.
    spoken: our own field: for each user turn the path of a sound that says it, "" where there is none; empty for none.
    """

    ids: tuple[str, ...]
    turns: tuple[RecordTurn, ...]
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    noise_turns: tuple[int, ...] = ()
    end_tag: bool = True
    spoken: tuple[str, ...] = ()

    @property
    def num_questions(self) -> int:
        """How many turns are the user's."""
        return sum(turn.role == "user" for turn in self.turns)

    @property
    def name(self) -> str:
        """How error messages call the record."""
        return "+".join(self.ids)

    @property
    def has_media(self) -> bool:
        """Whether it shows or plays anything."""
        return bool(self.images or self.videos or self.audios)

    @classmethod
    def from_json(cls, item: Any, *, where: str = "record") -> Record:
        """From one object of the reference's JSON. Raises DataError that names `where` and the sample."""
        if not isinstance(item, dict):
            raise DataError(f"{where} is no object", got=type(item).__name__, expected="a JSON object")
        ids = _texts(item, "id", where) or (where,)
        where = f"sample {'+'.join(ids)} ({where})"
        turns = item.get("conversations")
        if not isinstance(turns, list) or not turns:
            raise DataError(f"{where} has no conversations", expected='a list of {"from": ..., "value": ...}')
        inserted = item.get("inserted_id")
        noise_turns = [] if inserted is None else inserted if isinstance(inserted, list) else [inserted]
        for index in noise_turns:
            if not isinstance(index, int) or not 0 <= index < len(turns):
                raise DataError(f"{where}: inserted_id points at no turn", got=index, expected=f"0 .. {len(turns) - 1}")
        record = cls(
            ids=ids,
            turns=tuple(_turn(turn, where) for turn in turns),
            images=_texts(item, "image", where),
            videos=_texts(item, "video", where),
            audios=_texts(item, "audio", where),
            sets=_texts(item, "set", where),
            noise_turns=tuple(noise_turns),
            end_tag=bool(item.get("end_tag", True)),
            spoken=_texts(item, "spoken", where),
        )
        if record.spoken and len(record.spoken) != record.num_questions:
            got, expected = len(record.spoken), f"{record.num_questions}, one for each human turn"
            raise DataError(f"{where}: spoken has another number of sounds than questions", got=got, expected=expected)
        return record

    def to_json(self) -> dict[str, Any]:
        """The reference's fields; a packed record has lists where a single one has plain values."""
        packed = len(self.ids) > 1
        item: dict[str, Any] = {}
        for key, values in zip(LIST_FIELDS, (self.sets, self.ids, self.images, self.videos, self.audios), strict=True):
            if values:
                item[key] = list(values) if packed or len(values) > 1 else next(iter(values))
        names = {role: name for name, role in ROLE_OF.items()}
        item["conversations"] = [{"from": names[turn.role], "value": turn.text} for turn in self.turns]
        if self.noise_turns:
            several = len(self.noise_turns) > 1
            item["inserted_id"] = list(self.noise_turns) if several else next(iter(self.noise_turns))
        if self.spoken:
            item["spoken"] = list(self.spoken)
        return item if self.end_tag else {**item, "end_tag": False}


class RecordFile:
    """A .json file (one list, the reference's) or a .jsonl file (one object a line), record by record in any order.

    Lines are read when they are asked for; a list is held in memory. It can be sent to other processes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._items: list[Any] | None = None
        self._lines = np.empty((0, 2), np.int64)
        try:
            if self.path.suffix == ".jsonl":
                self._lines = _line_offsets(self.path)
            else:
                self._items = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read records from {self.path}", got=error) from error
        if self._items is not None and not isinstance(self._items, list):
            raise DataError(f"{path} holds no records", got=type(self._items).__name__, expected="a list of objects")

    def __len__(self) -> int:
        return len(self._lines) if self._items is None else len(self._items)

    def __getitem__(self, index: int) -> Record:
        """One record. Raises DataError that names the line and the sample."""
        return Record.from_json(self.item(index), where=self.where(index))

    def where(self, index: int) -> str:
        """How error messages call the place of a record."""
        name = self.path.name
        return f"{name} line {self._lines[index, 0]}" if self._items is None else f"{name} item {index}"

    def item(self, index: int) -> Any:
        """One record as the file has it. Raises DataError for a line that is no JSON."""
        if self._items is not None:
            return self._items[index]
        try:
            with self.path.open("rb") as file:  # anew each time: forked processes would share the position of one
                file.seek(int(self._lines[index, 1]))
                return json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read records from {self.path}: {self.where(index)}", got=error) from error

    def items(self) -> Iterator[tuple[str, Any]]:
        """(where, item) of every record; in the place of a line that is no JSON stands the DataError that says so."""
        for index in range(len(self)):
            try:
                yield self.where(index), self.item(index)
            except DataError as error:
                yield self.where(index), error


def _line_offsets(path: Path) -> np.ndarray:
    """int64 [lines that are not blank, 2]: number from 1, offset in bytes."""
    found, offset = array("q"), 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                found.extend((number, offset))
            offset += len(line)
    return np.array(found, np.int64).reshape(-1, 2)


def read_records(path: str | Path) -> Iterator[Record]:
    """The records of a .json or .jsonl file, in order."""
    file = RecordFile(path)
    for index in range(len(file)):
        yield file[index]


@dataclass(frozen=True, kw_only=True)
class MediaFolders:
    """Where media files lie.

    sets: data set -> folder of its images and videos.
    audio: folder of all sounds.
    default: folder of whatever has no other; None makes that an error.
    """

    sets: Mapping[str, Path] = field(default_factory=dict)
    audio: Path | None = None
    default: Path | None = None

    @classmethod
    def read(cls, path: str | Path) -> MediaFolders:
        """From a table in YAML or JSON: `sets: {NAME: FOLDER}`, `audio: FOLDER`, `default: FOLDER`.

        Folders are relative to the table's own. Raises DataError for any other key.
        """
        import yaml

        path = Path(path)
        try:
            table = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"cannot read the folder table {path}", got=error) from error
        table = {} if table is None else table
        sets = table.get("sets", {}) if isinstance(table, dict) else None
        if not isinstance(sets, dict) or set(table) - {"sets", "audio", "default"}:
            raise DataError(f"{path} is no folder table", expected="the keys sets (name: folder), audio, default")
        single = {key: path.parent / str(table[key]) for key in ("audio", "default") if table.get(key)}
        return cls(sets={str(name): path.parent / str(folder) for name, folder in sets.items()}, **single)

    @classmethod
    def of_file(cls, path: Path, *, root: Path | None = None, table: Path | None = None) -> MediaFolders:
        """For the records of a file: the folders of a table; else, for all, `root` or the file's own folder."""
        if table is None:
            return cls(default=root or path.parent)
        found = cls.read(table)
        return found if root is None else replace(found, default=root)

    def audio_paths(self, record: Record) -> list[Path]:
        """Path of each sound of a record, in order."""
        return self._sounds(record, record.audios)

    def spoken_paths(self, record: Record) -> list[Path]:
        """Path of each sound that says a question of a record."""
        return self._sounds(record, tuple(name for name in record.spoken if name))

    def image_paths(self, record: Record) -> list[Path]:
        """Path of each picture of a record, in order."""
        return self._in_sets(record, record.images)

    def video_paths(self, record: Record) -> list[Path]:
        """Path of each video of a record, in order."""
        return self._in_sets(record, record.videos)

    def _sounds(self, record: Record, names: tuple[str, ...]) -> list[Path]:
        folder = self.audio or self.default
        if names and folder is None:
            raise DataError(f"sample {record.name} has sounds but no audio folder is configured")
        return [Path(folder or "") / name for name in names]

    def _in_sets(self, record: Record, names: tuple[str, ...]) -> list[Path]:
        sets = record.sets if len(record.sets) == len(names) else record.sets[:1] * len(names)
        is_mixed = len(record.sets) != len(names) and len(set(record.sets)) > 1
        if names and ((not sets and self.default is None) or is_mixed):
            raise DataError(
                f"sample {record.name}: its media cannot be told apart by set",
                got=f"{len(names)} media, sets {list(record.sets)}",
                expected="one set for all, or one for each",
            )
        unknown = [name for name in sets if name not in self.sets]
        if unknown and self.default is None:
            raise DataError(f"sample {record.name} is of an unknown set", got=unknown[0], expected=sorted(self.sets))
        folders = [self.sets.get(name, self.default) for name in sets or [""] * len(names)]
        return [Path(folder or "") / name for folder, name in zip(folders, names, strict=True)]


def _texts(item: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A field that may be missing, one value or a list of them."""
    value = item.get(key)
    values = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(entry, (str, int)) and not isinstance(entry, bool) for entry in values):
        raise DataError(f"{where}: {key} is neither a text nor a list of texts", got=value)
    return tuple(str(entry) for entry in values)


def _turn(turn: Any, where: str) -> RecordTurn:
    if not isinstance(turn, dict) or turn.get("from") not in ROLE_OF or not isinstance(turn.get("value"), str):
        raise DataError(f"{where} has a malformed turn", got=turn, expected='{"from": "human" or "gpt", "value": text}')
    return RecordTurn(ROLE_OF[turn["from"]], turn["value"])

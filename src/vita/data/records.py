"""Records: one training conversation each, read from the reference's JSON or from JSON Lines with the same fields.

Read by the samples (`sample.py`) and by packing. A record holds text and paths only; nothing is opened here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """

    ids: tuple[str, ...]
    turns: tuple[RecordTurn, ...]
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    noise_turns: tuple[int, ...] = ()
    end_tag: bool = True

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
        return cls(
            ids=ids,
            turns=tuple(_turn(turn, where) for turn in turns),
            images=_texts(item, "image", where),
            videos=_texts(item, "video", where),
            audios=_texts(item, "audio", where),
            sets=_texts(item, "set", where),
            noise_turns=tuple(noise_turns),
            end_tag=bool(item.get("end_tag", True)),
        )

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
        return item if self.end_tag else {**item, "end_tag": False}


def read_records(path: str | Path) -> Iterator[Record]:
    """The records of a .json file (one list, the reference's) or of a .jsonl file (one object a line), in order."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                for number, line in enumerate(file, start=1):
                    if line.strip():
                        yield Record.from_json(json.loads(line), where=f"{path.name} line {number}")
                return
            items = json.load(file)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read records from {path}", got=error) from error
    if not isinstance(items, list):
        raise DataError(f"{path} holds no records", got=type(items).__name__, expected="a list of objects")
    for index, item in enumerate(items):
        yield Record.from_json(item, where=f"{path.name} item {index}")


@dataclass(frozen=True, kw_only=True)
class MediaFolders:
    """Where media files lie.

    sets: data set -> folder of its images and videos.
    audio: folder of all sounds.
    """

    sets: Mapping[str, Path]
    audio: Path | None = None

    def audio_paths(self, record: Record) -> list[Path]:
        """Path of each sound of a record, in order."""
        if record.audios and self.audio is None:
            raise DataError(f"sample {record.name} has sounds but no audio folder is configured")
        return [Path(self.audio or "") / name for name in record.audios]

    def image_paths(self, record: Record) -> list[Path]:
        """Path of each picture of a record, in order."""
        return self._in_sets(record, record.images)

    def video_paths(self, record: Record) -> list[Path]:
        """Path of each video of a record, in order."""
        return self._in_sets(record, record.videos)

    def _in_sets(self, record: Record, names: tuple[str, ...]) -> list[Path]:
        sets = record.sets if len(record.sets) == len(names) else record.sets[:1] * len(names)
        if names and (not sets or (len(record.sets) != len(names) and len(set(record.sets)) > 1)):
            raise DataError(
                f"sample {record.name}: its media cannot be told apart by set",
                got=f"{len(names)} media, sets {list(record.sets)}",
                expected="one set for all, or one for each",
            )
        unknown = [name for name in sets if name not in self.sets]
        if unknown:
            raise DataError(f"sample {record.name} is of an unknown set", got=unknown[0], expected=sorted(self.sets))
        return [Path(self.sets[of]) / name for of, name in zip(sets, names, strict=True)]


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

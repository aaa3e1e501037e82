"""Sets of speech with transcripts, in the folders and manifests in which they are published. For `recognition.py`.

    LibriSpeech   SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac, SPEAKER-CHAPTER.trans.txt: "ID TEXT" lines
    AISHELL-1     wav/(train|dev|test)/SPEAKER/ID.wav, transcript/aishell_transcript_v0.8.txt: "ID TEXT" lines
    WenetSpeech   WenetSpeech.json: {"audios": [{"path", "segments": [{"sid", "begin_time", "end_time", "text",
                  "subsets": ["TEST_NET"]}]}]}, times in seconds, paths from the file's folder
    Kaldi         wav.scp: "ID PATH" lines, text: "ID TEXT" lines, maybe segments: "ID RECORDING START END"
    manifests     NAME.jsonl or NAME.list, an object a line: audio_filepath or wav, text or txt, maybe key, lang,
                  offset and duration (seconds)

The kind is told from what the folder holds, or from the file that is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vita.errors import DataError

AISHELL_TEXT = Path("transcript") / "aishell_transcript_v0.8.txt"
WENET = "WenetSpeech.json"
WENET_TESTS = ("DEV", "TEST_NET", "TEST_MEETING")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One sound and what is said in it.

    name: the same in every run.
    subset: "test-clean", "TEST_NET", ...: a line of the table.
    lang: "en" or "zh".
    path: of the file.
    text: the transcript.
    start_s, end_s: where in the file; None for all of it.
    """

    name: str
    subset: str
    lang: str
    path: Path
    text: str
    start_s: float | None = None
    end_s: float | None = None


def utterances(root: Path, limit: int | None = None) -> list[Utterance]:
    """Those of a folder or manifest, at most `limit` of each subset. Raises DataError for what it does not know."""
    if not root.exists():
        raise DataError(f"{root} is missing", fix="download the set, and give its folder")
    read = _reader(root)
    counts: dict[str, int] = {}
    found = []
    for utterance in read(root):
        counts[utterance.subset] = counts.get(utterance.subset, 0) + 1
        if limit is None or counts[utterance.subset] <= limit:
            found.append(utterance)
    if not found:
        raise DataError(f"{root} holds no utterances")
    return found


def _reader(root: Path) -> Callable[[Path], Iterator[Utterance]]:
    if root.is_file():
        return _wenetspeech if root.name == WENET else _manifest
    if (root / WENET).exists():
        return lambda folder: _wenetspeech(folder / WENET)
    for folder in (root, root / "data_aishell"):
        if (folder / AISHELL_TEXT).exists():
            return lambda _, found=folder: _aishell(found)
    if (root / "wav.scp").exists():
        return _kaldi
    for folder in (root, root / "LibriSpeech"):
        if next(folder.glob("*/*/*.trans.txt"), None) or next(folder.glob("*/*/*/*.trans.txt"), None):
            return lambda _, found=folder: _librispeech(found)
    known = f"*.trans.txt (LibriSpeech), {AISHELL_TEXT}, {WENET}, wav.scp (Kaldi), or a manifest file"
    raise DataError(f"{root} is no set of speech that is known", expected=known)


def _librispeech(root: Path) -> Iterator[Utterance]:
    """Of the whole set, or of one subset's folder."""
    texts = sorted(root.glob("*/*/*/*.trans.txt")) or sorted(root.glob("*/*/*.trans.txt"))
    for path in texts:
        for name, text in _lines(path):
            sound = path.parent / f"{name}.flac"
            subset = path.parent.parent.parent.name
            yield Utterance(name=name, subset=subset, lang="en", path=sound, text=text)


def _aishell(root: Path) -> Iterator[Utterance]:
    texts = dict(_lines(root / AISHELL_TEXT))
    for path in sorted(root.glob("wav/*/*/*.wav")):
        if path.stem in texts:  # a few recordings of the set have no transcript
            subset = path.parent.parent.name
            yield Utterance(name=path.stem, subset=subset, lang="zh", path=path, text=texts[path.stem])


def _wenetspeech(path: Path) -> Iterator[Utterance]:
    """The test sets; of a file without any of them, everything."""
    audios = _json(path).get("audios", [])
    has_tests = any(set(segment.get("subsets", ())) & {*WENET_TESTS} for a in audios for segment in a["segments"])
    for audio in audios:
        for segment in audio["segments"]:
            try:
                subsets = [one for one in segment.get("subsets", ["all"]) if not has_tests or one in WENET_TESTS]
                start_s, end_s = float(segment["begin_time"]), float(segment["end_time"])
                name, text = str(segment["sid"]), str(segment["text"])
                sound = path.parent / audio["path"]
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{path} has a segment without its fields", got=f"{error} in {segment}") from error
            for subset in subsets[:1]:
                yield Utterance(
                    name=name, subset=subset, lang="zh", path=sound, text=text, start_s=start_s, end_s=end_s
                )


def _kaldi(root: Path) -> Iterator[Utterance]:
    sounds, texts = dict(_lines(root / "wav.scp")), dict(_lines(root / "text"))
    pieces = {name: rest.split() for name, rest in _lines(root / "segments")} if (root / "segments").exists() else {}
    for name, text in texts.items():
        recording, *times = pieces.get(name, [name])
        if recording not in sounds:
            raise DataError(f"{root / 'wav.scp'} has no sound for {name}")
        if "|" in sounds[recording]:
            raise DataError(f"{root / 'wav.scp'} runs a command for {name}", fix="make files of its output")
        start_s, end_s = (float(times[0]), float(times[1])) if times else (None, None)
        lang = "zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en"
        sound = root / sounds[recording]
        yield Utterance(name=name, subset=root.name, lang=lang, path=sound, text=text, start_s=start_s, end_s=end_s)


def _manifest(path: Path) -> Iterator[Utterance]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry: dict[str, Any] = json.loads(line)
            sound = path.parent / str(entry.get("audio_filepath") or entry["wav"])
            text = str(entry["text"] if "text" in entry else entry["txt"])
            start_s = float(entry["offset"]) if "offset" in entry else None
            end_s = None if start_s is None else start_s + float(entry["duration"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}, line {number}, is no utterance", got=line[:80]) from error
        lang = entry.get("lang") or ("zh" if any("\u4e00" <= c <= "\u9fff" for c in text) else "en")
        name = str(entry.get("key") or number)
        yield Utterance(name=name, subset=path.stem, lang=lang, path=sound, text=text, start_s=start_s, end_s=end_s)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """The first word of each line, and the rest."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror) from error
    for line in lines:
        if line.strip():
            name, _, rest = line.strip().partition(" ") if " " in line else line.strip().partition("\t")
            yield name, rest.strip()


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON", got=error) from error

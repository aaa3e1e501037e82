"""Loaders on small sets in exactly the published folders and manifests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vita.errors import DataError
from vita.evaluate.speech.datasets import Utterance, utterances
from vita.evaluate.speech.recognition import Spoken


def put(path: Path, content: str | np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        soundfile.write(path, content, 16_000)
    return path


SOUND = np.linspace(-0.5, 0.5, 16_000).astype(np.float32)


def brief(found: list[Utterance]) -> list[tuple[str, str, str, str]]:
    return [(one.name, one.subset, one.lang, one.text) for one in found]


@pytest.mark.parametrize("inside", ["", "LibriSpeech", "LibriSpeech/test-clean"])
def test_librispeech(tmp_path: Path, inside: str) -> None:
    chapter = tmp_path / "LibriSpeech" / "test-clean" / "1089" / "134686"
    put(chapter / "1089-134686.trans.txt", "1089-134686-0000 HE HOPED THERE WOULD BE STEW\n1089-134686-0001 STUFF IT\n")
    put(chapter / "1089-134686-0000.flac", SOUND)
    found = utterances(tmp_path / inside)
    assert brief(found) == [
        ("1089-134686-0000", "test-clean", "en", "HE HOPED THERE WOULD BE STEW"),
        ("1089-134686-0001", "test-clean", "en", "STUFF IT"),
    ]
    assert np.allclose(Spoken(utterance=found[0], ratio_db=None).samples(), SOUND, atol=1e-3)


@pytest.mark.parametrize("inside", ["", "data_aishell"])
def test_aishell(tmp_path: Path, inside: str) -> None:
    root = tmp_path / "data_aishell"
    put(
        root / "transcript" / "aishell_transcript_v0.8.txt", "BAC009S0764W0121 甚至 出现 交易\nBAC009S0002W0122 而 对\n"
    )
    for name in ("test/S0764/BAC009S0764W0121", "train/S0002/BAC009S0002W0122", "test/S0764/BAC009S0764W0122"):
        put(root / "wav" / f"{name}.wav", SOUND)
    found = utterances(tmp_path / inside)
    assert brief(found) == [
        ("BAC009S0764W0121", "test", "zh", "甚至 出现 交易"), ("BAC009S0002W0122", "train", "zh", "而 对"),
    ]  # fmt: skip


def segment(sid: str, start: float, end: float, subset: str) -> dict[str, object]:
    return {"sid": sid, "begin_time": start, "end_time": end, "confidence": 1.0, "text": "你好", "subsets": [subset]}


def test_wenetspeech(tmp_path: Path) -> None:
    segments = [segment("S0", 0.25, 0.5, "TEST_NET"), segment("S1", 0.5, 1.0, "L")]
    meeting = [segment("M0", 0.0, 1.0, "TEST_MEETING"), segment("M1", 0.0, 1.0, "TEST_MEETING")]
    audios = [
        {"aid": "a", "duration": 1.0, "md5": "x", "path": "audio/test_net/a.wav", "segments": segments},
        {"aid": "b", "duration": 1.0, "md5": "x", "path": "audio/test_meeting/b.wav", "segments": meeting},
    ]
    put(tmp_path / "WenetSpeech.json", json.dumps({"audios": audios}))
    put(tmp_path / "audio" / "test_net" / "a.wav", SOUND)
    found = utterances(tmp_path, limit=1)
    assert brief(found) == [("S0", "TEST_NET", "zh", "你好"), ("M0", "TEST_MEETING", "zh", "你好")]
    assert np.allclose(Spoken(utterance=found[0], ratio_db=None).samples(), SOUND[4000:8000], atol=1e-3)
    assert len(utterances(tmp_path / "WenetSpeech.json")) == 3
    del audios[0]["segments"][0]["text"]  # type: ignore[attr-defined]
    put(tmp_path / "WenetSpeech.json", json.dumps({"audios": audios}))
    with pytest.raises(DataError, match=r"without its fields .*'text'"):
        utterances(tmp_path)


def test_kaldi(tmp_path: Path) -> None:
    put(tmp_path / "test" / "wav.scp", "r1 sounds/r1.wav\nr2 /abs/r2.wav\n")
    put(tmp_path / "test" / "text", "r1 hello there\nr2 你好\n")
    found = utterances(tmp_path / "test")
    assert brief(found) == [("r1", "test", "en", "hello there"), ("r2", "test", "zh", "你好")]
    assert [one.path for one in found] == [tmp_path / "test" / "sounds" / "r1.wav", Path("/abs/r2.wav")]
    put(tmp_path / "test" / "segments", "u1 r1 0.5 1.25\n")
    put(tmp_path / "test" / "text", "u1 hello\n")
    (one,) = utterances(tmp_path / "test")
    assert (one.start_s, one.end_s) == (0.5, 1.25)
    put(tmp_path / "test" / "wav.scp", "r1 sox in.wav -t wav - |\n")
    with pytest.raises(DataError, match="runs a command"):
        utterances(tmp_path / "test")


def test_manifests(tmp_path: Path) -> None:
    nemo = {"audio_filepath": "a.wav", "text": "hi", "offset": 1.5, "duration": 2.0}
    wenet = {"key": "k", "wav": "/x/b.wav", "txt": "你好"}
    path = put(tmp_path / "mine.jsonl", f"{json.dumps(nemo)}\n\n{json.dumps(wenet)}\n")
    found = utterances(path)
    assert brief(found) == [("1", "mine", "en", "hi"), ("k", "mine", "zh", "你好")]
    assert (found[0].path, found[0].start_s, found[0].end_s) == (tmp_path / "a.wav", 1.5, 3.5)
    put(path, '{"text": "no sound"}\n')
    with pytest.raises(DataError, match="line 1, is no utterance"):
        utterances(path)


def test_what_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing; download the set"):
        utterances(tmp_path / "none")
    with pytest.raises(DataError, match="is no set of speech that is known"):
        utterances(tmp_path)

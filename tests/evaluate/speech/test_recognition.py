"""Normalisation and errors by hand and against jiwer; the task with a scripted and with the pocket model's ear."""

from __future__ import annotations

import json
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from vita.api import Assistant
from vita.engine.scripted import Line, ScriptedEngine
from vita.evaluate.measuring import Run, Settings
from vita.evaluate.rows import Row
from vita.evaluate.speech import recognition, transcribe
from vita.evaluate.speech.normalise import tokens
from vita.evaluate.tables import Measure, figure
from vita.tokens import State


@pytest.mark.parametrize(
    ("text", "lang", "wanted"),
    [
        ("He won't go, Mr. Smith!", "en", "he will not go mister smith"),
        ("twenty-one  CATS", "en", "21 cats"),
        ("甚至 出现，交易。", "zh", "甚 至 出 现 交 易"),
        ("我用ＡＢＣ 和 iPhone's 14。", "zh", "我 用 abc 和 iphone's 14"),
        ("", "zh", ""),
    ],
)
def test_tokens(text: str, lang: str, wanted: str) -> None:
    assert " ".join(tokens(text, lang)) == wanted


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [
        ("a b c d", "a x c d", (1, 4)),
        ("a b c d", "a c d", (1, 4)),
        ("a b c d", "a b b c d", (1, 4)),
        ("a b", "", (2, 2)),
        ("a b", "c d e", (3, 2)),
        ("", "a", (1, 0)),
        ("a b", "a b", (0, 2)),
    ],
)
def test_errors_by_hand(reference: str, heard: str, errors: tuple[int, int]) -> None:
    assert recognition.count_errors(reference.split(), heard.split()) == errors


def test_the_rate_of_a_set_is_that_of_jiwer() -> None:
    """English by words, Chinese by characters, both over the whole set."""
    rng = np.random.default_rng(0)
    words = ["the", "cat", "sat", "on", "a", "mat", "with", "dogs", "and", "two", "birds"]
    pairs = [(" ".join(rng.choice(words, 8)), " ".join(rng.choice(words, rng.integers(1, 9)))) for _ in range(40)]
    normal = EnglishTextNormalizer({})
    rows = [row(*recognition.count_errors(tokens(a, "en"), tokens(b, "en"))) for a, b in pairs]
    wanted = jiwer.wer([normal(a) for a, _ in pairs], [normal(b) for _, b in pairs])
    assert figure(rows, Measure("errors", "", "ratio")).value == pytest.approx(wanted)
    characters = list("今天天气很好我们去公园")
    pairs = [("".join(rng.choice(characters, 8)), "".join(rng.choice(characters, 7))) for _ in range(40)]
    rows = [row(*recognition.count_errors(tokens(a, "zh"), tokens(b, "zh"))) for a, b in pairs]
    wanted = jiwer.cer([a for a, _ in pairs], [b for _, b in pairs])
    assert figure(rows, Measure("errors", "", "ratio")).value == pytest.approx(wanted)


def row(errors: int, count: int) -> Row:
    return Row(task="asr", case="", group="", scores={"errors": [errors, count]})


def test_a_model_without_the_head_is_asked(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000)
    lines = [{"wav": "a.wav", "txt": "the cat sat"}, {"wav": "a.wav", "txt": "你好吗"}]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, lines)))
    asked: list[str] = []

    def script(messages: tuple) -> Line:  # type: ignore[type-arg]
        asked.append(messages[-1].parts[-1].text)
        return Line(State.SPOKEN_QUERY, ("The cat, sat." if "speech" in asked[-1] else "你号",))

    settings = Settings(data=tmp_path / "set.jsonl", snr=(10.0,))
    rows = recognition.measure(Run(settings, "asr", assistant=Assistant(ScriptedEngine(script))))
    assert [(r.group, r.lang, r.scores["errors"]) for r in rows] == [
        ("set", "en", [0.0, 3.0]), ("set", "zh", [2.0, 3.0]),
        ("set, 10 dB", "en", [0.0, 3.0]), ("set, 10 dB", "zh", [2.0, 3.0]),
    ]  # fmt: skip
    (section,) = recognition.sections(rows)
    assert section.tables[0].texts()[1][2].startswith("0.6667 [")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_pocket_model_hears_its_own_world(lang: str) -> None:
    """Clear speech of the world, by its head; and padding in a batch changes nothing."""
    from vita.api import load
    from vita.synth.voices import own_voice, say

    said = {"en": "how many legs does a spider have", "zh": "中国的首都是哪里"}[lang]
    sound = say(said, own_voice(lang))
    assistant = load("pocket")
    alone, other, padded = (
        *transcribe.transcripts(assistant, [sound], [lang]),
        *transcribe.transcripts(assistant, [np.pad(sound, (0, 16_000)), sound], [lang] * 2),
    )
    errors, count = recognition.count_errors(tokens(said, lang), tokens(alone, lang))
    assert errors <= 0.3 * count
    assert padded == alone
    assert other

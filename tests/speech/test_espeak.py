"""The espeak-ng process: languages, variants, reproducibility, crashes and errors."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from vita.errors import ConfigError
from vita.speech.espeak import Espeak, languages, variants


@pytest.fixture(scope="module")
def espeak():
    client = Espeak()
    yield client
    client.close()


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "cmn", "en-us+m3", "en-gb+klatt4", "cmn+f2", "en-us+Mr serious"])
def test_speaks_with_language_and_variant(espeak: Espeak, voice: str) -> None:
    text = "三加四等于七" if voice.startswith("cmn") else "three plus four is seven"
    samples, rate_hz = espeak.synthesize(text, voice)
    assert samples.dtype == np.int16
    assert rate_hz == 22050
    assert 0.8 < len(samples) / rate_hz < 4
    assert np.abs(samples.astype(int)).max() > 5000


def test_same_arguments_same_samples_whatever_came_before(espeak: Espeak) -> None:
    first = espeak.synthesize("what is it", "en-us+m3")[0]
    espeak.synthesize("something else entirely", "en-us+klatt2")
    other = Espeak()
    try:
        assert np.array_equal(first, espeak.synthesize("what is it", "en-us+m3")[0])
        assert np.array_equal(first, other.synthesize("what is it", "en-us+m3")[0])
    finally:
        other.close()


def test_options_change_the_sound(espeak: Espeak) -> None:
    plain = espeak.synthesize("hello there", "en-us")[0]
    assert len(espeak.synthesize("hello there", "en-us", rate_wpm=300)[0]) < 0.8 * len(plain)
    assert len(espeak.synthesize("hello there", "en-us", word_gap=20)[0]) > len(plain)
    assert len(espeak.synthesize("Hello there.", "en-us", end_pause=True)[0]) > len(plain)
    quiet = espeak.synthesize("hello there", "en-us", volume=20)[0]
    assert np.abs(quiet.astype(int)).max() < 0.5 * np.abs(plain.astype(int)).max()
    assert not np.array_equal(plain, espeak.synthesize("hello there", "en-us", pitch=90)[0])


def test_mandarin_and_english_phonemes(espeak: Espeak) -> None:
    assert espeak.phonemes("seven", "en-us") == "sˈɛvən"
    assert espeak.phonemes("七", "cmn").startswith("tɕh")
    assert espeak.phonemes("one. two.", "en-us").count(" ") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"voice": "zz"}, "unknown espeak-ng voice 'zz'"),
        ({"voice": "en-us+nobody"}, "unknown espeak-ng variant 'nobody'"),
        ({"rate_wpm": 10}, "rate_wpm is out of range (got 10, expected 80 to 450)"),
        ({"pitch": 101}, "pitch is out of range"),
    ],
)
def test_wrong_arguments_are_named(espeak: Espeak, arguments: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        espeak.synthesize("hello", **arguments)
    assert len(espeak.synthesize("hello", "en-us")[0]) > 0


@pytest.mark.parametrize("text", ["", " ", "...", "\0", "\n\n", "👍", "a" * 3000])
def test_odd_texts_do_not_end_the_process(espeak: Espeak, text: str) -> None:
    samples, _ = espeak.synthesize(text, "en-us")
    assert samples.ndim == 1


def test_restarts_after_its_process_was_killed(espeak: Espeak) -> None:
    before = espeak.synthesize("hello", "en-us")[0]
    process = espeak._processes["en-us"]._popen
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert np.array_equal(before, espeak.synthesize("hello", "en-us")[0])


def test_process_ends_with_its_parent() -> None:
    code = (
        "from vita.speech.espeak import Espeak; e = Espeak(); e.synthesize('hi', 'en-us');"
        "print(e._processes['en-us']._popen.pid)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    pid = int(done.stdout)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_library_stays_out_of_this_process(espeak: Espeak) -> None:
    espeak.synthesize("hello", "en-us")
    with open("/proc/self/maps") if os.path.exists("/proc/self/maps") else open(os.devnull) as maps:
        assert "espeak-ng" not in maps.read()


def test_names_are_listed() -> None:
    assert {"m3", "f2", "klatt4", "Alicia"} <= set(variants())
    assert {"en-us", "en-gb", "cmn"} <= set(languages())

"""Its own voice comes back: it is taken out, told from other people's, and does not interrupt."""

from __future__ import annotations

import numpy as np
import pytest

from tests.duplex.stage import Recorder, hears, kind_of
from vita.clock import VirtualClock, run_virtual
from vita.duplex.echo import EchoCanceller, Loudspeaker, Reference
from vita.duplex.options import LiveOptions
from vita.duplex.session import Session
from vita.duplex.voice_activity import ScriptedVoiceActivity
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

RATE_HZ = 16_000


def babble(seconds: float, seed: int, level: float = 0.3) -> np.ndarray:
    """Noise whose loudness changes as that of speech: syllables and pauses."""
    rng = np.random.default_rng(seed)
    num = int(seconds * RATE_HZ)
    syllables = np.repeat(rng.choice([0.0, 0.3, 1.0], size=num // 2400 + 1), 2400)[:num]
    smooth = np.convolve(syllables, np.hanning(800) / 400, mode="same")
    return (level * smooth * np.clip(rng.normal(size=num), -2.5, 2.5) / 2.5).astype(np.float32)


def room(delay_ms: float, level_db: float, seed: int = 0) -> np.ndarray:
    """An impulse response with 200 ms of reverberation."""
    times_s = np.arange(3200) / RATE_HZ
    response = 0.06 * np.random.default_rng(seed).normal(size=3200) * np.exp(-6.9 * times_s / 0.2)
    response[0] = 1.0
    response *= 10 ** (level_db / 20) / np.sqrt(np.sum(response**2))
    return np.concatenate([np.zeros(int(delay_ms * 16)), response])


def run(canceller: EchoCanceller, sent: np.ndarray, heard: np.ndarray, piece: int = 160) -> np.ndarray:
    """What is left of what is heard."""
    left = []
    for start in range(0, len(heard), piece):
        if len(sent[start : start + piece]):
            canceller.sent(start / RATE_HZ, sent[start : start + piece])
        left.append(canceller.push(heard[start : start + piece]))
    return np.concatenate(left)


def power(samples: np.ndarray, from_s: float, to_s: float) -> float:
    return float(np.mean(samples[int(from_s * RATE_HZ) : int(to_s * RATE_HZ)] ** 2))


@pytest.mark.parametrize("delay_ms", [20, 100, 200])
@pytest.mark.parametrize("level_db", [-6, -20])
def test_the_echo_goes_and_a_voice_over_it_stays(delay_ms: float, level_db: float) -> None:
    sent, other = babble(8, 1), babble(1.5, 2)
    heard = np.convolve(sent, room(delay_ms, level_db))[: len(sent)].astype(np.float32)
    heard += np.random.default_rng(3).normal(0, 0.0005, len(heard)).astype(np.float32)
    heard[5 * RATE_HZ : 5 * RATE_HZ + len(other)] += other
    canceller = EchoCanceller(RATE_HZ)
    own: list[bool] = []
    for start in range(0, len(heard), 512):
        canceller.sent(start / RATE_HZ, sent[start : start + 512])
        canceller.push(heard[start : start + 512])
        own.append(canceller.is_own_voice(start - 512, start, in_turn=False))
    voiced = [bool(np.abs(heard[n * 512 - 512 : n * 512]).max(initial=0) > 0.02) for n in range(len(own))]
    alone = [mine for n, mine in enumerate(own) if voiced[n] and n * 512 < 4.9 * RATE_HZ]
    over = [mine for n, mine in enumerate(own) if 5.1 * RATE_HZ < n * 512 < 6.4 * RATE_HZ]
    assert np.mean(alone) > 0.95
    assert np.mean(over) < 0.7
    assert not over[0] or not over[1] or not over[2], "it is noticed at once"


def test_what_is_left_of_an_echo_alone() -> None:
    sent = babble(8, 1)
    heard = np.convolve(sent, room(60, -6))[: len(sent)].astype(np.float32)
    left = run(EchoCanceller(RATE_HZ), sent, heard)
    assert len(heard) - 512 <= len(left) <= len(heard)
    assert power(left, 4, 7.5) < 0.15 * power(heard, 4, 7.5)


@pytest.mark.parametrize("piece", [1, 100, 160, 700])
def test_while_nothing_is_sent_nothing_is_changed_or_delayed(piece: int) -> None:
    heard = babble(0.5, 4)
    canceller = EchoCanceller(24_000)
    for start in range(0, 4000, piece):
        np.testing.assert_array_equal(canceller.push(heard[start : start + piece]), heard[start : start + piece])
    assert not canceller.is_own_voice(0, 4000, in_turn=False)


def test_every_sample_is_given_once_and_in_order() -> None:
    """Where the reference has nothing to do with what is heard, that passes nearly unchanged."""
    sent, heard = babble(1.0, 5), babble(4.0, 6)
    left = run(EchoCanceller(RATE_HZ), np.concatenate([np.zeros(RATE_HZ, np.float32), sent]), heard, 77)
    assert len(left) > len(heard) - 512
    assert np.corrcoef(left, heard[: len(left)])[0, 1] > 0.85
    np.testing.assert_array_equal(left[:15_000], heard[:15_000])
    np.testing.assert_array_equal(left[-16_000:], heard[len(left) - 16_000 : len(left)])


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_the_reference_is_known_by_time_at_any_rate(rate_hz: int) -> None:
    reference = Reference(rate_hz)
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate_hz // 10) / rate_hz).astype(np.float32)
    reference.add(1.0, tone)
    reference.add(9.0, tone)
    assert np.abs(reference.spectrum(9.0)).max() == 0
    found = np.abs(reference.spectrum(9.08))
    assert int(found.argmax()) == 32  # 1000 Hz
    assert found.max() == pytest.approx(128, rel=0.02)
    assert np.abs(reference.spectrum(1.08)).max() == 0, "kept no longer than its two seconds"
    assert np.abs(reference.spectrum(9.2)).max() == 0


def test_the_loudspeaker_tells_what_is_played_on_the_microphones_clock() -> None:
    told: list[float] = []

    class Told(EchoCanceller):
        def sent(self, at_s: float, samples: np.ndarray) -> None:
            told.append(at_s)

    recorder = Recorder()
    fed_s = iter([1.5, 7.0])
    speaker = Loudspeaker(recorder, Told(RATE_HZ), lambda: next(fed_s), lambda: 2.0 if len(told) < 2 else 8.0)
    for at_s in (2.0, 2.01, 8.0):
        speaker.play(at_s, np.zeros(160, np.float32))
    assert told == pytest.approx([1.5, 1.51, 7.0])
    assert [at_s for at_s, _ in recorder.blocks] == [2.0, 2.01, 8.0]


class BabblingVoice:
    """A second of babble a word."""

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        return babble(len(text.split()), len(text), level=0.9), RATE_HZ

    def close(self) -> None:
        pass


class Played:
    """A sink: ten seconds of sound."""

    def __init__(self) -> None:
        self.sound = np.zeros(10 * RATE_HZ, np.float32)

    def play(self, at_s: float, samples: np.ndarray) -> None:
        at = round(at_s * RATE_HZ)
        self.sound[at : at + len(samples)] = samples


def converse(echo: bool, question_s: float | None) -> list[dict[str, object]]:
    """An answer of six seconds comes back through the microphone at -6 dB; maybe somebody asks over it."""
    events: list[dict[str, object]] = []
    played = Played()
    asked = babble(1.5, 9, level=0.9)
    engine = ScriptedEngine(lambda messages: Line(State.TYPED_QUERY, ("one two three four five six.",)),
                            lambda samples: hears(np.full(len(samples), kind_of(samples))))  # fmt: skip

    async def main() -> None:
        clock = VirtualClock()
        response = room(80, -6)
        activity = ScriptedVoiceActivity(lambda window: float(np.abs(window).max() > 0.03))
        options = LiveOptions(echo=echo, sample_rate_hz=RATE_HZ)
        session = Session(
            engine, BabblingVoice(), activity, clock=clock, sink=played, on_event=events.append, options=options
        )
        async with session:
            session.type("count")
            for start in range(0, 8 * RATE_HZ, 160):
                await clock.sleep_until((start + 160) / RATE_HZ)
                before = played.sound[max(0, start + 161 - len(response)) : start + 160]
                before = np.pad(before, (len(response) + 159 - len(before), 0))
                heard = np.convolve(before, response, "valid").astype(np.float32)
                if question_s is not None:
                    at = start - int(question_s * RATE_HZ)
                    if 0 <= at < len(asked):
                        heard = heard + np.pad(asked[at : at + 160], (0, max(0, at + 160 - len(asked))))
                session.feed(heard)

    run_virtual(main())
    return events


def test_it_is_not_interrupted_by_itself_but_by_others() -> None:
    told = [event["event"] for event in converse(echo=True, question_s=None)]
    assert "interrupted" not in told
    assert told.count("speech_start") == 0
    assert "speech_start" in [event["event"] for event in converse(echo=False, question_s=None)]
    events = converse(echo=True, question_s=3.0)
    (start, *_) = [event for event in events if event["event"] == "speech_start"]
    assert 3.0 <= start["t"] <= 3.4  # type: ignore[operator]

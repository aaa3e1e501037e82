"""Is "stop" heard, also in noise, and what else is taken for it? The pocket ear on reserved voices.

    python benchmarks/spotting.py [--voices 8] [--snr 20 10 5 0] [--live]

Each stop word is said alone, as in a turn of its own: clean, and in noise of several kinds, so many decibels below the
voice. What must not stop an answer is measured beside it: side talk, questions, backchannels, short words that sound
alike. A row for each threshold of `Spotter`; the last column names what was wrongly taken for a stop word.

With --live, "stop" and "停" are said over stories, in whole conversations on virtual time: how many end the answer, and
how soon after the word. The noise begins half a second before the word.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

NOISES = ("hiss", "traffic", "hum", "chords")
ALIKE = {
    "en": ("top", "step", "shop", "what", "up", "two", "no", "yes", "stop signs are red"),
    "zh": ("听", "挺好", "天", "三", "不是", "什么", "他停下来了"),
}
THRESHOLDS = (0.003, 0.01, 0.03, 0.1, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voices", type=int, default=8, help="of each word (default: 8)")
    parser.add_argument("--snr", type=float, nargs="+", default=[20.0, 10.0, 5.0, 0.0])
    parser.add_argument("--live", action="store_true", help="in conversations")
    options = parser.parse_args()

    import torch

    from vita.api import load

    torch.set_num_threads(1)
    engine = load("pocket", device="cpu", dtype="float32").engine
    levels: list[float | None] = [None, *options.snr]
    if options.live:
        return live(engine, options.voices, levels)
    ear = Ear(engine)
    said = {level: stop_words(ear, options.voices, level) for level in levels}
    others = {level: other_speech(ear, options.voices, level) for level in (None, 10.0)}
    report(said, others)


class Ear:
    """The likelihood with which a sound says a stop word."""

    def __init__(self, engine: Any) -> None:
        from vita.duplex.spotter import Spotter

        self._engine, self.spotter = engine, Spotter()
        self._rng, self._noise = random.Random(7), np.random.default_rng(7)

    def likelihood(self, text: str, lang: str, snr_db: float | None) -> float:
        """Of `text` in a reserved voice, with what is before and after it in a turn."""
        from vita.synth.sounds import sound
        from vita.synth.voices import reserved_voice, say

        voice = say(text, reserved_voice(self._rng, lang))
        voice = 0.4 * voice / np.abs(voice).max()
        heard = np.concatenate([np.zeros(4800), voice, np.zeros(3200)])
        heard = heard + self._noise.normal(0, 0.0005, len(heard))
        if snr_db is not None:
            noise = sound(self._rng.choice(NOISES), len(heard) / 16_000 + 0.1, self._noise)[: len(heard)]
            power = np.mean(voice**2) / (np.mean(noise**2) + 1e-12)
            heard = heard + noise * np.sqrt(power / 10 ** (snr_db / 10))
        listening = self._engine.open().listen()
        listening.push(heard.astype(np.float32))
        words = listening.words(self.spotter.stop_words)
        listening.cancel()
        return 0.0 if words is None else self.spotter.likelihood(words)


def stop_words(ear: Ear, num_voices: int, snr_db: float | None) -> list[float]:
    """Of all stop words."""
    words = [(word, "en" if word.isascii() else "zh") for word in ear.spotter.stop_words]
    return [ear.likelihood(word, lang, snr_db) for word, lang in words for _ in range(num_voices)]


def other_speech(ear: Ear, num_voices: int, snr_db: float | None) -> list[tuple[float, str]]:
    """Of what is none."""
    from vita.synth.questions import fact
    from vita.synth.side_talk import backchannel, side_talk

    rng, found = random.Random(8), []
    for lang in ("en", "zh"):
        texts = [make(rng, lang).question for make in (fact, side_talk, backchannel) for _ in range(3 * num_voices)]
        texts += [word for word in ALIKE[lang] for _ in range(max(1, num_voices // 2))]
        found += [(ear.likelihood(text, lang, snr_db), text) for text in texts]
    return found


def live(engine: Any, num_voices: int, levels: Sequence[float | None]) -> None:
    """Stop words over stories."""
    from live import converse
    from live_scene import STORIES, Scene

    from vita.synth.sounds import sound

    noise = np.random.default_rng(7)
    for level in levels:
        scene = Scene(random.Random(7))
        for number in range(2 * num_voices):
            scene.add("question", *STORIES[0], pause_s=3.5)
            scene.add("stop", *(("stop", "en"), ("停", "zh"))[number % 2], pause_s=8.0)
            if level is not None:
                scene.add_noise(sound(NOISES[number % len(NOISES)], 2.0, noise), level)
        ((events, _),) = converse(engine, [scene])
        soon: list[float] = []
        words = [spoken for spoken in scene.spoken if spoken.kind == "stop"]
        for spoken in words:
            ends = [
                e["t"] for e in events if e["event"] == "interrupted" and spoken.start_s < e["t"] < spoken.end_s + 2
            ]
            soon += [1000 * (ends[0] - spoken.end_s)] if ends else []
        name = "clean" if level is None else f"{level:.0f} dB"
        when = f", {np.median(soon):.0f} ms after the word (median)" if soon else ""
        print(f"{name:>6}: {len(soon)} of {len(words)} ended the answer{when}", flush=True)


def report(said: dict[float | None, list[float]], others: dict[float | None, list[tuple[float, str]]]) -> None:
    """The table."""
    names = ["clean" if level is None else f"{level:.0f} dB" for level in said]
    print(f"{'threshold':>9}" + "".join(f"{name:>8}" for name in names) + "   wrongly, clean   wrongly, 10 dB")
    for threshold in THRESHOLDS:
        rates = [np.mean(np.array(found) >= threshold) for found in said.values()]
        wrong = [[text for likelihood, text in found if likelihood >= threshold] for found in others.values()]
        counts = [f"{len(texts)} of {len(found)}" for texts, found in zip(wrong, others.values(), strict=True)]
        print(f"{threshold:9.3f}" + "".join(f"{rate:8.2f}" for rate in rates) + "".join(f"{c:>17}" for c in counts)
              + f"   {_few(wrong)}")  # fmt: skip


def _few(wrong: Sequence[Sequence[str]]) -> str:
    return ", ".join(sorted({text for texts in wrong for text in texts})[:8])


if __name__ == "__main__":
    main()

"""Words that need no model to be understood: "stop" ends an answer past every gate, "mm-hm" never interrupts one.

Read from the words that the monitor's ear makes of a turn (`Listening.words`). A model whose ear has no words spots
nothing: there, "stop" ends an answer as any other question does, by its state, and a backchannel is told by its length.
Used by `monitor.py`; typed stop words by `session.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vita.engine.protocol import Listening, Words
from vita.errors import ConfigError

SpottedWord = Literal["stop", "backchannel"]
STOP_WORDS = (
    "stop", "stop it", "please stop", "stop please", "stop talking", "be quiet",
    "停", "停下", "停一下", "停止", "请停", "别说了",
)  # fmt: skip
BACKCHANNELS = (
    "mm", "mm hm", "mm-hm", "mhm", "uh huh", "uh-huh", "yeah", "okay", "right", "i see", "really", "oh really", "wow",
    "嗯", "嗯嗯", "哦", "噢", "对", "对对", "好", "好的", "是的", "是吗", "真的", "原来如此",
)  # fmt: skip
_FILLERS = re.compile(r"^(?:(?:okay|嗯)\s*)+")  # "okay, stop"; and noise before a word is often heard as 嗯
_MARKS = " \n.,!?。，！？~…"


@dataclass(frozen=True, kw_only=True)
class Spotter:
    """Which words, and how sure it must be.

    stop_words: a turn that says one of them, and nothing else, stops the answer and needs none.
    backchannels: a turn that says nothing but these does not interrupt an answer.
    threshold: the likelihood, compared with the best reading of the sound, from which a turn says a stop word. Two
        words that sound alike share theirs, and noise takes much of it, so it is far below 1; `benchmarks/spotting.py`
        has the curve.
    """

    stop_words: tuple[str, ...] = STOP_WORDS
    backchannels: tuple[str, ...] = BACKCHANNELS
    threshold: float = 0.03

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError("threshold of stop words is out of range", got=self.threshold, expected="above 0, to 1")

    def is_stop(self, typed: str) -> bool:
        """Whether a typed text says stop."""
        return typed.strip(_MARKS).lower() in self.stop_words

    def spot(self, listening: Listening) -> tuple[SpottedWord | None, str | None]:
        """Which kind of word the sound so far is, if it is one, and its text; no text from an ear without words."""
        words = listening.words(self.stop_words)
        if words is None:
            return None, None
        if self.likelihood(words) >= self.threshold:
            return "stop", words.text
        return ("backchannel" if words.text.strip(_MARKS).lower() in self.backchannels else None), words.text

    def likelihood(self, words: Words) -> float:
        """How likely it is that a sound says a stop word, from what was heard when `stop_words` were asked for."""
        if self.is_stop(_FILLERS.sub("", words.text)):
            return 1.0
        return max(words.likelihoods.values(), default=0.0)

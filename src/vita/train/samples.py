"""Turns of the pocket world as training sequences: ids, symbolic or real media, labels.

A sequence is a list of segments in the layout of the pocket model's chat template. Media segments hold what fills their
positions: slot labels (symbolic pictures), simulated CTC posteriors (symbolic sound), or features of the towers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from transformers import PreTrainedTokenizerFast

from vita.synth.grammar import tidy
from vita.synth.questions import TASKS, decorate, picture_turn
from vita.synth.scenes import FRAME_SLOTS, slot_labels
from vita.synth.side_talk import side_talk
from vita.synth.speech_set import spoken_form, spoken_turn
from vita.synth.turns import Turn
from vita.synth.world import LANGUAGES
from vita.tokens import IGNORE_LABEL, State, StateTokens
from vita.train.tokenizer import spelled_ids

TYPED_TASKS = {
    "fact": 0.2,
    "sum": 0.32,
    "small_talk": 0.04,
    "long": 0.07,
    "picture": 0.25,
    "clip": 0.08,
    "unknown": 0.04,
}
SIMULATED_SUM_SHARE = 0.18
"""Share of sums among spoken turns whose sound is simulated, beyond those of the speech set's mixture."""
FORGIVING_KINDS = ("fact", "small_talk", "long")
"""Questions whose answer stays right when any one word of them is lost."""
FILLERS = ("um", "uh", "well", "just", "actually", "really", "maybe", "quickly", "okay", "hm", "then")
"""English words that change no question; none is a word of the test split (tests/synth/test_held_out.py)."""
FILLER_RATE = 0.15
UNKNOWN = {"en": "sorry, i do not know that.", "zh": "对不起，我不知道。"}
HISTORY_RATE = 0.15
"""Of stage 1's sequences, those of more than one turn."""
TYPED_SHARE = 0.45
POSTERIOR_WIDTH = 3
"""Symbols of a simulated CTC posterior that have weight."""


@dataclass
class Sequence_:
    """One training sequence.

    ids, labels: [length]; media positions hold 0 and IGNORE_LABEL.
    slots: (first position, labels [K, 7]) of symbolic pictures and frames.
    sounds: (first position, symbols [N, 3], weights [N, 3]) of simulated sound.
    features: (first position, "seen" or "heard", vectors [N, D]) of what a frozen tower gave.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    slots: list[tuple[int, np.ndarray]] = field(default_factory=list)
    sounds: list[tuple[int, np.ndarray, np.ndarray]] = field(default_factory=list)
    features: list[tuple[int, str, np.ndarray]] = field(default_factory=list)

    def add(self, ids: Sequence[int], learn: bool = False) -> None:
        """Append ids, learned or not."""
        self.ids += ids
        self.labels += ids if learn else [IGNORE_LABEL] * len(ids)

    def add_media(self, count: int) -> int:
        """Reserve `count` positions; the first of them."""
        start = len(self.ids)
        self.ids += [0] * count
        self.labels += [IGNORE_LABEL] * count
        return start


class TurnWriter:
    """Writes turns in the layout `<|user|>media text<|end|><|bot|>state answer<|end|>`."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, states: StateTokens) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.user, self.bot, self.end = (vocabulary[t] for t in ("<|user|>", "<|bot|>", "<|end|>"))
        self.heads = {state: vocabulary[spelling] for state, spelling in states.items()}
        self.blank = len(tokenizer)

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []

    def reply_ids(self, turn: Turn, state: State) -> list[int]:
        """State token, answer, end."""
        head = self.heads[state]
        if state is State.NOISE:
            return [head, self.end]
        answer = spelled_ids(self.tokenizer, turn.answer) if turn.spell else self.text_ids(turn.answer)
        return [head, *answer, self.end]

    def simulated_sound(self, text: str, lang: str, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
        """Symbols [N, 3] and weights [N, 3] as the CTC head might give for `text`: spikes, blanks and errors."""
        ids = self.text_ids(text)
        error_rate = rng.choice((0.0, 0.02, 0.05, 0.1))
        symbols: list[list[int]] = []
        weights: list[list[float]] = []

        def blanks(count: int) -> None:
            for _ in range(count):
                stray = rng.random() < 0.03
                symbols.append([self.blank, rng.choice(ids) if ids else self.blank, self.blank])
                share = rng.uniform(0.0, 0.4) if stray else 0.0
                weights.append([1 - share, share, 0.0])

        blanks(rng.randint(0, 6))
        for token in ids:
            draw = rng.random()
            if draw < error_rate * 0.4:
                blanks(1)
                continue
            heard = rng.randrange(11, self.blank) if draw < error_rate else token
            peak = rng.uniform(0.3, 1.0) if rng.random() < 0.25 else rng.uniform(0.85, 1.0)
            rest = rng.uniform(0, 1 - peak)
            symbols.append([heard, self.blank, rng.randrange(11, self.blank)])
            weights.append([peak, 1 - peak - rest, rest])
            if rng.random() < 0.15:
                symbols.append(symbols[-1])
                weights.append([peak / 2, 1 - peak / 2, 0.0])
            mean = 2.6 if lang == "en" else 1.3
            blanks(max(0, round(rng.gauss(mean, 0.9))))
        blanks(rng.randint(0, 6))
        if not symbols:
            blanks(rng.randint(4, 40))
        return np.asarray(symbols, np.int64), np.asarray(weights, np.float32)


def draw_turn(rng: random.Random, typed: bool) -> Turn:
    """One turn: typed from TYPED_TASKS, spoken from the mixture of the speech set."""
    if not typed:
        if rng.random() < SIMULATED_SUM_SHARE:
            lang = rng.choice(LANGUAGES)
            turn = TASKS["sum"](rng, lang)
            return replace(turn, question=spoken_form(turn.question, lang))
        while True:
            turn = spoken_turn(rng).turn
            if turn.kind != "salad":
                return turn
    lang = rng.choice(LANGUAGES)
    kind = rng.choices(list(TYPED_TASKS), list(TYPED_TASKS.values()))[0]
    if kind == "unknown":
        turn = side_talk(rng, lang)
        return replace(turn, kind="unknown", answer=UNKNOWN[lang], noise=False)
    turn = TASKS[kind](rng, lang)
    question = typed_form(decorate(turn.question, lang, rng), lang, rng, kind in FORGIVING_KINDS)
    return replace(turn, question=question)


def typed_form(question: str, lang: str, rng: random.Random, forgiving: bool = False) -> str:
    """As people type: with or without a question mark, a filler in English, a word lost in a forgiving question."""
    if forgiving and rng.random() < 0.1:
        units = question.split(" ") if lang == "en" else list(question)
        if len(units) > 4:
            units.pop(rng.randrange(len(units)))
            question = tidy((" " if lang == "en" else "").join(units))
    if lang == "en" and rng.random() < FILLER_RATE:
        question = with_fillers(question, rng)
    mark = rng.choice(("", "?" if lang == "en" else "？", "?" if lang == "en" else "？", "."))
    return question + mark


def with_fillers(question: str, rng: random.Random) -> str:
    """One or two words of FILLERS anywhere in an English question, so that no word's place is relied on."""
    words = question.split(" ")
    for _ in range(rng.choice((1, 1, 2))):
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
    return " ".join(words)


def noisy_slots(labels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Slot labels, now and then with one shape a step beside its true position, as the eye errs."""
    if rng.random() < 0.9:
        return labels
    labels = labels.copy()
    filled = np.flatnonzero(labels[:, 1])
    if len(filled):
        slot = rng.choice(filled.tolist())
        for factor, size in ((4, 8), (5, 8)):
            if labels[slot, factor]:
                labels[slot, factor] = min(max(labels[slot, factor] + rng.choice((-1, 1)), 1), size)
    return labels


def symbolic_sequence(writer: TurnWriter, rng: random.Random) -> Sequence_:
    """One to three turns with symbolic media: what stage 1 learns from."""
    sequence = Sequence_()
    turns = 1 if rng.random() > HISTORY_RATE else rng.choice((2, 2, 3))
    shown: Turn | None = None
    for _ in range(turns):
        typed = rng.random() < TYPED_SHARE
        turn = draw_turn(rng, typed)
        if shown is not None and shown.scene is not None and rng.random() < 0.6:
            lang = rng.choice(LANGUAGES)
            turn = replace(picture_turn(rng, lang, shown.scene), scene=None)
            turn = replace(
                turn, question=typed_form(turn.question, lang, rng) if typed else spoken_form(turn.question, lang)
            )
        elif turn.scene is not None:
            shown = turn
        write_symbolic(writer, sequence, turn, typed, rng)
    return sequence


def write_symbolic(
    writer: TurnWriter, sequence: Sequence_, turn: Turn, typed: bool, rng: random.Random, *, brief: bool = False
) -> None:
    """Append one turn with symbolic media; `brief` leaves out the empty slots, which most are."""
    sequence.add([writer.user])
    pictures: list[np.ndarray] = []
    if turn.scene is not None:
        pictures.append(noisy_slots(slot_labels(turn.scene), rng))
    if turn.clip is not None:
        pictures += [slot_labels(frame, FRAME_SLOTS) for frame in turn.clip.frames]
    for labels in pictures:
        if brief:
            # an empty frame keeps one slot: that there is nothing is what it says
            labels = labels[labels[:, 0] > 0] if labels[:, 0].any() else labels[:1]
        sequence.slots.append((sequence.add_media(len(labels)), labels))
    if typed:
        sequence.add(writer.text_ids(turn.question))
    else:
        symbols, weights = writer.simulated_sound(turn.question, turn.lang, rng)
        sequence.sounds.append((sequence.add_media(len(symbols)), symbols, weights))
    sequence.add([writer.end, writer.bot])
    sequence.add(writer.reply_ids(turn, turn.state(not typed)), learn=True)

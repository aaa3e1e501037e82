"""Sequences of stage 3: real features of sounds and pictures, spoken and typed questions mixed."""

from __future__ import annotations

import random
from dataclasses import replace

from vita.synth.questions import LONG_KINDS, clip_question, decorate, picture_turn
from vita.synth.side_talk import SIDE_KINDS
from vita.synth.speech_set import SpokenTurn, spoken_form
from vita.synth.turns import Turn
from vita.synth.world import LANGUAGES
from vita.tokens import IGNORE_LABEL, State
from vita.train.curriculum import EVERYTHING, Lesson, LessonSequences, question_turn
from vita.train.features import FeatureShard, indices_with_pictures
from vita.train.samples import UNKNOWN, Sequence_, TurnWriter, draw_turn, symbolic_sequence, typed_form

SPOKEN_SHARE = 0.5
PICTURE_SHARE = 0.36
"""New questions on pictures that were really seen."""
SPOKEN_TIMES = {"salad": 0, "sum": 2, **dict.fromkeys((*LONG_KINDS, *SIDE_KINDS), 2)}
"""How often a spoken turn is drawn for once of any other kind. Sentences of random words taught the ear; nothing is
answered to them. Sums are hard; requests for something long are easily taken for side talk, side talk for questions."""
SUM_TIMES = 3
"""How often a sum is among these pictures for once of any other: Chinese results are learned late."""
CHANGE_TIMES = 3
"""How often a clip of a colour that changes is among them: it is taken for one of something that disappears."""
PICTURE_KINDS = {
    **{"next_box": 0.36, "chart": 0.1, "print": 0.2, "printed_sum": 0.2},
    **{"count_shape": 0.08, "count_colour": 0.06},
}
"""What the pictures show that come with no spoken turn: print above all."""
SIMULATED_SHARE = 0.45
"""Of these, how many are heard (simulated); the others are typed."""
HISTORY_RATE = 0.22
"""Of the sequences, those of more than one turn."""
MAX_TURNS = 7
MAX_HISTORY = 320
"""Positions before the last turn; a live conversation forgets what is older (`history_tokens` of the model)."""
CUT_RATE = 0.5
"""Of the long answers that another turn follows, those that were interrupted: only their beginning was heard."""
FORCED_RATE = 0.2
"""Of what was heard and is not for the model, how much it is made to answer all the same: that it does not know."""
LONG_ANSWER = 12
"""Ids of a reply from which it is long."""
SYMBOLIC_SHARE = 0.06
"""Of the sequences, those of stage 1's whole mixture: what was learned is kept."""
LESSON_SHARE = 0.16
LESSON = Lesson(
    share=0.0,
    kinds={
        **{**EVERYTHING, "fact": 6.0, "count_shape": 9.0, "count_colour": 6.0, "describe": 8.0, "clip": 8.0},
        **{"printed_sum": 12.0, "chart": 9.0, "next_box": 12.0},
    },
    spoken=0.45,
    brief=0.3,
)
"""What goes on being taught on symbols, so many of the sequences: what is hardest to find, most."""


def _interrupt(sequence: Sequence_, rng: random.Random) -> None:
    """Cut the last reply of a sequence, if it is long, as an interruption leaves it: the end is not learned."""
    first = len(sequence.labels)
    while first and sequence.labels[first - 1] != IGNORE_LABEL:
        first -= 1
    if len(sequence.labels) - first < LONG_ANSWER:
        return
    end = sequence.ids[-1]
    kept = rng.randrange(first + 2, len(sequence.ids) - 1)
    del sequence.ids[kept:], sequence.labels[kept:]
    sequence.add([end])


def picture_turns(seed: int, number: int, size: int) -> list[SpokenTurn]:
    """The turns of a shard of pictures that come with no spoken turn."""
    rng = random.Random(f"pictures {seed} {number}")
    kinds = rng.choices(list(PICTURE_KINDS), list(PICTURE_KINDS.values()), k=size)
    return [SpokenTurn(question_turn(kind, rng), None) for kind in kinds]


class RealSequences:
    """Makes sequences from cached features: spoken turns, typed questions on the same pictures, typed text.

    Args:
        writer: of sequences.
        shards: of spoken turns, and of pictures without them.
    """

    def __init__(self, writer: TurnWriter, shards: list[FeatureShard]) -> None:
        self.writer, self.shards = writer, shards
        self.lesson = LessonSequences(writer, LESSON)
        self.pictured: list[tuple[int, int]] = []
        for s, i in indices_with_pictures(shards):
            turn = shards[s].turns[i].turn
            is_sum = turn.scene is not None and turn.scene.kind == "sum"
            changes = turn.clip is not None and turn.clip.event == "changes"
            self.pictured += [(s, i)] * (SUM_TIMES if is_sum else CHANGE_TIMES if changes else 1)
        self.spoken: list[tuple[int, int]] = []
        for s, shard in enumerate(shards):
            for i, item in enumerate(shard.turns):
                if len(shard.sound(i)):
                    self.spoken += [(s, i)] * SPOKEN_TIMES.get(item.turn.kind, 1)

    def __call__(self, rng: random.Random) -> Sequence_:
        """One sequence of one to MAX_TURNS turns, the last of which begins within MAX_HISTORY positions."""
        draw = rng.random()
        if draw < SYMBOLIC_SHARE + LESSON_SHARE:
            return symbolic_sequence(self.writer, rng) if draw < SYMBOLIC_SHARE else self.lesson(rng)
        sequence = Sequence_()
        turns = 1 if rng.random() > HISTORY_RATE else rng.randint(2, MAX_TURNS)
        for _ in range(turns):
            if len(sequence.ids) > MAX_HISTORY:
                break
            if sequence.ids and rng.random() < CUT_RATE:
                _interrupt(sequence, rng)
            draw = rng.random()
            if draw < SPOKEN_SHARE:
                self._spoken(sequence, rng)
            elif draw < SPOKEN_SHARE + PICTURE_SHARE:
                self._new_question(sequence, rng)
            else:
                turn = draw_turn(rng, typed=True)
                while turn.scene is not None or turn.clip is not None:
                    turn = draw_turn(rng, typed=True)
                self._write(sequence, turn, rng, None, None)
        return sequence

    def _spoken(self, sequence: Sequence_, rng: random.Random) -> None:
        s, i = rng.choice(self.spoken)
        self._write(sequence, self.shards[s].turns[i].turn, rng, (s, i), (s, i))

    def _new_question(self, sequence: Sequence_, rng: random.Random) -> None:
        """Another question on a picture that was seen, in either language."""
        s, i = rng.choice(self.pictured)
        shown, lang = self.shards[s].turns[i].turn, rng.choice(LANGUAGES)
        turn = clip_question(shown.clip, rng, lang) if shown.clip is not None else picture_turn(rng, lang, shown.scene)
        question = decorate(turn.question, lang, rng)
        typed = rng.random() >= SIMULATED_SHARE
        form = typed_form(question, lang, rng) if typed else spoken_form(question, lang)
        self._write(sequence, replace(turn, question=form), rng, (s, i), None, typed=typed)

    def _write(
        self,
        sequence: Sequence_,
        turn: Turn,
        rng: random.Random,
        sight: tuple[int, int] | None,
        sound: tuple[int, int] | None,
        *,
        typed: bool = True,
    ) -> None:
        """Append a turn: seen, then heard, or simulated, or typed."""
        writer = self.writer
        sequence.add([writer.user])
        if sight is not None:
            slots = self.shards[sight[0]].sight(sight[1])
            if len(slots):
                sequence.features.append((sequence.add_media(len(slots)), "seen", slots))
        if sound is not None:
            tokens = self.shards[sound[0]].sound(sound[1])
            sequence.features.append((sequence.add_media(len(tokens)), "heard", tokens))
        elif typed:
            sequence.add(writer.text_ids(turn.question))
        else:
            symbols, weights = writer.simulated_sound(turn.question, turn.lang, rng)
            sequence.sounds.append((sequence.add_media(len(symbols)), symbols, weights))
        sequence.add([writer.end, writer.bot])
        spoken = sound is not None or not typed
        if turn.noise and spoken and rng.random() < FORCED_RATE:
            head, *reply = writer.reply_ids(replace(turn, answer=UNKNOWN[turn.lang]), State.SPOKEN_QUERY)
            sequence.add([head])
            sequence.add(reply, learn=True)
        else:
            sequence.add(writer.reply_ids(turn, turn.state(spoken)), learn=True)

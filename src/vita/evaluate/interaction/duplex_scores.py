"""The measures of Full-Duplex-Bench v1 and v1.5, from the words and the stretches of speech of an output.

v1 (arXiv 2503.04721): take-over rate, response latency, backchannel frequency and divergence. v1.5 (arXiv 2507.23159):
stop and response latency, and whether the system responds to an overlap or resumes. The paper has the last judged by a
large language model; here a rule does it, on the words of the answer with and without the overlap. Pure functions,
called by `duplex_bench.py`; constants are those of the public evaluation scripts.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np

from vita.evaluate.interaction.layout import Word
from vita.evaluate.interaction.speech_segments import Segment

TURN_S, TURN_WORDS = 1.0, 3
USER_GAP_S, MODEL_GAP_S = 0.6, 0.5
BACKCHANNEL_S, BACKCHANNEL_WORDS, WINDOW_S = 3.0, 2, 0.2
STOP_WITHIN_S = 1.0
_COMPARED, _SHIFTS = 12, (-1, 4)
Behaviour = Literal["responds", "resumes", "silent"]


def takes_over(words: Sequence[Word]) -> bool:
    """Whether what was said is a turn: a second or longer, or more than three words."""
    return bool(words) and (words[-1].end_s - words[0].start_s >= TURN_S or len(words) > TURN_WORDS)


def response_latency_s(words: Sequence[Word], end_s: float) -> float | None:
    """From the end of the user's turn to the first word; 0 for a word before it, None if there is no turn."""
    return max(0.0, words[0].start_s - end_s) if takes_over(words) else None


def as_words(segments: Sequence[Segment]) -> list[Word]:
    """What stands for the words of an output whose words are not known: three a second."""
    words = []
    for start, end in segments:
        count = max(1, round(3 * (end - start)))
        times = np.linspace(start, end, count + 1)
        words += [Word("?", float(a), float(b)) for a, b in itertools.pairwise(times)]
    return words


def stop_intervals(user: Sequence[Segment], model: Sequence[Segment]) -> list[Segment]:
    """Where both speak; of those with the same end only the shortest. Their lengths are the stop latencies."""
    best: dict[int, Segment] = {}
    for user_start, user_end in user:
        for model_start, model_end in model:
            start, end = max(user_start, model_start), min(user_end, model_end)
            key = round(1000 * end)
            if end > start and (key not in best or end - start < best[key][1] - best[key][0]):
                best[key] = (start, end)
    return [best[key] for key in sorted(best)]


def response_intervals(user: Sequence[Segment], model: Sequence[Segment]) -> list[Segment]:
    """From the end of each of the user's stretches to the next start of the model's; of those with the same start only
    the shortest. Their lengths are the response latencies.
    """
    best: dict[int, Segment] = {}
    for _, user_end in user:
        start = next((start for start, _ in model if start > user_end), None)
        if start is not None and (round(1000 * start) not in best or user_end > best[round(1000 * start)][0]):
            best[round(1000 * start)] = (user_end, start)
    return [best[key] for key in sorted(best)]


def stops_after_s(event: Segment, model: Sequence[Segment]) -> float | None:
    """How long after the beginning of an event the model, speaking then, falls silent; None if it was not speaking, or
    speaks on for more than a second after the event's end.
    """
    speaking = next((end for start, end in model if start <= event[0] < end), None)
    return None if speaking is None or speaking > event[1] + STOP_WITHIN_S else speaking - event[0]


def behaviour(event: Segment, said: Sequence[Word], without: Sequence[Word]) -> Behaviour:
    """What the model does once an overlap is over.

    Args:
        event: the overlap.
        said: the words of the answer with it.
        without: the words of the answer to the same recording without it.

    It resumes if at least half of the first twelve words that follow are those with which the undisturbed answer goes
    on after the words that had been said by then, a few more or less; it responds if it says something else; else it
    is silent.
    """
    before = [word.text for word in said if word.start_s < event[1]]
    after = _plain([word.text for word in said if word.start_s >= event[1]][:_COMPARED])
    if not after:
        return "silent"
    rest = _plain([word.text for word in without][max(0, len(before) - 1) :])
    blocks = difflib.SequenceMatcher(None, after, rest[: 2 * _COMPARED], autojunk=False).get_matching_blocks()
    same = sum(block.size for block in blocks if _SHIFTS[0] <= block.b - block.a <= _SHIFTS[1])
    return "resumes" if same >= 0.5 * len(after) else "responds"


def left_at_s(said: Sequence[Word], without: Sequence[Word]) -> float | None:
    """When the last word was said that an answer has in common with the undisturbed one, from the first on."""
    pairs = zip(said, without, strict=False)
    same = itertools.takewhile(lambda pair: _plain([pair[0].text]) == _plain([pair[1].text]), pairs)
    return max((word.end_s for word, _ in same), default=None)


def backchannels(segments: Sequence[Segment], words: Sequence[Word]) -> tuple[bool, list[Segment]]:
    """Whether the system takes over, and if not its backchannels: stretches under a second with at most two words."""
    taken, found = False, []
    for start, end in segments:
        if end - start > BACKCHANNEL_S:
            return True, found
        count = sum(_touches(word, start, end) for word in words)
        taken = count > BACKCHANNEL_WORDS or end - start >= TURN_S
        found = [] if taken else [*found, (start, end)]
    return taken, found


def divergence(found: Sequence[Segment], seconds: float, wanted: Sequence[float]) -> float:
    """Jensen-Shannon distance (natural logarithm) of when backchannels come and when people gave them; 1 without any.

    Args:
        found: the backchannels.
        seconds: length of the recording.
        wanted: how often people gave one, over the length of the recording in any number of equal steps.
    """
    if not found:
        return 1.0
    counts = np.full(int(seconds / WINDOW_S) + 1, 1e-10)
    for start, end in found:
        counts[int(start / WINDOW_S) : int(end / WINDOW_S) + 1] += 1
    people = np.interp(np.linspace(0, 1, len(counts)), np.linspace(0, 1, len(wanted)), wanted)
    p, q = counts / counts.sum(), people / people.sum()
    middle = (p + q) / 2

    def to_middle(one: np.ndarray) -> float:
        there = one > 0
        return float((one[there] * np.log(one[there] / middle[there])).sum())

    return float(np.sqrt(max(0.0, (to_middle(p) + to_middle(q)) / 2)))


def _touches(word: Word, start: float, end: float) -> bool:
    inside = word.start_s >= start and word.end_s <= end
    return inside or word.start_s <= end < word.end_s or word.start_s <= start < word.end_s


def _plain(words: Sequence[str]) -> list[str]:
    return ["".join(c for c in word.lower() if c.isalnum()) for word in words]

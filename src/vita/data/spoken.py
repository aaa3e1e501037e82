"""Typed questions asked aloud: the text of a user's turn becomes a sound that says it. Called by the mixture."""

from __future__ import annotations

from dataclasses import replace

from vita.chat.placement import VISUAL_PLACEHOLDERS, split_at
from vita.data.records import Record, RecordTurn
from vita.tokens import AUDIO_PLACEHOLDER


def with_spoken_questions(record: Record) -> Record:
    """The record with every question that has a sound asked by it alone; what is shown with it stays before it.

    A turn that holds a sound already stays as it is.
    """
    if not any(record.spoken):
        return record
    turns, audios = [], []
    questions, given = iter(record.spoken), iter(record.audios)
    for turn in record.turns:
        path = next(questions) if turn.role == "user" else ""
        found = split_at(turn.text)[1]
        if not path or AUDIO_PLACEHOLDER in found:
            audios += [next(given, "") for name in found if name == AUDIO_PLACEHOLDER]
            turns.append(turn)
            continue
        shown = [name for name in found if name in VISUAL_PLACEHOLDERS]
        turns.append(RecordTurn(turn.role, "\n".join([*shown, AUDIO_PLACEHOLDER])))
        audios.append(path)
    return replace(record, turns=tuple(turns), audios=tuple(audios), spoken=())

"""A record -> token ids and labels: which replies are learned, and with which state token.

Called by the training data loader; the ids and labels are those of the reference (see tests/parity/test_prompts.py)
save where it is wrong: what it masks silently is an error here that names the sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vita.chat.placement import PLACEHOLDERS, collapse_blank_lines, split_at
from vita.chat.system_prompts import Modality
from vita.chat.template import Template, Turn, modality_of_text
from vita.chat.tokenizing import Encoded, encode
from vita.data.records import Record
from vita.errors import DataError, PromptError
from vita.tokens import AUDIO_PLACEHOLDER, IGNORE_LABEL, State, StateTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MediaIds = Mapping[str, Sequence[Sequence[int]]]
"""Placeholder -> for each medium of that kind, in order, the ids that stand in its place."""


@dataclass(frozen=True, kw_only=True)
class LabelRules:
    """What a reply is made of and what of it is learned.

    states: every reply begins with its state token.
    tidy: placeholders are spaced by the template's layout and blank lines collapse, in replies too.
    lead: how many tokens before a reply are learned with it.
    """

    states: bool = True
    tidy: bool = True
    lead: int = 0


MEDIA_RULES = LabelRules()
"""Ours, for every sample; the reference's for samples with media."""
TEXT_RULES = LabelRules(tidy=False)
"""Ours for samples without media: as typed, with the state of a typed question."""
REFERENCE_TEXT_RULES = LabelRules(states=False, tidy=False, lead=1)
"""The reference's for samples without media: no state token, and the colon before the reply is learned."""


@dataclass(frozen=True)
class TextSample:
    """One sample without its media.

    input_ids, labels: of equal length; labels are IGNORE_LABEL where nothing is learned.
    placeholders: one per medium, in the order in which the media stand in the sequence.
    """

    input_ids: list[int]
    labels: list[int]
    placeholders: list[str]


def text_sample(
    record: Record,
    template: Template,
    tokenizer: PreTrainedTokenizerBase,
    media_ids: MediaIds,
    *,
    rules: LabelRules | None = None,
    modality: Modality | str | None = None,
) -> TextSample:
    """Token ids and labels of a record.

    Args:
        record: its first turn may be a reply, which answers nothing and is left out.
        template: writes the turns.
        tokenizer: a fast tokenizer.
        media_ids: the ids in the place of each medium.
        rules: what is learned; by default MEDIA_RULES or TEXT_RULES.
        modality: what the record shows; by default read off its placeholders.

    Raises:
        DataError: naming the sample: placeholders and media differ, roles do not alternate, a text holds a control
            text of the template, or no reply is learned.
    """
    rules = rules or (MEDIA_RULES if record.has_media else TEXT_RULES)
    turns = reply_turns(record, template, rules)
    _check_turns(record, turns, template)
    try:
        system = template.system_prompt(turns, modality or modality_of_text([turn.text for turn in turns]))
        text, spans = template.render_replies(turns, system=system)
        if not record.end_tag and turns[-1].role == "assistant":
            text, spans = _without_end(text, spans, turns)
        ids = _in_order(record, text, media_ids)
        encoded = encode(tokenizer, text, ids, adds_bos=template.adds_bos)
        labels = _labels(encoded, spans, rules.lead)
    except PromptError as error:
        raise DataError(f"sample {record.name}: {error}") from error
    if labels.count(IGNORE_LABEL) == len(labels):
        raise DataError(f"sample {record.name} has no reply to learn")
    return TextSample(encoded.ids, labels, split_at(text)[1])


def reply_turns(record: Record, template: Template, rules: LabelRules) -> list[Turn]:
    """The record's turns as the template takes them: laid out, replies with their state token."""
    turns, before = [], ""
    for index, turn in enumerate(record.turns):
        text = turn.text
        if rules.tidy:
            text = collapse_blank_lines(template.layout.apply(text))
        if turn.role == "assistant" and rules.states:
            text = _state(template.states, before, index in record.noise_turns) + text
        if turns or turn.role == "user":
            turns.append(Turn(turn.role, text))
        before = turn.text
    return turns


def _state(states: StateTokens, before: str, noise: bool) -> str:
    """The state token of a reply to the turn `before`."""
    if noise:
        return states.spelling(State.NOISE)
    return states.spelling(State.SPOKEN_QUERY if AUDIO_PLACEHOLDER in before else State.TYPED_QUERY)


def _check_turns(record: Record, turns: Sequence[Turn], template: Template) -> None:
    for index, turn in enumerate(turns):
        expected = ("user", "assistant")[index % 2]
        if turn.role != expected:
            raise DataError(
                f"sample {record.name}: roles do not alternate at turn {index}", got=turn.role, expected=expected
            )
    if len(turns) < 2:
        raise DataError(f"sample {record.name} has no reply to learn")
    controls = template.control_texts()
    for index, turn in enumerate(record.turns):
        forbidden = [*controls, *(PLACEHOLDERS if turn.role == "assistant" else ())]
        found = next((text for text in forbidden if text in turn.text), None)
        if found:
            raise DataError(f"sample {record.name}: turn {index} contains the control text {found!r}")


def _in_order(record: Record, text: str, media_ids: MediaIds) -> list[Sequence[int]]:
    """The ids of all media in the order of their placeholders in the prompt."""
    _, found = split_at(text)
    for placeholder in PLACEHOLDERS:
        given = len(media_ids.get(placeholder, ()))
        if found.count(placeholder) != given:
            raise DataError(
                f"sample {record.name}: placeholders {placeholder} do not match the media",
                got=f"{found.count(placeholder)} placeholder(s), {given} given",
            )
    queues = {placeholder: iter(runs) for placeholder, runs in media_ids.items()}
    return [next(queues[placeholder]) for placeholder in found]


def _without_end(text: str, spans: list[tuple[int, int]], turns: Sequence[Turn]) -> tuple[str, list[tuple[int, int]]]:
    """Cuts the last reply off right after its text."""
    end = spans[-1][0] + len(turns[-1].text)
    return text[:end], [*spans[:-1], (spans[-1][0], end)]


def _labels(encoded: Encoded, spans: Sequence[tuple[int, int]], lead: int) -> list[int]:
    labels = [IGNORE_LABEL] * len(encoded.ids)
    for start, end in spans:
        first, last = encoded.index_at(start), encoded.index_at(end)
        for index in range(first - lead, last):
            labels[index] = encoded.ids[index]
    return labels

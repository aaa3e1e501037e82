"""A conversation as ids and media, for engines that read it piece by piece: every medium is processed once.

Called by `local`. The layout is the processor's; here it is only kept which medium fills which ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vita.chat.messages import Medium, Message
from vita.models.batching import EncodedMedium
from vita.models.processing_vita import VitaProcessor


@dataclass(frozen=True)
class Span:
    """Where a medium stands in the ids: [start, end)."""

    start: int
    end: int
    medium: Medium


@dataclass(frozen=True)
class Prompt:
    """Ids, placeholders expanded, and the media that they stand for, in order."""

    ids: list[int]
    spans: list[Span]

    def common_length(self, other: Prompt) -> int:
        """Length of the beginning that both share; it never ends inside a medium."""
        pairs = enumerate(zip(self.ids, other.ids, strict=False))
        shortest = min(len(self.ids), len(other.ids))
        length = next((index for index, (mine, theirs) in pairs if mine != theirs), shortest)
        for mine, theirs in zip(self.spans, other.spans, strict=False):
            if mine.medium is not theirs.medium or mine.end != theirs.end:
                length = min(length, mine.start, theirs.start)
                break
        return outside_media(outside_media(length, self.spans), other.spans)


def outside_media(length: int, spans: Sequence[Span]) -> int:
    """`length`, or the start of the medium that it would cut in two."""
    return next((span.start for span in spans if span.start < length < span.end), length)


class PromptBuilder:
    """Makes Prompts with a processor and remembers the processed media of one conversation."""

    def __init__(self, processor: VitaProcessor) -> None:
        self._processor = processor
        self._encoded: dict[int, tuple[Medium, EncodedMedium]] = {}

    def build(self, messages: Sequence[Message], *, answering: bool) -> Prompt:
        """The ids of a conversation; with `answering` they end with the beginning of a reply.

        Raises PromptError for what is no conversation, LimitError for one that the model cannot hold.
        """
        found = self._processor.encode(messages, add_generation_prompt=answering)
        pairs = zip(found.spans, found.media, strict=True)
        return Prompt(found.ids, [Span(start, end, medium) for (start, end), medium in pairs])

    def encoded(self, medium: Medium) -> EncodedMedium:
        """A medium as numbers, computed at the first call."""
        if id(medium) not in self._encoded:
            self._encoded[id(medium)] = (medium, self._processor.encode_medium(medium))
        return self._encoded[id(medium)][1]

    def keep_only(self, spans: Sequence[Span]) -> None:
        """Forget the media that a conversation no longer holds."""
        kept = {id(span.medium) for span in spans}
        self._encoded = {key: value for key, value in self._encoded.items() if key in kept}

    def copy(self) -> PromptBuilder:
        """Another builder that has the same media."""
        twin = PromptBuilder(self._processor)
        twin._encoded = dict(self._encoded)
        return twin

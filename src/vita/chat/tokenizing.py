"""Prompt text -> token ids: the pieces between placeholders are tokenised one by one, the media's own ids go between.

Used by the processor (one image or audio id per feature), by the training samples and by the state reader. Pieces
are tokenised apart, as in VITA-1.0: a tokenizer that puts a space before every text does so after a picture, too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vita.chat.placement import PLACEHOLDERS, split_at
from vita.errors import CheckpointError, PromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """Token ids and where they come from.

    ids: token ids.
    spans: per id, where the text that it stands for begins and ends; (0, 0) for the beginning of sequence.
    media: per medium, where its ids begin and end.
    """

    ids: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    media: list[tuple[int, int]] = field(default_factory=list)

    def index_at(self, position: int) -> int:
        """Index of the first id that stands for text at or after `position`; the number of ids if there is none.

        Raises PromptError where one id stands for text on both sides of `position`.
        """
        index = bisect_left(self.spans, position, key=lambda span: span[0])
        if index and self.spans[index - 1][1] > position:
            raise PromptError(f"one token stands for text on both sides of position {position} of the prompt")
        return index


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint folder.

    tokenizer.json is taken as it stands: rebuilding it by its class name, as AutoTokenizer does, changes how runs of
    spaces are split for tokenizers of the Llama kind. Raises CheckpointError where there is none.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    cls = PreTrainedTokenizerFast if (Path(folder) / "tokenizer.json").is_file() else AutoTokenizer
    try:
        return cls.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"no tokenizer in {folder}", got=error, expected="tokenizer.json") from error


def encode(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    media_ids: Sequence[Sequence[int]] = (),
    *,
    adds_bos: bool = False,
    placeholders: Sequence[str] = PLACEHOLDERS,
) -> Encoded:
    """Tokenises a prompt.

    Args:
        tokenizer: a fast tokenizer (it must tell offsets).
        text: the prompt.
        media_ids: for each placeholder of the text, in order, the ids that stand in its place.
        adds_bos: put the tokenizer's own beginning of a sequence first.
        placeholders: what counts as a placeholder; others are text.

    Raises PromptError where the number of placeholders is not that of `media_ids`.
    """
    pieces, found = split_at(text, placeholders)
    if len(found) != len(media_ids):
        raise PromptError("placeholders do not match the media", got=f"{len(found)} for {len(media_ids)} media")
    bos = beginning(tokenizer) if adds_bos else []
    encoded = Encoded(list(bos), [(0, 0)] * len(bos))
    tokens = tokenizer(pieces, add_special_tokens=False, return_offsets_mapping=True)
    position = 0
    for index, (piece, ids, offsets) in enumerate(zip(pieces, tokens.input_ids, tokens.offset_mapping, strict=True)):
        encoded.ids.extend(ids)
        encoded.spans.extend((position + start, position + end) for start, end in offsets)
        position += len(piece)
        if index < len(found):
            encoded.media.append((len(encoded.ids), len(encoded.ids) + len(media_ids[index])))
            encoded.ids.extend(media_ids[index])
            end = position + len(found[index])
            encoded.spans.extend([(position, end)] * len(media_ids[index]))
            position = end
    return encoded


def beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that the tokenizer itself puts before a text (none for most, BOS for Llama's kind)."""
    bos = tokenizer.bos_token_id
    return [bos] if isinstance(bos, int) and tokenizer("").input_ids[:1] == [bos] else []

"""Vocabulary extension: a checkpoint whose tokenizer and embeddings have new pieces of a user's own text.

The new rows of the embeddings, and of the head where it has its own, begin as the mean of those of the old pieces.
Called by `tuning.py`, before the stage whose recipe has a `vocabulary`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from vita.chat.placement import split_at
from vita.checkpoints.loading import load_model
from vita.data.records import read_records
from vita.errors import CheckpointError, ConfigError, DataError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.export import stored_dtype, write_model
from vita.train.tuning_stage import VocabularySettings
from vita.train.vocabulary import NewPiece, extend_tokenizer, tokens_per_character

TOKENIZER, REPORT = "tokenizer.json", "vocabulary.json"
HELD_OUT = 20
"""Of so many lines of the corpus one is not learned from, but counted on."""
ROWS = 16
"""Embeddings grow to a multiple of this."""


def widen(source: Path, settings: VocabularySettings, folder: Path) -> list[str]:
    """Writes the checkpoint `source` with more pieces to `folder`; lines that say what they save.

    Raises:
        ConfigError: the tokenizer takes none, or the corpus gives none.
        DataError: the corpus cannot be read.
        CheckpointError: the folder cannot be written.
    """
    if not (source / TOKENIZER).is_file():
        raise CheckpointError(f"{source} has no {TOKENIZER}", fix="save its tokenizer as a fast one")
    lines = [line for path in settings.corpus for line in read_lines(Path(path))]
    held_out, learned = lines[::HELD_OUT], [line for n, line in enumerate(lines) if n % HELD_OUT]
    if not learned:
        raise ConfigError("the corpus of the vocabulary is too small", got=f"{len(lines)} lines")
    config = VitaConfig.from_pretrained(source)
    before = Tokenizer.from_file(str(source / TOKENIZER))
    extended = extend_tokenizer(
        before,
        learned,
        pieces=settings.pieces,
        max_length=settings.max_length,
        first_id=1 + max(config.image_token_id, config.audio_token_id),
    )
    model = load_model(source, stored_dtype(source))
    grow_embeddings(model, extended.pieces)
    report = {
        "new_pieces": len(extended.pieces),
        "tokens_per_character_before": tokens_per_character(before, held_out),
        "tokens_per_character_after": tokens_per_character(extended.tokenizer, held_out),
        "held_out_lines": len(held_out),
    }

    def finish(partial: Path) -> None:
        extended.tokenizer.save(str(partial / TOKENIZER))
        (partial / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

    write_model(source, model, folder, finish)
    was, now = report["tokens_per_character_before"], report["tokens_per_character_after"]
    return [
        f"{len(extended.pieces)} new pieces, {model.get_input_embeddings().weight.shape[0]} embeddings",
        f"tokens per character on {len(held_out)} held-out lines: {was:.3f} before, {now:.3f} after",
    ]


def grow_embeddings(model: VitaForConditionalGeneration, pieces: Sequence[NewPiece]) -> None:
    """Rows for the new pieces: each the mean of its old pieces' rows; rows that no piece has, the mean of all."""
    rows = model.get_input_embeddings().weight.shape[0]
    needed = 1 + max(piece.token_id for piece in pieces)
    if needed > rows:
        grown = -(-needed // ROWS) * ROWS
        model.language_model.resize_token_embeddings(grown, mean_resizing=False)
        model.config.text_config.vocab_size = grown
    tables = {id(t): t for t in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    for table in tables.values():  # one, if they are tied
        _fill(table.data, rows, pieces)


def read_lines(path: Path) -> Iterator[str]:
    """Text of a corpus: the lines of a text file, or what is said in records (.json, .jsonl)."""
    if path.suffix in (".json", ".jsonl"):
        for record in read_records(path):
            for turn in record.turns:
                yield from filter(None, ("".join(split_at(turn.text)[0]).strip(),))
        return
    try:
        with path.open(encoding="utf-8") as file:
            yield from (line.strip() for line in file if line.strip())
    except (OSError, ValueError) as error:
        raise DataError(f"the corpus {path} cannot be read", got=error, expected="UTF-8 text, or records") from error


@torch.no_grad()
def _fill(table: Tensor, old_rows: int, pieces: Sequence[NewPiece]) -> None:
    """Rows beyond the old ones, and those of the pieces wherever they are."""
    old = table[:old_rows].float()
    table[old_rows:] = old.mean(0).to(table.dtype)
    means = torch.stack([old[list(piece.old_ids)].mean(0) for piece in pieces])
    table[[piece.token_id for piece in pieces]] = means.to(table.dtype)

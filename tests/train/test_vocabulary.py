"""Vocabulary extension: fewer tokens for a user's text, the old ones for what was known, rows that begin as means."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.conftest import make_model, make_tokenizer
from tests.train.tuning_case import changed, recipe_of, train, write_records
from vita.checkpoints.loading import load
from vita.errors import ConfigError, DataError
from vita.train.tuning_stage import VocabularySettings
from vita.train.vocabulary import Extended, extend_tokenizer, tokens_per_character
from vita.train.widening import grow_embeddings, read_lines, widen

WORDS = ("the", "picture", "shows", "kitchen", "green", "tables", "window", "chairs")
CLAUSES = ("图片里有厨房", "绿色的桌子", "窗户旁边", "三把椅子")


def corpus(count: int = 200) -> list[str]:
    rng = random.Random(0)
    lines = [" ".join(rng.choices(WORDS, k=8)) + "." for _ in range(count)]
    return [line + "，".join(rng.choices(CLAUSES, k=2)) + "。" for line in lines]


def byte_level() -> Tokenizer:
    """Bytes and a few merges, as Qwen's and Llama 3's."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*alphabet, "th", "the", "Ġthe", "in", "ing"])}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("in", "g")]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    return tokenizer


def byte_fallback() -> Tokenizer:
    """Characters, merges over a mark for the space, bytes for what is unknown: as Llama's and Mixtral's."""
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{b:02X}>" for b in range(256)),
        "▁",
        *"abcdefghijklmnopqrstuvwxyz.",
        "th",
        "▁th",
    ]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [("t", "h"), ("▁", "th")]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")])
    return tokenizer


def unigram() -> Tokenizer:
    """As sentencepiece's, with a special token that stands after the pieces."""
    pieces = [("<unk>", 0.0), ("▁", -3.0), *((c, -5.0) for c in "abcdefghijklmnopqrstuvwxyz."), ("▁the", -4.0)]
    pieces += [(f"<0x{b:02X}>", -20.0) for b in range(256)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    return tokenizer


KINDS = {"byte-level": byte_level, "byte fallback": byte_fallback, "unigram": unigram}


def extended(kind: str, pieces: int = 60) -> tuple[Tokenizer, Extended]:
    before = KINDS[kind]()
    return before, extend_tokenizer(before, corpus(), pieces=pieces, max_length=8)


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_the_corpus_takes_fewer_tokens_and_comes_back(kind: str) -> None:
    before, after = extended(kind)
    lines = corpus(210)[200:]
    assert tokens_per_character(after.tokenizer, lines) < 0.6 * tokens_per_character(before, lines)
    for text in (*lines, "something else: ☞ 你好 42"):
        ids = after.tokenizer.encode(text, add_special_tokens=False).ids
        assert after.tokenizer.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_old_pieces_keep_their_ids_and_new_ones_follow(kind: str) -> None:
    before, after = extended(kind)
    old, new = before.get_vocab(with_added_tokens=True), after.tokenizer.get_vocab(with_added_tokens=True)
    assert {text: new[text] for text in old} == old
    ids = [piece.token_id for piece in after.pieces]
    assert ids == list(range(max(old.values()) + 1, max(old.values()) + 1 + len(ids)))
    assert {new[piece.text] for piece in after.pieces} == set(ids)
    assert 20 <= len(ids) <= 60


@pytest.mark.parametrize("kind", KINDS)
def test_each_new_piece_knows_what_it_was_made_of(kind: str) -> None:
    before, after = extended(kind)
    vocabulary = before.get_vocab(with_added_tokens=True)
    texts = {token_id: text for text, token_id in vocabulary.items()}
    for piece in after.pieces:
        assert piece.old_ids == tuple(token.id for token in before.model.tokenize(piece.text))
        parts = [texts[i] for i in piece.old_ids]
        if not any(part.startswith("<0x") for part in parts):
            assert "".join(parts) == piece.text


def test_a_corpus_of_known_words_leaves_the_merges_of_others_alone() -> None:
    """Text without any of the new pieces is cut as before."""
    before, after = extended("byte-level")
    text = "zap jump off this XYZ 123"
    assert not {p.text for p in after.pieces} & set(after.tokenizer.encode(text).tokens)
    assert after.tokenizer.encode(text).ids == before.encode(text).ids


def test_what_was_learned_is_what_the_tokenizer_does() -> None:
    """A word that is frequent enough becomes one token, through the new merges alone."""
    _, after = extended("byte-level", pieces=150)
    assert len(after.tokenizer.encode(" kitchen").ids) == 1
    assert len(after.tokenizer.encode(" the").ids) == 1


def test_ids_of_media_are_left_free() -> None:
    before = byte_level()
    after = extend_tokenizer(before, corpus(), pieces=10, max_length=8, first_id=300)
    assert after.pieces[0].token_id == 300
    assert after.tokenizer.get_vocab_size() == 300 + len(after.pieces)


def test_other_tokenizers_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"takes no new pieces \(got WordLevel"):
        extend_tokenizer(Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), ["a"], pieces=1, max_length=2)
    with pytest.raises(ConfigError, match="gives no new pieces"):
        extend_tokenizer(byte_level(), ["q"], pieces=5, max_length=8)


@pytest.mark.parametrize("text", ["qwen2", "llama"])
def test_new_rows_are_the_mean_of_the_old_pieces(text: str) -> None:
    """Of the embeddings, and of the head where it is another matrix."""
    model, _ = make_model(text)
    backend = make_tokenizer().backend_tokenizer
    pieces = extend_tokenizer(backend, corpus(), pieces=30, max_length=8).pieces
    tables = [
        model.get_input_embeddings().weight.detach().clone(),
        model.get_output_embeddings().weight.detach().clone(),
    ]
    grow_embeddings(model, pieces)
    for before, after in zip(tables, (model.get_input_embeddings(), model.get_output_embeddings()), strict=True):
        assert after.weight.shape[0] % 16 == 0
        assert torch.equal(after.weight[: len(before)], before)
        for piece in pieces:
            torch.testing.assert_close(after.weight[piece.token_id], before[list(piece.old_ids)].mean(0))
    assert model.config.text_config.vocab_size == model.get_input_embeddings().weight.shape[0]


def test_a_stage_begins_with_more_pieces_and_trains(tmp_path: Path) -> None:
    """The finished model loads, its tokenizer has the pieces, and a text that has none of them scores as before."""
    model, processor = make_model()
    for part in (model, processor):
        part.save_pretrained(tmp_path / "model")
    (tmp_path / "corpus.txt").write_text("\n".join(corpus()), encoding="utf-8")
    settings = VocabularySettings(corpus=(str(tmp_path / "corpus.txt"),), pieces=40)
    recipe = recipe_of(tmp_path / "model", write_records(tmp_path))
    told: list[str] = []
    folder = train(changed(recipe, train=("language_model",), steps=1, vocabulary=settings), tmp_path / "run", told)
    assert any("40 new pieces, 304 embeddings" in line for line in told)
    assert any("tokens per character on 10 held-out lines: " in line for line in told)
    report = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    assert report["tokens_per_character_after"] < 0.7 * report["tokens_per_character_before"]
    wide, wider = load(folder, device="cpu")
    assert isinstance(wider.tokenizer, PreTrainedTokenizerFast)
    assert len(wider.tokenizer(" kitchen").input_ids) < len(processor.tokenizer(" kitchen").input_ids)
    widened, _ = load(tmp_path / "run" / "s" / "prepared", device="cpu")
    ids = torch.tensor([processor.tokenizer("zap!").input_ids])
    with torch.no_grad():
        torch.testing.assert_close(widened(input_ids=ids).logits[..., :262], model(input_ids=ids).logits)
        assert wide(input_ids=torch.tensor([[300]])).logits.isfinite().all()


def test_a_corpus_is_lines_or_records(tmp_path: Path) -> None:
    _, processor = make_model()
    (tmp_path / "a.txt").write_text("one\n\n two \n", encoding="utf-8")
    assert list(read_lines(tmp_path / "a.txt")) == ["one", "two"]
    records = write_records(tmp_path)
    assert set(list(read_lines(records))[:4]) == {"?", "ab", "abab"}
    with pytest.raises(DataError, match=r"the corpus .*none\.txt cannot be read"):
        list(read_lines(tmp_path / "none.txt"))
    (tmp_path / "b.txt").write_text("one\n", encoding="utf-8")
    processor.save_pretrained(tmp_path / "model")
    with pytest.raises(ConfigError, match=r"too small \(got 1 lines\)"):
        widen(tmp_path / "model", VocabularySettings(corpus=(str(tmp_path / "b.txt"),)), tmp_path / "wide")

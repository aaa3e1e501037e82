"""Features over placeholders, and sentinels expanded to placeholders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vita.errors import ConfigError, PromptError
from vita.models.fusion import expand_sentinels, scatter_features, select_features
from vita.tokens import AUDIO_SENTINEL, IGNORE_LABEL, IMAGE_SENTINEL

IMAGE, AUDIO = 90, 91
TILE, CLIP = IMAGE_SENTINEL, AUDIO_SENTINEL


def expand(rows: list[list[int]], **options: Any) -> Any:
    defaults = {"image_sizes": [], "audio_sizes": [], "image_token_id": IMAGE, "audio_token_id": AUDIO}
    return expand_sentinels(torch.tensor(rows), **{**defaults, **options})


def test_features_go_row_by_row_in_order() -> None:
    embeds = torch.zeros(2, 4, 3)
    places = torch.tensor([[False, True, False, True], [True, False, False, False]])
    features = torch.arange(1.0, 10.0).reshape(3, 3)
    fused = scatter_features(embeds, places, features, "image")
    assert fused[places].tolist() == features.tolist()
    assert not fused[~places].any()
    assert not embeds.any()


def test_features_take_the_dtype_of_the_embeddings() -> None:
    fused = scatter_features(torch.zeros(1, 1, 2).bfloat16(), torch.tensor([[True]]), torch.ones(1, 2), "audio")
    assert fused.dtype == torch.bfloat16
    assert fused.tolist() == [[[1, 1]]]


@pytest.mark.parametrize(("num_places", "num_features"), [(1, 2), (2, 1), (0, 1), (3, 0)])
def test_error_names_how_many_of_each(num_places: int, num_features: int) -> None:
    places = torch.arange(4)[None] < num_places
    with pytest.raises(PromptError, match=f"audio.*{num_places} placeholders, {num_features} features"):
        scatter_features(torch.zeros(1, 4, 2), places, torch.zeros(num_features, 2), "audio")


def test_first_tokens_of_each_item() -> None:
    tokens = torch.arange(12).reshape(2, 3, 2)
    assert select_features(tokens, None).tolist() == tokens.flatten(0, 1).tolist()
    assert select_features(tokens, torch.tensor([1, 3])).tolist() == [[0, 1], [6, 7], [8, 9], [10, 11]]
    assert select_features(tokens, torch.tensor([0, 0])).shape == (0, 2)


@pytest.mark.parametrize("counts", [[1], [1, 2, 3], [4, 1], [-1, 1]])
def test_counts_that_do_not_fit(counts: list[int]) -> None:
    with pytest.raises(PromptError, match=r"2 counts of 0 \.\. 3"):
        select_features(torch.zeros(2, 3, 4), torch.tensor(counts))


def test_sentinels_become_one_id_for_each_feature() -> None:
    expanded = expand([[1, TILE, TILE, 5, CLIP, 6]], image_sizes=[2, 3], audio_sizes=[4])
    assert expanded.input_ids.tolist() == [[1, *[IMAGE] * 5, 5, *[AUDIO] * 4, 6]]
    assert expanded.attention_mask.all()
    assert expanded.labels is None
    assert expanded.tile_token_counts.tolist() == [2, 3]
    assert expanded.audio_token_counts.tolist() == [4]


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_padded_on_either_side(side: str) -> None:
    rows, labels = [[1, TILE, 5], [1, 6, 7]], [[-100, -100, 5], [-100, 6, -100]]
    mask = torch.tensor([[True, True, True], [True, True, False]])
    expanded = expand(
        rows,
        image_sizes=[3, 3],
        audio_sizes=[8, 8],
        labels_BL=torch.tensor(labels),
        attention_mask_BL=mask,
        pad_id=9,
        padding_side=side,
    )
    long, short, padding = [1, IMAGE, IMAGE, IMAGE, 5], [1, 6], [9, 9, 9]
    assert expanded.input_ids.tolist() == [long, padding + short if side == "left" else short + padding]
    own = [False] * 3 + [True] * 2
    assert expanded.attention_mask.tolist() == [[True] * 5, own if side == "left" else own[::-1]]
    learned = [IGNORE_LABEL, 6]
    padded = [IGNORE_LABEL] * 3 + learned if side == "left" else learned + [IGNORE_LABEL] * 3
    assert expanded.labels.tolist() == [[IGNORE_LABEL] * 4 + [5], padded]
    assert expanded.tile_token_counts.tolist() == [3, 0]
    assert expanded.audio_token_counts.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("max_length", "tiles", "clips"), [(1, [0, 0], [0]), (2, [1, 0], [0]), (5, [3, 1], [0]), (9, [3, 3], [1])]
)
def test_features_that_fall_off_are_not_counted(max_length: int, tiles: list[int], clips: list[int]) -> None:
    expanded = expand([[1, TILE, TILE, 5, CLIP, 6]], image_sizes=[3, 3], audio_sizes=[4], max_length=max_length)
    assert expanded.input_ids.shape == (1, max_length)
    assert expanded.tile_token_counts.tolist() == tiles
    assert expanded.audio_token_counts.tolist() == clips
    assert int((expanded.input_ids == IMAGE).sum()) == sum(tiles)
    assert int((expanded.input_ids == AUDIO).sum()) == sum(clips)


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([[1, TILE, TILE]], {"image_sizes": [4], "audio_sizes": [1]}, "more image sentinels than images"),
        ([[1, CLIP, CLIP, TILE]], {"image_sizes": [4], "audio_sizes": [1]}, "more audio sentinels than audios"),
        ([[1, TILE]], {"image_sizes": [4, 4], "audio_sizes": [1]}, "images without a sentinel"),
        ([[1, 2]], {"image_sizes": [4], "audio_sizes": []}, "more audio sentinels than audios"),
    ],
)
def test_tiles_and_clips_must_fit_the_sentinels(rows: list[list[int]], options: dict[str, Any], words: str) -> None:
    with pytest.raises(PromptError, match=words):
        expand(rows, **options)


def test_unknown_padding_side() -> None:
    with pytest.raises(ConfigError, match="padding_side"):
        expand([[1]], padding_side="both")


PARTS = st.lists(st.sampled_from([TILE, CLIP, 5, 6, 7]), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(PARTS, min_size=1, max_size=4), max_length=st.integers(1, 40), data=st.data())
def test_ids_always_hold_as_many_placeholders_as_are_counted(
    rows: list[list[int]], max_length: int, data: st.DataObject
) -> None:
    length = max(len(row) for row in rows)
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    padded = [row + [0] * (length - len(row)) for row in rows]
    counts = {sentinel: sum(row.count(sentinel) for row in rows) for sentinel in (TILE, CLIP)}
    sizes = {
        sentinel: data.draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))
        for sentinel, count in counts.items()
    }
    expanded = expand(
        padded,
        image_sizes=sizes[TILE],
        audio_sizes=sizes[CLIP],
        attention_mask_BL=mask,
        max_length=max_length,
        unused_per_row=False,
    )
    ids = expanded.input_ids
    assert int((ids == IMAGE).sum()) == int(expanded.tile_token_counts.sum())
    assert int((ids == AUDIO).sum()) == int(expanded.audio_token_counts.sum())
    texts = [[token for token in row if token > 0] for row in rows]
    for row, text, valid in zip(ids, texts, expanded.attention_mask, strict=True):
        kept = [token for token in row[valid].tolist() if token not in (IMAGE, AUDIO)]
        assert kept == text[: len(kept)]
        assert int(valid.sum()) <= max_length

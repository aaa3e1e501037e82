"""The audio tower apart from the reference: masks, chunks drawn for training, padding, short sounds, gradients."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.tiny_audio import TINY, VARIANTS, build
from vita.errors import ConfigError, LimitError, MediaError
from vita.models.audio_layers import SelfAttention
from vita.models.audio_masks import chunk_mask, draw_chunks, valid_frames, visibility
from vita.models.audio_tower import AudioTower
from vita.models.configuration_audio import CHUNK_FRAMES_DRAWN, MIN_FRAMES, VitaAudioConfig

TOLERANCE = 1e-5
BINS, WIDTH = TINY["input_dim"], TINY["hidden_size"]


def batch(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random features, zero-padded, and their lengths."""
    torch.manual_seed(seed)
    features = torch.randn(len(lengths), max(lengths), BINS) * 2
    for row, length in enumerate(lengths):
        features[row, length:] = 0
    return features, torch.tensor(lengths)


@settings(deadline=None)
@given(num_frames=st.integers(1, 40), chunk_size=st.integers(1, 12), left_chunks=st.integers(-1, 5))
def test_chunk_mask_is_the_rule(num_frames: int, chunk_size: int, left_chunks: int) -> None:
    mask = chunk_mask(num_frames, chunk_size, left_chunks)
    for i in range(num_frames):
        first = 0 if left_chunks < 0 else max((i // chunk_size - left_chunks) * chunk_size, 0)
        last = min((i // chunk_size + 1) * chunk_size, num_frames)
        assert mask[i].nonzero().flatten().tolist() == list(range(first, last))


def test_full_attention_without_padding_needs_no_mask() -> None:
    everything = torch.ones(2, 9, dtype=torch.bool)
    assert visibility(everything, -1, -1) is None
    assert visibility(everything, 9, 0) is None
    assert visibility(everything, 3, 1).shape == (1, 1, 9, 9)
    padded = valid_frames(torch.tensor([9, 4]), 9)
    assert visibility(padded, -1, -1).shape == (2, 1, 1, 9)
    assert visibility(padded, 3, 1).shape == (2, 1, 9, 9)


def test_chunks_drawn_for_training() -> None:
    torch.manual_seed(1)
    drawn = [draw_chunks(50) for _ in range(2000)]
    torch.manual_seed(1)
    assert drawn == [draw_chunks(50) for _ in range(2000)]
    full = sum(chunks == (-1, -1) for chunks in drawn)
    assert 0.45 < full / len(drawn) < 0.55
    sizes = {size for size, _ in drawn if size > 0}
    assert sizes == set(range(1, CHUNK_FRAMES_DRAWN + 1))
    assert {-1, 0, 1} <= {left for size, left in drawn if size > 0}
    assert all(draw_chunks(1) for _ in range(50)), "a clip of one frame draws chunks too"


def test_dynamic_chunks_only_in_training() -> None:
    """The reference draws in evaluation too; we use the configured chunks there."""
    features, lengths = batch([90, 60])
    no_dropout = {"dropout": 0.0, "positional_dropout": 0.0, "position": "rotary"}
    tower = build(AudioTower, chunk_size=4, left_chunks=1, dynamic_chunks=True, **no_dropout)
    static = build(AudioTower, chunk_size=4, left_chunks=1, **no_dropout)
    expected, _ = static(features, lengths)
    for _ in range(5):
        torch.testing.assert_close(tower(features, lengths)[0], expected, atol=0, rtol=0)
    tower.train()
    drawn = [tower(features, lengths)[0] for _ in range(8)]
    assert max((one - drawn[0]).abs().max() for one in drawn) > 1e-3
    named, _ = tower(features, lengths, chunk_size=4, left_chunks=1)
    torch.testing.assert_close(named, expected, atol=TOLERANCE, rtol=0)
    static.train()
    torch.testing.assert_close(static(features, lengths)[0], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("chunks", [(-1, -1), (3, 1), (4, -1)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_batch_equals_single_on_valid_frames(variant: str, chunks: tuple[int, int]) -> None:
    tower = build(AudioTower, chunk_size=chunks[0], left_chunks=chunks[1], **VARIANTS[variant])
    lengths = [97, 7, 3, 41, 64, 1]
    features, lengths_B = batch(lengths)
    with torch.no_grad():
        hidden, mask = tower(features, lengths_B)
        for row, length in enumerate(lengths):
            alone, alone_mask = tower(features[row : row + 1, :length], lengths_B[row : row + 1])
            assert alone_mask.all()
            assert mask[row].sum() == alone.shape[1] == tower.config.num_encoder_frames(length)
            torch.testing.assert_close(hidden[row, mask[row]], alone[0], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("position", ["abs", "rel", "rotary"])
def test_frames_that_see_nothing_give_numbers_and_gradients(position: str) -> None:
    """Padded frames whose chunks hold no valid frame: a softmax over nothing."""
    tower = build(AudioTower, position=position, chunk_size=2, left_chunks=0)
    hidden, mask = tower(*batch([120, 8]))
    assert not mask[1, 1:].any()
    assert torch.isfinite(hidden).all()
    hidden.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in tower.parameters())


@pytest.mark.parametrize("position", ["abs", "rel", "rotary"])
def test_attention_of_a_frame_that_sees_nothing_is_zero(position: str) -> None:
    config = VitaAudioConfig(**TINY | {"position": position})
    tower, attention = AudioTower(config), SelfAttention(config)
    visible = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    visible[0, 0, 2] = False
    x = torch.randn(1, 5, WIDTH)
    out, _ = attention(x, tower.positions(0, 5, x.device), visible)
    torch.testing.assert_close(out[0, 2], attention.out_proj.bias)
    assert (out[0, 1] - attention.out_proj.bias).abs().max() > 1e-3


def test_relative_attention_is_the_formula() -> None:
    """softmax(((q + u) k + (q + v) p) / sqrt(K)) v, written without fused attention."""
    config = VitaAudioConfig(**TINY | {"position": "rel"})
    torch.manual_seed(0)
    tower, attention = AudioTower(config), SelfAttention(config)
    x, heads = torch.randn(2, 11, WIDTH), (config.num_attention_heads, config.head_dim)
    positions = tower.positions(0, 11, x.device)
    q, k, v = (proj(x).unflatten(-1, heads) for proj in (attention.q_proj, attention.k_proj, attention.v_proj))
    p = attention.position_proj(positions).unflatten(-1, heads)
    content = torch.einsum("blhk,bshk->bhls", q + attention.content_bias, k)
    place = torch.einsum("blhk,shk->bhls", q + attention.position_bias, p)
    weights = ((content + place) / math.sqrt(config.head_dim)).softmax(-1)
    expected = attention.out_proj(torch.einsum("bhls,bshk->blhk", weights, v).flatten(2))
    torch.testing.assert_close(attention(x, positions, None)[0], expected, atol=TOLERANCE, rtol=0)


def test_rotary_attention_depends_on_distances_only() -> None:
    config = VitaAudioConfig(**TINY | {"position": "rotary"})
    tower, attention = AudioTower(config), SelfAttention(config)
    x = torch.randn(1, 9, WIDTH)
    here, _ = attention(x, tower.positions(0, 9, x.device), None)
    there, _ = attention(x, tower.positions(500, 9, x.device), None)
    nowhere, _ = attention(x, tower.positions(0, 9, x.device) * 0 + torch.tensor([1.0, 0.0])[:, None, None], None)
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)
    assert (here - nowhere).abs().max() > 1e-3, "positions matter"


@pytest.mark.parametrize("frames", range(1, MIN_FRAMES))
def test_sounds_under_seven_frames_are_lengthened_by_the_mean(frames: int) -> None:
    tower = build(AudioTower, position="rotary")
    features, lengths = batch([frames])
    hidden, mask = tower(features, lengths)
    mean = tower.cmvn.mean.expand(1, MIN_FRAMES - frames, BINS)
    expected, _ = tower(torch.cat([features, mean], dim=1), torch.tensor([MIN_FRAMES]))
    assert hidden.shape == (1, 1, WIDTH)
    assert mask.all()
    torch.testing.assert_close(hidden, expected, atol=TOLERANCE, rtol=0)


def test_lengths_that_cannot_be_are_media_errors() -> None:
    tower = build(AudioTower)
    with pytest.raises(MediaError, match="no feature frames"):
        tower(torch.zeros(2, 9, BINS), torch.tensor([9, 0]))
    with pytest.raises(MediaError, match="longer than its features"):
        tower(torch.zeros(2, 9, BINS), torch.tensor([9, 10]))


@pytest.mark.parametrize(("position", "limit"), [("abs", 1499), ("rel", 5000), ("rotary", None)])
def test_longest_sound(position: str, limit: int | None) -> None:
    assert VitaAudioConfig(position=position).max_positions == limit
    tower = build(AudioTower, position=position, max_positions=5)
    tower(*batch([23]))
    with pytest.raises(LimitError, match="longer than the audio tower can place"):
        tower(*batch([27]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_gets_a_gradient(variant: str) -> None:
    tower = build(AudioTower, dynamic_chunks=True, chunk_size=4, **VARIANTS[variant]).train()
    features, lengths = batch([80, 50])
    with torch.autocast("cpu", torch.bfloat16):
        hidden, mask = tower(features, lengths, chunk_size=4, left_chunks=1)
    (hidden.float()[mask] * torch.randn(int(mask.sum()), WIDTH)).sum().backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        # a key's own bias shifts all scores of a row alike: softmax takes it out, and its gradient with it
        assert name.endswith("k_proj.bias") or parameter.grad.abs().max() > 0, name


def test_it_learns_under_bfloat16() -> None:
    """Which of four tones is played when: falls well below chance within a few steps."""
    torch.manual_seed(0)
    options = {"position": "rotary", "chunk_size": 4, "dynamic_chunks": True, "dropout": 0.0, "positional_dropout": 0.0}
    tower = AudioTower(VitaAudioConfig(**TINY | options)).train()
    head = torch.nn.Linear(WIDTH, 4)
    optimizer = torch.optim.AdamW([*tower.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(30):
        tone = torch.randint(0, 4, (8, 16))
        played = torch.nn.functional.one_hot(tone, 4).repeat_interleave(BINS // 4, 2).repeat_interleave(4, 1)
        features = torch.randn(8, 67, BINS) * 0.3
        features[:, :64] += 2.0 * played
        with torch.autocast("cpu", torch.bfloat16):
            logits = head(tower(features, torch.full((8,), 67))[0])
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tone.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 1.0
    assert losses[-1] < 0.3 * losses[0]


def test_bfloat16_weights() -> None:
    tower = build(AudioTower, position="rel", chunk_size=3)
    features, lengths = batch([60, 30])
    expected, mask = tower(features, lengths)
    hidden, _ = tower.to(torch.bfloat16)(features, lengths)
    assert hidden.dtype == torch.bfloat16
    assert (hidden.float() - expected)[mask].abs().mean() < 0.05


@settings(deadline=None, max_examples=20)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4))
def test_frame_counts_are_known_before_encoding(lengths: list[int]) -> None:
    tower = build(AudioTower, position="rotary", num_hidden_layers=1)
    _, mask = tower(*batch(lengths))
    assert mask.sum(1).tolist() == [tower.config.num_encoder_frames(length) for length in lengths]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"position": "sideways"}, "audio position unknown"),
        ({"feed_forward": "conv"}, "audio feed_forward unknown"),
        ({"connector_type": "mlp"}, "audio connector_type unknown"),
        ({"connector_num_convs": 3}, "audio connector_num_convs unknown"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "multiple of num_attention_heads"),
        ({"hidden_size": 36, "num_attention_heads": 4, "position": "rotary"}, "even head size"),
        ({"chunk_size": 0}, "chunk_size out of range"),
        ({"left_chunks": -2}, "left_chunks out of range"),
        ({"connector_type": "ctc"}, "ctc_vocab_size"),
        ({"connector_kernel_size": 1}, "smaller than its stride"),
        ({"input_dim": 6}, "input_dim too small"),
        ({"num_hidden_layers": 0}, "num_hidden_layers too small"),
    ],
)
def test_bad_configurations(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        VitaAudioConfig(**options)


def test_configuration_survives_saving(tmp_path: Path) -> None:
    config = VitaAudioConfig(**TINY | {"position": "rotary", "connector_type": "ctc", "dropout": 0, "chunk_size": 8})
    config.save_pretrained(tmp_path)
    loaded = VitaAudioConfig.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in TINY} == TINY
    assert (loaded.position, loaded.chunk_size, loaded.streamable, loaded.max_positions) == ("rotary", 8, True, None)

"""A sound fed piece by piece gives the numbers of the whole sound under the same chunk mask."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.tiny_audio import CONNECTORS, TINY, VARIANTS, build
from vita.errors import ConfigError
from vita.models.audio_connector import AudioConnector
from vita.models.audio_stream import AudioStream, WholeAudio, open_audio_stream
from vita.models.audio_tower import AudioTower
from vita.models.filterbank import mel_features, num_frames

TOLERANCE = 1e-5


def pieces(total: int, sizes: list[int]) -> list[int]:
    """Push sizes that sum to `total`: those given, then the rest."""
    taken = []
    for size in sizes:
        taken.append(min(size, total - sum(taken)))
    return [*taken, total - sum(taken)]


@functools.cache
def streamable(variant: str) -> AudioTower:
    """One tower a variant, for all examples; every call names its own chunks."""
    return build(AudioTower, chunk_size=4, **VARIANTS[variant])


@functools.cache
def connector_of(connector: str, kernel_size: int) -> AudioConnector:
    """One connector a type and kernel, for all examples."""
    return build(AudioConnector, **CONNECTORS[connector] | {"connector_kernel_size": kernel_size})


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=10, deadline=None)
@given(
    total=st.integers(1, 130),
    chunk_size=st.integers(1, 9),
    left_chunks=st.integers(-1, 3),
    sizes=st.lists(st.integers(0, 40), max_size=8),
)
def test_tower_stream_equals_batch(
    variant: str, total: int, chunk_size: int, left_chunks: int, sizes: list[int]
) -> None:
    tower, chunks = streamable(variant), {"chunk_size": chunk_size, "left_chunks": left_chunks}
    features_TF = torch.randn(total, TINY["input_dim"]) * 3
    state = tower.new_stream(**chunks)
    outputs, start = [], 0
    for size in pieces(total, sizes):
        outputs.append(tower.push(state, features_TF[start : start + size]))
        start += size
        assert sum(map(len, outputs)) % chunk_size == 0, "only whole chunks come before the end"
    streamed = torch.cat([*outputs, tower.finish(state)])
    with torch.no_grad():
        batch, mask = tower(features_TF[None], torch.tensor([total]), **chunks)
    assert streamed.shape == batch[0].shape
    assert mask.all()
    torch.testing.assert_close(streamed, batch[0], atol=TOLERANCE, rtol=0)
    if left_chunks >= 0:
        kept = {past.attention.keys.shape[2] for past in state.past}
        assert max(kept) <= left_chunks * chunk_size


def test_stream_encodes_at_the_first_complete_chunk() -> None:
    """Latency: chunk c is out as soon as its last frame's 7 mel frames are in, not later."""
    tower = build(AudioTower, chunk_size=4, position="rotary")
    state = tower.new_stream()
    given_out = [len(tower.push(state, torch.randn(1, TINY["input_dim"]))) for _ in range(60)]
    expected = [4 if frames >= 19 and (frames - 19) % 16 == 0 else 0 for frames in range(1, 61)]
    assert given_out == expected


def test_memory_of_a_limited_stream_does_not_grow() -> None:
    tower = build(AudioTower, chunk_size=3, left_chunks=2, position="rel", feed_forward="conv1d-linear")
    state, sizes = tower.new_stream(), []
    for _ in range(12):
        tower.push(state, torch.randn(24, TINY["input_dim"]))
        tensors = [state.features, state.waiting]
        for past in state.past:
            tensors += [past.attention.keys, past.attention.values, past.attention.bias, past.feed_forward]
        sizes.append(sum(tensor.numel() for tensor in tensors))
    assert max(sizes[4:]) <= max(sizes[:4])


@pytest.mark.parametrize("connector", CONNECTORS)
@settings(max_examples=10, deadline=None)
@given(total=st.integers(1, 40), kernel_size=st.integers(2, 6), sizes=st.lists(st.integers(0, 9), max_size=8))
def test_connector_stream_equals_batch(connector: str, total: int, kernel_size: int, sizes: list[int]) -> None:
    module = connector_of(connector, kernel_size)
    hidden_LD = torch.randn(total, TINY["hidden_size"])
    state, tokens, start = module.new_stream(), [], 0
    for size in pieces(total, sizes):
        tokens.append(module.push(state, hidden_LD[start : start + size]))
        start += size
    tokens.append(module.finish(state, hidden_LD[start:]))
    with torch.no_grad():
        batch, _ = module(hidden_LD[None], torch.ones(1, total, dtype=torch.bool))
    torch.testing.assert_close(torch.cat(tokens), batch[0], atol=TOLERANCE, rtol=0)


def test_ctc_tokens_come_with_their_chunk() -> None:
    """With chunks of even size the ctc connector adds no delay: a chunk of C frames gives C/2 tokens at once."""
    module = build(AudioConnector, connector_type="ctc")
    state = module.new_stream()
    assert [len(module.push(state, torch.randn(4, TINY["hidden_size"]))) for _ in range(5)] == [2] * 5


@settings(max_examples=10, deadline=None)
@given(
    num_samples=st.integers(1, 24000),
    sizes=st.lists(st.integers(0, 6000), max_size=6),
    chunk_size=st.sampled_from([4, -1]),
)
def test_samples_to_tokens_stream_equals_batch(num_samples: int, sizes: list[int], chunk_size: int) -> None:
    options = {"input_dim": 80, "chunk_size": chunk_size, "left_chunks": 2, "position": "rotary"}
    tower, connector = build(AudioTower, **options), build(AudioConnector, connector_type="ctc", **options)
    samples = np.random.default_rng(num_samples).normal(0, 0.1, num_samples).astype(np.float32)
    stream, tokens, start = open_audio_stream(tower, connector), [], 0
    assert isinstance(stream, AudioStream if chunk_size > 0 else WholeAudio)
    for size in pieces(num_samples, sizes):
        tokens.append(stream.push(samples[start : start + size]))
        start += size
        stream.rest()  # changes nothing
    streamed = torch.cat([*tokens, stream.rest()])
    if not num_frames(num_samples):
        assert streamed.shape == (0, TINY["output_dim"])
        return
    features = torch.from_numpy(mel_features(samples))
    with torch.no_grad():
        batch, _ = connector(*tower(features[None], torch.tensor([len(features)])))
    assert len(streamed) == tower.config.num_audio_tokens(num_frames(num_samples))
    torch.testing.assert_close(streamed, batch[0], atol=TOLERANCE, rtol=0)


def test_full_attention_cannot_be_streamed() -> None:
    tower = build(AudioTower, chunk_size=-1)
    assert not tower.config.streamable
    with pytest.raises(ConfigError, match="full attention cannot be streamed"):
        tower.new_stream()
    assert tower.new_stream(chunk_size=4).chunk_size == 4


def test_training_mode_and_finished_streams_are_refused() -> None:
    tower, connector = build(AudioTower, chunk_size=4), build(AudioConnector)
    with pytest.raises(ConfigError, match="training mode"):
        build(AudioTower, chunk_size=4).train().new_stream()
    state, other = tower.new_stream(), connector.new_stream()
    tower.finish(state)
    connector.finish(other, torch.zeros(0, TINY["hidden_size"]))
    with pytest.raises(ConfigError, match="finished"):
        tower.push(state, torch.zeros(3, TINY["input_dim"]))
    with pytest.raises(ConfigError, match="finished"):
        connector.push(other, torch.zeros(3, TINY["hidden_size"]))


def test_two_streams_of_one_tower_do_not_meet() -> None:
    tower = build(AudioTower, chunk_size=2, position="rotary")
    first, second = torch.randn(2, 50, TINY["input_dim"])
    alone = tower.new_stream()
    expected = tower.push(alone, first)
    one, two = tower.new_stream(), tower.new_stream()
    mixed = []
    for start in range(0, 50, 10):
        mixed.append(tower.push(one, first[start : start + 10]))
        tower.push(two, second[start : start + 10])
    torch.testing.assert_close(torch.cat(mixed), expected, atol=TOLERANCE, rtol=0)

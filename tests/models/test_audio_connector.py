"""Audio connectors apart from the reference: lengths, padding, the ctc connector's posterior."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.tiny_audio import CONNECTORS, TINY, build
from vita.models.audio_connector import AudioConnector
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.posterior import PosteriorProjection

TOLERANCE = 1e-5
WIDTH, OUTPUT, VOCABULARY = TINY["hidden_size"], TINY["output_dim"], TINY["ctc_vocab_size"]


def padded(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Random encoder frames, also where there is padding, and their mask."""
    torch.manual_seed(0)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), max(lengths), WIDTH), mask


@pytest.mark.parametrize("connector", CONNECTORS)
def test_lengths_and_mask(connector: str) -> None:
    module = build(AudioConnector, **CONNECTORS[connector])
    lengths = [11, 4, 1]
    tokens, mask = module(*padded(lengths))
    stride = module.config.token_stride
    assert tokens.shape == (3, -(-11 // stride), OUTPUT)
    assert mask.sum(1).tolist() == [-(-length // stride) for length in lengths]
    hidden, hidden_mask = module.hidden(*padded(lengths))
    assert torch.equal(hidden_mask, mask)
    torch.testing.assert_close(module.projection(hidden), tokens)


@pytest.mark.parametrize("connector", [name for name in CONNECTORS if name != "two_convs"])
def test_padding_does_not_reach_the_tokens(connector: str) -> None:
    """But in VITA-1.0's connector of two convolutions, whose second looks ahead at what the first made of padding."""
    module = build(AudioConnector, **CONNECTORS[connector])
    lengths = [11, 6, 3]
    hidden, mask = padded(lengths)
    tokens, token_mask = module(hidden, mask)
    for row, length in enumerate(lengths):
        alone, _ = module(hidden[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(tokens[row, token_mask[row]], alone[0], atol=TOLERANCE, rtol=0)


def test_every_frame_reaches_a_token_of_the_ctc_connector() -> None:
    module = build(AudioConnector, connector_type="ctc")
    for length in (1, 2, 7, 8):
        hidden = torch.randn(1, length, WIDTH, requires_grad=True)
        module(hidden, torch.ones(1, length, dtype=torch.bool))[0].sum().backward()
        assert (hidden.grad.abs().sum(-1) > 0).all()


def test_two_convolutions_ignore_norm_and_activation() -> None:
    """As in the reference, whose options do not reach this connector."""
    options = {"connector_type": "subsampling", "connector_num_convs": 2}
    plain = build(AudioConnector, **options)
    other = build(AudioConnector, **options, connector_norm="layer", connector_activation="gelu")
    other.load_state_dict(plain.state_dict(), strict=True)
    hidden, mask = padded([9])
    torch.testing.assert_close(plain(hidden, mask)[0], other(hidden, mask)[0], atol=0, rtol=0)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_every_weight_gets_a_gradient(connector: str) -> None:
    module = build(AudioConnector, **CONNECTORS[connector]).train()
    with torch.autocast("cpu", torch.bfloat16):
        tokens, mask = module(*padded([12, 9]))
    (tokens.float()[mask] * torch.randn(int(mask.sum()), OUTPUT)).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_ctc_tokens_are_the_expected_embedding() -> None:
    """A certain posterior gives a row of the table; the blank is the last symbol; the residual starts at zero."""
    projection = build(AudioConnector, connector_type="ctc").projection
    assert projection.table.shape == (VOCABULARY + 1, OUTPUT)
    certain = torch.eye(VOCABULARY + 1)
    torch.testing.assert_close(projection.embed(certain), projection.table)
    hidden = torch.randn(2, 5, WIDTH)
    assert projection.logits(hidden).shape == (2, 5, VOCABULARY + 1)
    expected = projection.logits(hidden).softmax(-1) @ projection.table
    torch.testing.assert_close(projection(hidden), expected)
    torch.nn.init.ones_(projection.residual.bias)
    torch.testing.assert_close(projection(hidden), expected + 1)


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_posterior_sums_to_one_within_each_group(sizes: list[int]) -> None:
    projection = PosteriorProjection(8, sizes, 6, residual=False)
    posterior = projection.posterior(projection.logits(torch.randn(3, 8)))
    for group in posterior.split(sizes, dim=-1):
        torch.testing.assert_close(group.sum(-1), torch.ones(3))
    assert projection(torch.randn(2, 3, 8)).shape == (2, 3, 6)


def test_posterior_is_float32_under_autocast() -> None:
    projection = PosteriorProjection(8, [300], 6)
    with torch.autocast("cpu", torch.bfloat16):
        posterior = projection.posterior(projection.logits(torch.randn(4, 8)))
    assert posterior.dtype == torch.float32
    torch.testing.assert_close(posterior.sum(-1), torch.ones(4))


def test_parameters_can_be_reset() -> None:
    """What a parent model's initialisation calls."""
    projection = PosteriorProjection(8, [3, 4], 6)
    for parameter in projection.parameters():
        torch.nn.init.constant_(parameter, 7.0)
    projection.reset_parameters()
    assert 0.005 < projection.table.std() < 0.05
    assert not projection.residual.weight.any()
    assert projection.head.weight.abs().max() < 1


@settings(deadline=None)
@given(num_frames=st.integers(1, 400), kind=st.sampled_from(["cnn", "linear", "subsampling", "ctc"]))
def test_token_counts(num_frames: int, kind: str) -> None:
    config = VitaAudioConfig(connector_type=kind, ctc_vocab_size=3)
    frames = config.num_encoder_frames(num_frames)
    assert config.num_audio_tokens(num_frames) == (frames if kind in ("cnn", "linear") else (frames + 1) // 2)

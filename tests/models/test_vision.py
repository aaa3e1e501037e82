"""The vision encoder and the mlp connector."""

from __future__ import annotations

import pytest
import torch
from transformers import InternVLVisionConfig

from tests.models.tiny_vita import tiny_config
from vita.errors import ConfigError, MediaError
from vita.models.vision_connector import MlpConnector, build_vision_connector, pixel_shuffle
from vita.models.vision_tower import VisionTower


def tower(**options: object) -> VisionTower:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    return VisionTower(InternVLVisionConfig(**{**sizes, "image_size": 56, **options})).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("use_qk_norm", [False, True])
@torch.no_grad()
def test_features_are_the_last_layer_without_class_token(norm: str, use_qk_norm: bool) -> None:
    encoder = tower(norm_type=norm, use_qk_norm=use_qk_norm, layer_norm_eps=1e-3)
    pixels = torch.randn(3, 3, 56, 56)
    features = encoder(pixels)
    hidden = encoder.encoder.embeddings(pixels)
    for layer in encoder.encoder.encoder.layer:
        hidden = layer(hidden)
    torch.testing.assert_close(features, hidden[:, 1:])
    if use_qk_norm:
        norms = [layer.attention.q_norm for layer in encoder.encoder.encoder.layer]
        norms += [layer.attention.k_norm for layer in encoder.encoder.encoder.layer]
        assert {norm.variance_epsilon for norm in norms} == {1e-3}


@torch.no_grad()
def test_position_table_is_interpolated_for_other_sizes() -> None:
    encoder = tower()
    table = encoder.encoder.embeddings.position_embeddings
    torch.nn.init.normal_(table)
    larger = encoder(torch.zeros(1, 3, 84, 84))
    assert larger.shape == (1, 36, 16)
    grid = table[:, 1:].reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(grid, (6, 6), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 36, 16)
    embeddings = encoder.encoder.embeddings(torch.zeros(1, 3, 84, 84))[:, 1:]
    bias = encoder.encoder.embeddings.patch_embeddings.projection.bias
    torch.testing.assert_close(embeddings - bias, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 56, 42), (1, 3, 50, 50), (3, 56, 56), (1, 1, 3, 56, 56)])
def test_pixels_that_are_no_tiles(shape: tuple[int, ...]) -> None:
    with pytest.raises(MediaError, match="multiple of 14"):
        tower()(torch.zeros(shape))


def test_an_encoder_that_ends_in_a_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="use_mean_pooling"):
        tower(use_mean_pooling=False)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_pixel_shuffle_joins_neighbours(block: int) -> None:
    edge, width = 6, 2
    patches = torch.randn(2, edge * edge, width)
    joined = pixel_shuffle(patches, block)
    grid, index = patches.reshape(2, edge, edge, width), 0
    for top in range(0, edge, block):
        for left in range(0, edge, block):
            square = grid[:, top : top + block, left : left + block]
            assert torch.equal(joined[:, index], square.reshape(2, -1))
            index += 1
    assert index == joined.shape[1]


@pytest.mark.parametrize(("num_patches", "block"), [(12, 2), (25, 2), (16, 3)])
def test_patches_that_cannot_be_joined(num_patches: int, block: int) -> None:
    with pytest.raises(MediaError, match=f"{num_patches} patches"):
        pixel_shuffle(torch.zeros(1, num_patches, 4), block)


@torch.no_grad()
def test_mlp_connector() -> None:
    config = tiny_config(vision_feature_scale=0.25)
    connector = build_vision_connector(config)
    assert isinstance(connector, MlpConnector)
    patches = torch.randn(2, 16, 16)
    tokens = connector(patches)
    assert tokens.shape == (2, config.num_image_tokens, config.text_config.hidden_size)
    first, second = connector.input_projection, connector.output_projection
    joined = pixel_shuffle(patches, 2) * 0.25
    torch.testing.assert_close(tokens, second(torch.nn.functional.gelu(first(joined))))
    torch.testing.assert_close(connector(patches, 3), tokens[:, :3])


@pytest.mark.parametrize(("hidden_sizes", "downsample_first", "patch"), [([8, 12], False, 8), ([8, 12, 16], True, 32)])
@torch.no_grad()
def test_resnet_gives_its_last_feature_map_row_by_row(
    hidden_sizes: list[int], downsample_first: bool, patch: int
) -> None:
    sizes = {"embedding_size": 8, "hidden_sizes": hidden_sizes, "depths": [1] * len(hidden_sizes)}
    given = {"model_type": "resnet", "layer_type": "basic", "downsample_in_first_stage": downsample_first, **sizes}
    config = tiny_config(vision_config=given, tile_size=4 * patch)
    assert (config.patch_size, config.vision_width, config.num_image_tokens) == (patch, hidden_sizes[-1], 4)
    encoder = VisionTower(config.vision_config, config.patch_size).eval()
    pixels = torch.randn(2, 3, 4 * patch, 4 * patch)
    feature_map = encoder.encoder(pixels).last_hidden_state
    assert feature_map.shape == (2, hidden_sizes[-1], 4, 4)
    torch.testing.assert_close(encoder(pixels), feature_map.flatten(2).transpose(1, 2))
    assert MlpConnector(config)(encoder(pixels)).shape == (2, 4, 32)
    with pytest.raises(MediaError, match=f"multiple of {patch}"):
        encoder(pixels[..., 1:, 1:])
    with pytest.raises(ConfigError, match="patch_size"):
        VisionTower(config.vision_config)

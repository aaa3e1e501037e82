"""SlotsConnector: few tokens, the first ones the same however many are asked for."""

from __future__ import annotations

import pytest
import torch

from vita.models.configuration_vita import VitaConfig
from vita.models.slots import SlotsConnector, attend, grid_positions
from vita.models.vision_connector import build_vision_connector

GROUPS = [3, 4, 2]


def make(**connector: object) -> SlotsConnector:
    config = VitaConfig(
        text_config={
            "model_type": "llama", "hidden_size": 20, "intermediate_size": 24, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 50,
        },
        vision_config={
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
            "image_size": 56, "patch_size": 14, "attention_bias": True,
        },
        audio_config={
            "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1,
            "subsampling_dim": 8, "output_dim": 20,
        },
        vision_connector={"type": "slots", "num_slots": 6, "frame_slots": 2, "group_sizes": GROUPS, **connector},
    )  # fmt: skip
    torch.manual_seed(0)
    made = build_vision_connector(config)
    assert isinstance(made, SlotsConnector)
    return made.eval()


def patches(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("patch_layers", [0, 2])
def test_tokens_have_the_width_of_the_language_model(patch_layers: int) -> None:
    made = make(num_patch_layers=patch_layers)
    assert (len(made.patch_layers), len(made.layers)) == (patch_layers, 2)
    assert made(patches(3)).shape == (3, 6, 20)
    assert made.hidden(patches(3)).shape == (3, 6, 16)
    assert made.place(patches(3)).shape == (3, 16, 16)


@torch.inference_mode()
@pytest.mark.parametrize("num_tokens", [1, 2, 5, 6])
def test_the_first_tokens_are_the_same_however_many_are_asked_for(num_tokens: int) -> None:
    made, given = make(), patches()
    torch.testing.assert_close(made(given, num_tokens), made(given)[:, :num_tokens], atol=1e-5, rtol=1e-5)


def test_a_slot_depends_on_itself_and_the_slots_before() -> None:
    made, given = make(), patches(1)
    before = made.hidden(given)
    with torch.no_grad():
        made.queries[3] += torch.randn(16, generator=torch.Generator().manual_seed(5))
    after = made.hidden(given)
    changed = (after - before).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [False, False, False, True, True, True]


@torch.inference_mode()
def test_hidden_is_what_the_slots_read_in_placed_patches() -> None:
    made, given = make(num_patch_layers=1), patches()
    torch.testing.assert_close(made.hidden(given), made.read(made.place(given)))
    torch.testing.assert_close(made(given), made.projection(made.hidden(given)))


@torch.inference_mode()
def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    made, given = make(num_patch_layers=1), patches(3)
    torch.testing.assert_close(made(given)[1:2], made(given[1:2]), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_tokens_depend_on_where_a_patch_is() -> None:
    made, given = make(), patches(1)
    assert (made(given) - made(given.flip(1))).abs().max() > 1e-3


@torch.inference_mode()
def test_tokens_are_expectations_of_the_table() -> None:
    made = make()
    made.projection.head.weight.zero_()
    made.projection.head.bias.copy_(torch.tensor([0, 50, 0, 50, 0, 0, 0, 0, 50.0]))
    wanted = made.projection.table[[1, 3, 8]].sum(0)
    torch.testing.assert_close(made(patches(1))[0], wanted.expand(6, -1), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_tiles_of_another_size_have_positions_between_those_of_the_table() -> None:
    made = make()
    rows = torch.arange(4.0)[:, None, None].expand(4, 4, 16)
    made.positions.copy_(rows.reshape(16, 16))
    nine = made._positions_of(9).reshape(3, 3, 16)
    torch.testing.assert_close(nine, nine[:, :1, :1].expand(3, 3, 16))
    assert nine[:, 0, 0].tolist() == pytest.approx([0.15, 1.5, 2.85], abs=0.1)
    assert made._positions_of(16) is made.positions
    assert made(torch.randn(2, 9, 16)).shape == (2, 6, 20)


def test_every_weight_but_the_last_residual_learns_from_the_first_step_on() -> None:
    made = make(num_patch_layers=1)
    made(patches()).square().sum().backward()
    silent = [name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_positions_tell_all_places_apart_and_near_ones_less() -> None:
    table = grid_positions(14, 192)
    assert table.shape == (196, 192)
    assert table.abs().max() <= 1
    distance = torch.cdist(table, table)
    assert (distance + 100 * torch.eye(196)).min() > 0.5
    assert distance[0, 1] < distance[0, 5]
    assert distance[0, 14] < distance[0, 70]
    assert torch.equal(make().positions, grid_positions(4, 16))


def test_a_connector_without_storage_waits_for_its_checkpoint() -> None:
    with torch.device("meta"):
        made = make()
    assert made.positions.is_meta
    made = made.to_empty(device="cpu")
    made.load_state_dict(make().state_dict())
    assert torch.equal(made(patches()), make()(patches()))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_torch(causal: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(2, 5, 12, generator=generator) for _ in range(3))
    split = [x.unflatten(-1, (3, 4)).transpose(1, 2) for x in (query, key, value)]
    wanted = torch.nn.functional.scaled_dot_product_attention(*split, is_causal=causal)
    torch.testing.assert_close(attend(query, key, value, 3, causal=causal), wanted.transpose(1, 2).flatten(2))

"""Training: the loss, what is computed for it, mixtures of experts, packing, gradient checkpointing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.models.tiny_vita import LANGUAGE_MODELS, VOCAB, media, prompt, tiny_model
from vita.errors import ConfigError
from vita.models.loss import causal_loss, label_positions
from vita.tokens import IGNORE_LABEL


def batch() -> dict[str, torch.Tensor]:
    """Two rows, right-padded, with a reply to learn in each, at other places."""
    rows = [prompt(1, "image", 7, 20, 21, 22, 2)[0], prompt(1, "audio:5", 8, 30, 2)[0]]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    labels = torch.full_like(ids, IGNORE_LABEL)
    labels[0, 6:10], labels[1, 7:9] = ids[0, 6:10], ids[1, 7:9]
    assert (labels[:, 1:] != IGNORE_LABEL).any(0).sum() == 4
    mask = torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])
    return {"input_ids": ids, "labels": labels, "attention_mask": mask, **media()}


def own_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORE_LABEL)


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: tensor.grad.clone() for name, tensor in model.named_parameters() if tensor.grad is not None}


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_loss_is_the_shifted_cross_entropy(name: str) -> None:
    model, given = tiny_model(name), batch()
    outputs = model(**given)
    assert outputs.logits.shape == (*given["labels"].shape, VOCAB)
    torch.testing.assert_close(outputs.loss, own_loss(outputs.logits, given["labels"]))


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_logits_at_labels_alone_give_the_same_loss_and_gradients(name: str) -> None:
    model, given = tiny_model(name), batch()
    asked: list[Any] = []
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0].shape[:-1].numel()))
    all_positions = model(**given)
    expected = gradients(model, all_positions.loss)
    at_labels = model(**given, skip_logits=True)
    assert at_labels.logits is None
    torch.testing.assert_close(at_labels.loss, all_positions.loss)
    found = gradients(model, at_labels.loss)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-4, atol=1e-6)
    assert asked == [given["labels"].numel(), 2 * 4]  # 4 positions carry a label in one row or the other


def test_training_skips_logits_and_evaluation_returns_them() -> None:
    model, given = tiny_model(), batch()
    assert model.train()(**given).logits is None
    assert model(**given, skip_logits=False).logits is not None
    assert model.eval()(**given).logits is not None


def test_gradients_reach_towers_connectors_and_language_model() -> None:
    model = tiny_model()
    found = gradients(model, model(**batch()).loss)
    for part in ("vision_tower", "vision_connector", "audio_tower", "audio_connector", "language_model"):
        assert any(name.startswith(part) and bool(tensor.any()) for name, tensor in found.items()), part


def test_an_unused_tile_joins_the_graph_with_gradient_zero() -> None:
    """Distributed training needs every rank to touch the same parameters."""
    model, given = tiny_model(), batch()
    text = {"input_ids": torch.tensor([[1, 5, 6, 2]]), "labels": torch.tensor([[IGNORE_LABEL, 5, 6, 2]])}
    counts = {"tile_token_counts": torch.tensor([0]), "audio_token_counts": torch.tensor([0])}
    unused = {name: given[name] for name in ("pixel_values", "audio_features", "audio_lengths")}
    alone, beside = model(**text), model(**text, **unused, **counts)
    torch.testing.assert_close(beside.loss, alone.loss)
    found = gradients(model, beside.loss)
    for part in ("vision_connector.input_projection.weight", "audio_connector.projection.weight"):
        assert not found[part].any()


@pytest.mark.parametrize("skip_logits", [True, False])
def test_balancing_loss_of_experts_is_added(skip_logits: bool) -> None:
    model, given = tiny_model("mixtral"), batch()
    plain = model(**given, skip_logits=skip_logits)
    routed = model(**given, skip_logits=skip_logits, output_router_logits=True)
    assert getattr(plain, "aux_loss", None) is None
    coefficient = LANGUAGE_MODELS["mixtral"]["router_aux_loss_coef"]
    torch.testing.assert_close(routed.loss, plain.loss + coefficient * routed.aux_loss)
    assert len(routed.router_logits) == 2
    model.config.text_config.output_router_logits = True
    torch.testing.assert_close(model(**given, skip_logits=skip_logits).loss, routed.loss)


def test_loss_can_be_divided_by_the_labels_of_several_steps() -> None:
    model, given = tiny_model(), batch()
    num_labels = int((given["labels"][:, 1:] != IGNORE_LABEL).sum())
    once = model(**given).loss
    torch.testing.assert_close(model(**given, num_items_in_batch=3 * num_labels).loss, once / 3)


@pytest.mark.parametrize("skip_logits", [True, False])
def test_nothing_to_learn_is_a_loss_of_zero(skip_logits: bool) -> None:
    model, given = tiny_model(), batch()
    given["labels"] = torch.full_like(given["labels"], IGNORE_LABEL)
    loss = model(**given, skip_logits=skip_logits).loss
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in gradients(model, loss).values())


def test_positions_with_a_label_in_any_row() -> None:
    labels = torch.tensor([[-100, 3, -100, -100, 4], [9, -100, 5, -100, -100]])
    keep, targets = label_positions(labels)
    assert keep.tolist() == [0, 1, 3]
    assert targets.tolist() == [[3, -100, 4], [-100, 5, -100]]
    keep, targets = label_positions(torch.tensor([[7]]))
    assert keep.tolist() == [0]
    assert targets.tolist() == [[IGNORE_LABEL]]


def test_loss_is_computed_in_float32() -> None:
    logits = torch.randn(1, 3, 50).bfloat16()
    loss = causal_loss(logits, torch.tensor([[4, IGNORE_LABEL, 6]]))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, F.cross_entropy(logits[0, [0, 2]].float(), torch.tensor([4, 6])))


def test_labels_and_logits_to_keep_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="skip_logits"):
        tiny_model()(**batch(), logits_to_keep=1)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@torch.no_grad()
def test_packed_samples_do_not_see_each_other(name: str) -> None:
    """Samples in one row, told apart by position ids that start anew."""
    model, given = tiny_model(name), media(num_tiles=2, num_frames=())
    one, two = prompt(1, 5, "image", 6, 7), prompt(1, "image", 9)
    positions = torch.cat([torch.arange(one.shape[1]), torch.arange(two.shape[1])])[None]
    packed = model(input_ids=torch.cat([one, two], dim=1), position_ids=positions, use_cache=False, **given).logits
    tiles = given["pixel_values"]
    apart = [model(input_ids=ids, pixel_values=tile[None]).logits for ids, tile in zip((one, two), tiles, strict=True)]
    torch.testing.assert_close(packed, torch.cat(apart, dim=1), rtol=0.0, atol=1e-5)


def test_gradient_checkpointing_changes_nothing() -> None:
    model, given = tiny_model("mixtral"), batch()
    model.train()
    expected = gradients(model, model(**given).loss)
    enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
    enable()
    layers = [*model.language_model.model.layers, *model.vision_tower.encoder.encoder.layer]
    assert all(layer.gradient_checkpointing for layer in layers)
    found = gradients(model, model(**given).loss)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-4, atol=1e-6)

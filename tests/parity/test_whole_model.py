"""The whole model against the reference's numbers: features, embeddings, logits, greedy ids, losses, gradients.

The reference pads the clips of one call to the longest and leaves the padding in the sequence; here that is asked for
by `audio_token_counts`. `test_padding_of_other_clips_stays_out` says what we do instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vita.checkpoints import convert
from vita.checkpoints.loading import load_model
from vita.checkpoints.table import Table
from vita.errors import MediaError, PromptError
from vita.models.fusion import Expanded, expand_sentinels
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.tokens import AUDIO_SENTINEL, IMAGE_SENTINEL

FEATURES, LOGITS, LOSS, GRADIENT = 1e-4, 5e-4, 1e-4, 1e-3
Tensors = dict[str, torch.Tensor]
Record = Callable[..., None]


@pytest.fixture(scope="module")
def model(
    reference_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> VitaForConditionalGeneration:
    folder = tmp_path_factory.mktemp("whole_model") / "converted"
    convert(reference_file("whole_model"), folder)
    return load_model(folder).eval()


@pytest.fixture(scope="module")
def described(reference_file: Callable[[str], Path]) -> dict[str, Any]:
    return json.loads(reference_file("whole_model/cases.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stored(reference_file: Callable[[str], Path]) -> Tensors:
    return load_file(reference_file("whole_model/cases.safetensors"))


def expand(model: VitaForConditionalGeneration, given: Tensors, **options: Any) -> Expanded:
    """The reference's ids as ours, every clip at the padded length of the call."""
    config, (num_clips, num_frames) = model.config, given["audios"].shape[:2]
    return expand_sentinels(
        given["input_ids"],
        image_sizes=[config.num_image_tokens] * len(given["images"]),
        audio_sizes=[config.audio_config.num_audio_tokens(num_frames)] * num_clips,
        image_token_id=config.image_token_id,
        audio_token_id=config.audio_token_id,
        **options,
    )


def media(given: Tensors, expanded: Expanded) -> dict[str, torch.Tensor]:
    return {
        "pixel_values": given["images"],
        "tile_token_counts": expanded.tile_token_counts,
        "audio_features": given["audios"],
        "audio_lengths": given["audio_lengths"],
        "audio_token_counts": expanded.audio_token_counts,
    }


def of(stored: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}


def greatest(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return float((found - expected).abs().max())


@torch.no_grad()
def test_every_case(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors, record_difference: Record
) -> None:
    assert described["cases"]
    for name, case in described["cases"].items():
        given = of(stored, f"{name}.")
        images = model.get_image_features(given["images"])
        record_difference(f"{name}.image_features", greatest(images, given["image_features"]), FEATURES)
        audios, mask = model.get_audio_features(given["audios"], given["audio_lengths"])
        record_difference(f"{name}.audio_features", greatest(audios, given["audio_features"]), FEATURES)
        assert torch.equal(mask, given["audio_features_mask"]), name

        expanded = expand(model, given)
        inputs = media(given, expanded)
        assert expanded.input_ids.shape[1] == case["merged_len"], name
        if "inputs_embeds" in given:
            embeds = model.embed(expanded.input_ids, **inputs)
            record_difference(f"{name}.inputs_embeds", greatest(embeds, given["inputs_embeds"]), FEATURES)
        logits = model(input_ids=expanded.input_ids, **inputs).logits[:, -given["logits"].shape[1] :]
        record_difference(f"{name}.logits", greatest(logits, given["logits"]), LOGITS)
        kept = model(input_ids=expanded.input_ids, logits_to_keep=2, **inputs).logits
        record_difference(f"{name}.logits_to_keep", greatest(kept, logits[:, -2:]), LOGITS)


@torch.no_grad()
def test_greedy_ids_of_every_case(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors, record_difference: Record
) -> None:
    for name, case in described["cases"].items():
        given = of(stored, f"{name}.")
        expanded = expand(model, given)
        ids = expanded.input_ids
        generated = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=len(case["greedy_16"]),
            do_sample=False,
            eos_token_id=-1,
            return_dict_in_generate=True,
            output_logits=True,
            **media(given, expanded),
        )
        assert generated.sequences[0, ids.shape[1] :].tolist() == case["greedy_16"], name
        difference = greatest(generated.logits[-1][0], given["greedy_logits_step15"])
        record_difference(f"{name}.greedy_logits_step15", difference, LOGITS)


def batches(described: dict[str, Any], stored: Tensors) -> list[tuple[str, dict[str, Any], Tensors, Tensors]]:
    """Name, description, inputs and expected tensors of each batch; variants share the inputs of their batch."""
    rows = []
    for name, batch in described["batches"].items():
        base = max(
            (other for other in described["batches"] if f"{name}.".startswith(f"{other}.")), key=_has_inputs(stored)
        )
        rows.append((name, batch, of(stored, f"batch.{base}."), of(stored, f"batch.{name}.")))
    return rows


def _has_inputs(stored: Tensors) -> Callable[[str], bool]:
    return lambda name: f"batch.{name}.input_ids" in stored


def expand_batch(model: VitaForConditionalGeneration, batch: dict[str, Any], given: Tensors) -> Expanded:
    return expand(
        model,
        given,
        attention_mask_BL=given["attention_mask"],
        labels_BL=given["labels"],
        padding_side=batch["padding_side"],
        max_length=batch["tokenizer_model_max_length"],
    )


@torch.no_grad()
def test_every_batch(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors, record_difference: Record
) -> None:
    assert described["batches"]
    for name, batch, given, expected in batches(described, stored):
        expanded = expand_batch(model, batch, given)
        assert torch.equal(expanded.attention_mask, expected["merged_attention_mask"]), name
        assert torch.equal(expanded.labels, expected["merged_labels"]), name
        assert expanded.attention_mask.sum(1).tolist() == batch["valid_lengths"], name
        inputs = {
            "input_ids": expanded.input_ids,
            "attention_mask": expanded.attention_mask,
            "labels": expanded.labels,
            **media(given, expanded),
        }
        plain = model(**inputs)
        record_difference(f"{name}.loss", abs(plain.loss - batch["loss"]), LOSS)
        where_labels_are = model(skip_logits=True, **inputs)
        assert where_labels_are.logits is None
        record_difference(f"{name}.loss of label positions", abs(where_labels_are.loss - batch["loss"]), LOSS)
        routed = model(output_router_logits=True, **inputs)
        record_difference(f"{name}.aux_loss", abs(routed.aux_loss - batch["aux_loss"]), LOSS)
        record_difference(f"{name}.loss_with_aux", abs(routed.loss - batch["loss_with_aux"]), LOSS)
        if "logits" in expected:
            valid = expanded.attention_mask
            difference = greatest(plain.logits[valid], expected["logits"][valid])
            record_difference(f"{name}.logits", difference, LOGITS)


def test_gradients(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors, record_difference: Record
) -> None:
    table, num_checked = Table(model.config), 0
    for name, batch, given, _ in batches(described, stored):
        norms, whole = of(stored, f"grad.{name}."), of(stored, f"grad_full.{name}.")
        if not norms and not whole:
            continue
        expanded = expand_batch(model, batch, given)
        model.zero_grad()
        inputs = {"input_ids": expanded.input_ids, "attention_mask": expanded.attention_mask, **media(given, expanded)}
        model(labels=expanded.labels, **inputs).loss.backward()
        ours = {key: tensor.grad for key, tensor in model.named_parameters() if tensor.grad is not None}
        found = {key: table.steps([key])[key].pick(ours) for key in {**norms, **whole}}
        for key, norm in norms.items():
            difference = abs(found[key].norm() - norm) / norm.clamp(min=1e-6)
            record_difference(f"{name}.{key} norm", difference, GRADIENT)
        for key, gradient in whole.items():
            difference = (found[key] - gradient).norm() / gradient.norm().clamp(min=1e-6)
            record_difference(f"{name}.{key}", difference, GRADIENT)
        num_checked += 1
    model.zero_grad()
    assert num_checked


@torch.no_grad()
def test_calls_that_raise_in_the_reference(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors
) -> None:
    """Each is either an error of ours in one line, or no error because nothing is wrong with it."""
    name = next(
        name
        for name, case in described["cases"].items()
        if case["n_image_sentinels"] > 1 and "inputs_embeds" in of(stored, f"{name}.")
    )
    given = of(stored, f"{name}.")
    ids, images = expand(model, given).input_ids, given["images"]
    audio = {"audio_features": given["audios"], "audio_token_counts": expand(model, given).audio_token_counts}
    without_audio = ids[ids != model.config.audio_token_id][None]
    calls: dict[str, tuple[type[Exception] | None, Callable[[], Any]]] = {
        "audios=None with images given": (None, lambda: model(input_ids=without_audio, pixel_values=images)),
        "images=None (sentinels reach the embedding)": (PromptError, lambda: model(input_ids=ids, **audio)),
        "fewer tiles than <image> sentinels": (
            PromptError,
            lambda: model(input_ids=ids, pixel_values=images[:-1], **audio),
        ),
        "5-D images (1,2,3,H,W)": (MediaError, lambda: model(input_ids=ids, pixel_values=images[None], **audio)),
        "list of 4-D images": (MediaError, lambda: model(input_ids=ids, pixel_values=[images], **audio)),
    }
    assert described["errors"]
    for what in described["errors"]:
        error, call = calls[what]
        if error is None:
            assert torch.isfinite(call().logits).all()
            continue
        with pytest.raises(error) as raised:
            call()
        assert "\n" not in str(raised.value), what


@torch.no_grad()
def test_padding_of_other_clips_stays_out(
    model: VitaForConditionalGeneration, described: dict[str, Any], stored: Tensors, record_difference: Record
) -> None:
    """Where we differ: a clip's features do not depend on the other clips of the call, and none of the padding is used.

    In the reference the padded frames of the shorter clip are part of the sequence.
    """
    num_checked = 0
    for name in described["cases"]:
        given = of(stored, f"{name}.")
        if int(given["audio_lengths"].min()) == given["audios"].shape[1]:
            continue
        audios, mask = model.get_audio_features(given["audios"], given["audio_lengths"])
        for row, length in enumerate(given["audio_lengths"].tolist()):
            alone, _ = model.get_audio_features(
                given["audios"][row : row + 1, :length], given["audio_lengths"][row : row + 1]
            )
            assert int(mask[row].sum()) == model.config.audio_config.num_audio_tokens(length) == alone.shape[1]
            record_difference(f"{name}.clip {row} alone", greatest(audios[row, mask[row]], alone[0]), FEATURES)
        ids = expand_sentinels(
            given["input_ids"],
            image_sizes=[model.config.num_image_tokens] * len(given["images"]),
            audio_sizes=mask.sum(1).tolist(),
            image_token_id=model.config.image_token_id,
            audio_token_id=model.config.audio_token_id,
        ).input_ids
        assert ids.shape[1] == described["cases"][name]["merged_len"] - int((~mask).sum())
        inputs = {"audio_features": given["audios"], "audio_lengths": given["audio_lengths"]}
        embeds = model.embed(ids, pixel_values=given["images"], **inputs)
        at_audio = ids == model.config.audio_token_id
        record_difference(f"{name}.embeddings", greatest(embeds[at_audio], audios[mask]), 0)
        num_checked += 1
    assert num_checked


def test_sentinels_are_those_of_the_reference(described: dict[str, Any], stored: Tensors) -> None:
    for name, case in described["cases"].items():
        ids = stored[f"{name}.input_ids"]
        assert int((ids == IMAGE_SENTINEL).sum()) == case["n_image_sentinels"], name
        assert int((ids == AUDIO_SENTINEL).sum()) == case["n_audio_sentinels"], name
        assert ids.shape[1] == case["input_len"], name

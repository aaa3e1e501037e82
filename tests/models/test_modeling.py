"""The whole model with tiny language models: fusion, generation, batches, saving, the Auto classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText

from tests.models.tiny_vita import AUDIO_ID, IMAGE_ID, LANGUAGE_MODELS, VOCAB, media, prompt, tiny_model
from vita.errors import MediaError, PromptError
from vita.models import register
from vita.models.modeling_vita import VitaForConditionalGeneration

EXACT = {"rtol": 0.0, "atol": 1e-5}


def question() -> dict[str, torch.Tensor]:
    """A picture of two tiles and a clip of 41 frames (5 tokens)."""
    return {"input_ids": prompt(1, 5, "image", "image", 7, "audio:5", 9), **media(num_tiles=2)}


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@torch.no_grad()
def test_features_stand_at_their_placeholders(name: str) -> None:
    model, given = tiny_model(name), question()
    embeds, ids = model.embed(**given), given["input_ids"]
    images = model.get_image_features(given["pixel_values"])
    audios, mask = model.get_audio_features(given["audio_features"], given["audio_lengths"])
    torch.testing.assert_close(embeds[ids == IMAGE_ID], images.flatten(0, 1), **EXACT)
    torch.testing.assert_close(embeds[ids == AUDIO_ID], audios[mask], **EXACT)
    text = (ids != IMAGE_ID) & (ids != AUDIO_ID)
    torch.testing.assert_close(embeds[text], model.get_input_embeddings()(ids[text]), **EXACT)
    expected = model.language_model(inputs_embeds=embeds).logits
    torch.testing.assert_close(model(**given).logits, expected, **EXACT)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@torch.no_grad()
def test_generate_equals_greedy_decoding_without_a_cache(name: str) -> None:
    model, given = tiny_model(name), question()
    generated = model.generate(**given, max_new_tokens=6, do_sample=False, eos_token_id=-1)
    ids = given["input_ids"]
    for _ in range(6):
        logits = model(**{**given, "input_ids": ids}, use_cache=False, logits_to_keep=1).logits
        ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    assert generated.tolist() == ids.tolist()
    uncached = model.generate(**given, max_new_tokens=6, do_sample=False, eos_token_id=-1, use_cache=False)
    assert uncached.tolist() == ids.tolist()


@torch.no_grad()
def test_generate_from_embeddings() -> None:
    model, given = tiny_model("mixtral"), question()
    options: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": -1}
    expected = model.generate(**given, **options)
    embeds, length = model.embed(**given), given["input_ids"].shape[1]
    assert model.generate(inputs_embeds=embeds, **options).tolist() == expected[:, length:].tolist()
    together = model.generate(input_ids=given["input_ids"], inputs_embeds=embeds, **options)
    assert together.tolist() == expected.tolist()


@torch.no_grad()
def test_media_are_encoded_once_and_decoding_goes_straight_to_the_language_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, given = tiny_model(), question()
    calls = {"tower": 0, "embed": 0}

    def count(name: str, original: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            calls[name] += 1
            return original(*args, **kwargs)

        return wrapped

    model.vision_tower.forward = count("tower", model.vision_tower.forward)
    model.audio_tower.forward = count("tower", model.audio_tower.forward)
    monkeypatch.setattr(model, "embed", count("embed", model.embed))
    model.generate(**given, max_new_tokens=8, do_sample=False, eos_token_id=-1)
    assert calls == {"tower": 2, "embed": 1}


@torch.no_grad()
def test_left_padded_batch_equals_its_rows_alone() -> None:
    model = tiny_model("mixtral")
    one, two = prompt(1, "image", 7, 8, 9, 10, "audio:5", 11), prompt(1, 5, "audio:3", 6)
    both = media(num_tiles=1, num_frames=(41, 30))
    pad = one.shape[1] - two.shape[1]
    ids = torch.cat([one, torch.nn.functional.pad(two, (pad, 0))])
    mask = torch.ones_like(ids)
    mask[1, :pad] = 0
    options: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": -1}
    together = model.generate(input_ids=ids, attention_mask=mask, **both, **options)
    clips, lengths = both["audio_features"], both["audio_lengths"]
    first = model.generate(
        input_ids=one, pixel_values=both["pixel_values"], audio_features=clips[:1], audio_lengths=lengths[:1], **options
    )
    second = model.generate(input_ids=two, audio_features=clips[1:, :30], audio_lengths=lengths[1:], **options)
    assert together[0].tolist() == first[0].tolist()
    assert together[1, pad:].tolist() == second[0].tolist()


@pytest.mark.parametrize("options", [{"num_beams": 3}, {"num_return_sequences": 2, "num_beams": 2}])
@torch.no_grad()
def test_beams_of_a_batch_see_the_media_of_their_own_row(options: dict[str, int]) -> None:
    model = tiny_model()
    tiles = media(num_tiles=2, num_frames=())["pixel_values"]
    ids = torch.cat([prompt(1, 5, "image", 6), prompt(1, 7, "image", 8)])
    common: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": -1, **options}
    together = model.generate(input_ids=ids, pixel_values=tiles, **common)
    rows = [model.generate(input_ids=ids[i : i + 1], pixel_values=tiles[i : i + 1], **common) for i in range(2)]
    assert together.tolist() == torch.cat(rows).tolist()


@torch.no_grad()
def test_first_tokens_of_a_tile_or_clip() -> None:
    model, given = tiny_model(), media(num_tiles=2, num_frames=(41,))
    ids = torch.tensor([[1, IMAGE_ID, IMAGE_ID, IMAGE_ID, 5, AUDIO_ID, AUDIO_ID]])
    embeds = model.embed(ids, tile_token_counts=torch.tensor([3, 0]), audio_token_counts=torch.tensor([2]), **given)
    images = model.get_image_features(given["pixel_values"])
    torch.testing.assert_close(embeds[0, 1:4], images[0, :3], **EXACT)
    audios, _ = model.get_audio_features(given["audio_features"], given["audio_lengths"])
    torch.testing.assert_close(embeds[0, 5:], audios[0, :2], **EXACT)
    torch.testing.assert_close(model.get_image_features(given["pixel_values"], 3), images[:, :3], **EXACT)


@torch.no_grad()
def test_lengths_of_clips_default_to_the_features() -> None:
    model, given = tiny_model(), question()
    without = {name: value for name, value in given.items() if name != "audio_lengths"}
    torch.testing.assert_close(model.embed(**without), model.embed(**given), **EXACT)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pixel_values": None}, PromptError, "8 placeholders, 0 features"),
        ({"audio_features": None}, PromptError, "5 placeholders, 0 features"),
        ({"input_ids": prompt(1, 5, "image", 7, "audio:5", 9)}, PromptError, "4 placeholders, 8 features"),
        ({"input_ids": prompt(1, 5, 6)}, PromptError, "0 placeholders, 8 features"),
        ({"input_ids": None}, PromptError, "neither input_ids nor inputs_embeds"),
        ({"tile_token_counts": torch.tensor([4, 5])}, PromptError, "0 .. 4"),
        ({"tile_token_counts": torch.tensor([8])}, PromptError, "2 counts"),
        ({"pixel_values": torch.zeros(2, 3, 56, 42)}, MediaError, "square"),
        ({"pixel_values": torch.zeros(2, 3, 57, 57)}, MediaError, "multiple of 14"),
        ({"pixel_values": [torch.zeros(3, 56, 56)]}, MediaError, "one tensor"),
    ],
)
@torch.no_grad()
def test_inputs_that_do_not_fit(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tiny_model()(**{**question(), **change})


@torch.no_grad()
def test_placeholder_ids_may_lie_inside_the_vocabulary_or_outside() -> None:
    """The other tests have them outside."""
    model, given = tiny_model(image_token_id=3, audio_token_id=4), question()
    ids = given["input_ids"].clone()
    ids[ids == IMAGE_ID], ids[ids == AUDIO_ID] = 3, 4
    expected = tiny_model()(**given).logits
    torch.testing.assert_close(model(**{**given, "input_ids": ids}).logits, expected, **EXACT)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
@torch.no_grad()
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    model, given = tiny_model(name), question()
    model.save_pretrained(tmp_path)
    register()
    loaded, info = VitaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], tensor), key
    assert torch.equal(loaded(**given).logits, model(**given).logits)
    embeddings, head = loaded.get_input_embeddings().weight, loaded.get_output_embeddings().weight
    assert (embeddings is head) == bool(LANGUAGE_MODELS[name].get("tie_word_embeddings", False))


@torch.no_grad()
def test_resnet_is_saved_with_its_running_statistics(tmp_path: Path) -> None:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    model = tiny_model(vision_config={"model_type": "resnet", **sizes}, tile_size=32)
    running = {name: tensor for name, tensor in model.state_dict().items() if name.endswith(("mean", "var"))}
    for tensor in running.values():
        tensor.uniform_(0.5, 2)
    model.save_pretrained(tmp_path)
    loaded, info = VitaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    pixels, ids = torch.randn(1, 3, 32, 32), prompt(1, "image", 5)
    assert any("vision_tower" in name for name in running)
    assert torch.equal(loaded(ids, pixel_values=pixels).logits, model(ids, pixel_values=pixels).logits)


def test_auto_classes_know_the_model(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    register()
    register()
    assert type(AutoConfig.from_pretrained(tmp_path)).__name__ == "VitaConfig"
    for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText):
        assert isinstance(auto_class.from_pretrained(tmp_path), VitaForConditionalGeneration)


@torch.no_grad()
def test_bfloat16_keeps_the_mel_statistics_in_float32(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    model = VitaForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert model.audio_tower.cmvn.mean.dtype == torch.float32
    assert model.vision_tower.encoder.dtype == torch.bfloat16
    assert model(**question()).logits.dtype == torch.bfloat16


def test_towers_keep_the_values_they_are_built_with() -> None:
    """The language model's initializer (deviation 0.2 here) is not spread over our parts."""
    model = tiny_model()
    assert model.language_model.model.layers[0].mlp.up_proj.weight.std() > 0.15
    weight = model.audio_tower.layers[0].feed_forward.up.weight
    assert weight.abs().max() <= weight.shape[1] ** -0.5
    weight = model.vision_connector.input_projection.weight
    assert weight.abs().max() <= weight.shape[1] ** -0.5


def test_vocabulary_can_be_widened() -> None:
    model = tiny_model("qwen2")
    model.resize_token_embeddings(VOCAB + 12, mean_resizing=False)
    assert model.config.text_config.vocab_size == VOCAB + 12
    assert model(**question()).logits.shape[-1] == VOCAB + 12


def test_devices_are_not_split_inside_a_layer() -> None:
    assert {"InternVLVisionLayer", "LlamaDecoderLayer", "EncoderLayer"} <= set(tiny_model()._no_split_modules)


@torch.no_grad()
def test_slots_connector_is_asked_for_no_more_tokens_than_needed() -> None:
    connector = {"type": "slots", "num_slots": 6, "frame_slots": 2, "num_heads": 2, "group_sizes": [5, 3]}
    model = tiny_model(vision_connector=connector)
    assert (model.config.num_image_tokens, model.config.num_frame_tokens) == (6, 2)
    asked: list[int | None] = []
    forward = model.vision_connector.forward
    model.vision_connector.forward = lambda patches, count: (asked.append(count), forward(patches, count))[1]
    tiles = media(num_tiles=2, num_frames=())
    frames, stills = (torch.tensor([[1, *[IMAGE_ID] * count, 5]]) for count in (4, 12))
    seen = model.embed(frames, tile_token_counts=torch.tensor([2, 2]), **tiles)[0, 1:-1].unflatten(0, (2, 2))
    whole = model.embed(stills, **tiles)[0, 1:-1].unflatten(0, (2, 6))
    assert asked == [2, None]
    torch.testing.assert_close(seen, whole[:, :2], **EXACT)

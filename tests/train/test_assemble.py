"""The whole model is its trained parts: what the stages computed is what the assembled and the loaded model compute."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedTokenizerFast

from tests.train.conftest import tiny_config
from vita import checkpoints
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.assemble import assemble, join_projections, save, start_from
from vita.train.hearing import Hearing
from vita.train.instruct import Instructed
from vita.train.pocket import pocket_config
from vita.train.seeing import Seeing

Parts = tuple[Instructed, Hearing, Seeing]


def stages(config: VitaConfig) -> Parts:
    """Parts as after training: nothing at its start value, not even the residuals and the statistics."""
    torch.manual_seed(0)
    parts = Instructed(config), Hearing(config.audio_config, 30), Seeing(config)
    with torch.no_grad():
        for part in parts:
            for value in part.state_dict().values():  # what is no weight, as the rotary frequencies, stays
                if value.is_floating_point():
                    value.add_(0.05 * torch.randn(value.shape).abs())
            part.eval()
    return parts


@pytest.fixture(scope="module", params=["resnet", "internvit"])
def parts(request: pytest.FixtureRequest, tokenizer: PreTrainedTokenizerFast) -> tuple[VitaConfig, Parts]:
    config = tiny_config(tokenizer, request.param)
    return config, stages(config)


def media() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 3, 64, 64, generator=generator)
    mel = torch.randn(2, 61, 80, generator=generator)
    mel[1, 40:] = 0
    return pixels, mel, torch.tensor([61, 40])


@torch.inference_mode()
def test_the_whole_gives_what_the_parts_give(parts: tuple[VitaConfig, Parts]) -> None:
    config, (instructed, hearing, seeing) = parts
    model = assemble(config, instructed, hearing, seeing)
    pixels, mel, lengths = media()
    images = instructed.sight(seeing.connector.hidden(seeing.tower(pixels)))
    torch.testing.assert_close(model.get_image_features(pixels), images, atol=1e-5, rtol=1e-5)
    few = model.get_image_features(pixels, config.num_frame_tokens)
    torch.testing.assert_close(few, images[:, : config.num_frame_tokens], atol=1e-5, rtol=1e-5)
    hidden, mask = hearing.connector.hidden(*hearing.tower(mel, lengths))
    sounds, sound_mask = model.get_audio_features(mel, lengths)
    assert torch.equal(mask, sound_mask)
    torch.testing.assert_close(sounds[mask], instructed.hearing(hidden)[mask], atol=1e-5, rtol=1e-5)
    ids = torch.randint(11, 500, (1, 12), generator=torch.Generator().manual_seed(0))
    logits = instructed.language_model.lm_head(instructed({"ids": ids}))
    torch.testing.assert_close(model(input_ids=ids).logits, logits, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_a_saved_model_is_loaded_as_it_was(
    parts: tuple[VitaConfig, Parts], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config, stage_parts = parts
    exact = assemble(config, *stage_parts)
    save(assemble(config, *stage_parts), tokenizer, tmp_path)
    loaded, processor = checkpoints.load(tmp_path, device="cpu")
    kept = exact.state_dict()
    assert set(loaded.state_dict()) == set(kept)
    statistics = dict(exact.named_buffers())
    for name, value in loaded.state_dict().items():
        wanted = kept[name] if name in statistics else kept[name].to(torch.bfloat16).float()
        assert torch.equal(value, wanted), name
    assert (processor.config.image_token_id, processor.config.audio_token_id) == (
        config.image_token_id,
        config.audio_token_id,
    )
    assert processor.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert processor.template.to_dict()["system"] is None
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        stored = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert stored["language_model.model.embed_tokens.weight"] == "BF16"
    assert stored["audio_tower.cmvn.mean"] == "F32"
    assert "language_model.lm_head.weight" not in stored


def test_heads_are_joined_and_tables_kept(parts: tuple[VitaConfig, Parts]) -> None:
    _, (instructed, hearing, seeing) = parts
    tables = [instructed.sight.table.clone(), instructed.hearing.table.clone()]
    join_projections(instructed, hearing, seeing)
    assert torch.equal(instructed.hearing.head.weight, hearing.projection.head.weight)
    assert torch.equal(instructed.sight.head.bias, seeing.connector.projection.head.bias)
    assert torch.equal(instructed.sight.table, tables[0])
    assert torch.equal(instructed.hearing.table, tables[1])
    assert instructed.sight.head.weight is not seeing.connector.projection.head.weight


def test_every_weight_of_the_model_comes_from_a_stage(parts: tuple[VitaConfig, Parts]) -> None:
    """Two assemblies from other random starts are equal: nothing is left at what the model began with."""
    config, stage_parts = parts
    torch.manual_seed(1)
    one = assemble(config, *stage_parts)
    torch.manual_seed(2)
    two = assemble(config, *stage_parts)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_pocket_model_is_small_enough(tokenizer: PreTrainedTokenizerFast) -> None:
    with torch.device("meta"):
        model: nn.Module = VitaForConditionalGeneration(pocket_config(tokenizer))
    parameters = sum(p.numel() for p in model.parameters())
    assert 8e6 < parameters < 20e6
    assert 2 * parameters < 40e6, "more than 40 MB in bfloat16"


def test_a_run_can_start_from_a_checkpoint(
    parts: tuple[VitaConfig, Parts], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    config, (instructed, hearing, seeing) = parts
    save(assemble(config, instructed, hearing, seeing), tokenizer, tmp_path)
    torch.manual_seed(1)
    fresh = Instructed(config), Hearing(config.audio_config, 30), Seeing(config)
    for stage, trained in zip(fresh, (instructed, hearing, seeing), strict=True):
        head = {name: value.clone() for name, value in stage.state_dict().items() if name.startswith("phonemes.")}
        start_from(tmp_path, stage)
        found, wanted = stage.state_dict(), trained.state_dict()
        joined = ("connector.projection.", "phonemes.", "patches.")
        for name in (n for n in wanted if not n.startswith(joined)):
            torch.testing.assert_close(found[name].float(), wanted[name].float(), atol=1e-2, rtol=1e-2)
        assert all(torch.equal(found[name], value) for name, value in head.items())

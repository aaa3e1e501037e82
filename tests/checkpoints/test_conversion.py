"""convert: from the reference's layout to ours, without a reference at hand."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints.reference_like import AUDIO_FOLDER, VISION_FOLDER, ReferenceLike, make, write_shards
from tests.models.tiny_vita import media, prompt
from vita.checkpoints import convert, load
from vita.checkpoints.loading import load_model
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX, Table
from vita.errors import CheckpointError, PromptError, VitaError
from vita.models.processing_vita import VitaProcessor

PROMPTS = {"neither": "Just talk.", "image": "Look at it.", "video": "Watch it."}


@pytest.fixture(scope="module")
def reference() -> ReferenceLike:
    return make()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=prompt(1, 5, "image", 7, "audio:5", 9), **media()).logits


@pytest.mark.parametrize("num_shards", [1, 3])
@pytest.mark.parametrize("shard_bytes", [10**9, 20_000])
def test_converted_model_is_the_same(
    reference: ReferenceLike, tmp_path: Path, num_shards: int, shard_bytes: int
) -> None:
    report = convert(
        reference.write(tmp_path / "src", num_shards=num_shards), tmp_path / "dst", shard_bytes=shard_bytes
    )
    model = load_model(tmp_path / "dst")
    assert torch.equal(logits(model), logits(reference.model))
    state = reference.model.state_dict()
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert report.num_written == len(state)
    assert report.num_bytes == sum(tensor.numel() * 4 for tensor in state.values())
    assert report.names.keys() == reference.tensors.keys()
    assert json.loads((tmp_path / "dst" / "conversion.json").read_text())["names"] == report.names
    files = sorted(path.name for path in (tmp_path / "dst").glob("*.safetensors"))
    assert (files == ["model.safetensors"]) == (shard_bytes == 10**9)
    assert all(path.stat().st_mode & 0o044 for path in (tmp_path / "dst").iterdir())


def test_configuration_is_translated(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src", image_token_index=90, audio_token_index=91, max_dynamic_patch=5)
    convert(source, tmp_path / "dst")
    config = load_model(tmp_path / "dst").config
    assert (config.image_token_id, config.audio_token_id) == (90, 91)
    assert (config.max_tiles, config.min_tiles, config.tile_size, config.pad_to_square) == (5, 1, 56, False)
    assert (config.image_mean, config.image_std) == ([0.4, 0.5, 0.6], [0.2, 0.3, 0.4])
    assert config.tokenizer_model_max_length == 300
    text = config.text_config
    assert (text.model_type, text.rope_parameters["rope_theta"], text.router_aux_loss_coef) == ("mixtral", 1e6, 0.05)
    assert not [name for name in vars(text) if name.startswith(("mm_", "tokenizer_", "image_"))]
    generation = json.loads((tmp_path / "dst" / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (2, 0)


def test_newer_preprocessor_files(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src")
    path = source / VISION_FOLDER / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"crop_size": {"height": 84, "width": 84}}))
    convert(source, tmp_path / "dst")
    assert load_model(tmp_path / "dst").config.tile_size == 84
    path.unlink()
    convert(source, tmp_path / "default")
    assert load_model(tmp_path / "default").config.tile_size == 56


def test_placeholder_ids_lie_behind_the_vocabulary_where_none_are_named(
    reference: ReferenceLike, tmp_path: Path
) -> None:
    convert(reference.write(tmp_path / "src"), tmp_path / "dst")
    config = load_model(tmp_path / "dst").config
    assert (config.image_token_id, config.audio_token_id) == (100, 101)


def test_encoders_may_lie_in_folders_of_their_own(reference: ReferenceLike, tmp_path: Path) -> None:
    """The vision encoder as safetensors, the audio encoder as final.pt with its statistics in global_cmvn."""
    source = reference.write(tmp_path / "src", leave_out=(VISION_PREFIX, AUDIO_PREFIX))
    own = {name: tensor for name, tensor in reference.tensors.items() if name.startswith((VISION_PREFIX, AUDIO_PREFIX))}
    vision = {name.removeprefix(VISION_PREFIX): own[name] for name in own if name.startswith(VISION_PREFIX)}
    write_shards(source / VISION_FOLDER, vision)
    audio = {name.removeprefix(AUDIO_PREFIX): own[name] for name in own if name.startswith(AUDIO_PREFIX)}
    audio = {name: tensor.clone() for name, tensor in audio.items() if "global_cmvn" not in name}
    torch.save(audio, source / AUDIO_FOLDER / "final.pt")
    sums = {"mean_stat": [4.0] * 80, "var_stat": [12.0] * 80, "frame_num": 2}
    (source / AUDIO_FOLDER / "global_cmvn").write_text(json.dumps(sums))
    convert(source, tmp_path / "dst")
    model = load_model(tmp_path / "dst")
    cmvn = model.audio_tower.cmvn
    assert cmvn.mean.tolist() == [2.0] * 80
    torch.testing.assert_close(cmvn.istd, torch.full((80,), 2**-0.5))
    cmvn.load_state_dict(reference.model.audio_tower.cmvn.state_dict())
    assert torch.equal(logits(model), logits(reference.model))


@pytest.mark.parametrize("place", ["inside", "beside"])
def test_encoder_folders_are_found(reference: ReferenceLike, tmp_path: Path, place: str) -> None:
    source = reference.write(tmp_path / "src")
    if place == "beside":
        for part in (VISION_FOLDER, AUDIO_FOLDER):
            (source / part).rename(tmp_path / part)
    assert convert(source, tmp_path / "dst").num_written


def test_every_step_can_be_undone(reference: ReferenceLike) -> None:
    state = reference.model.state_dict()
    for name, step in Table(reference.model.config).steps(list(reference.tensors)).items():
        assert torch.equal(step.pick(state), reference.tensors[name]), name


def drop(name: str) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.__delitem__(name)


def put(name: str, *shape: int) -> Callable[[dict[str, torch.Tensor]], None]:
    return lambda tensors: tensors.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("model.layers.0.rotary.table", 2), "not in the conversion table.*model.layers.0.rotary.table"),
        (put("model.layers.0.block_sparse_moe.experts.4.w1.weight", 48, 32), "not in the conversion table"),
        (put("model.audio_encoder.ctc.weight", 4, 4), "not in the conversion table.*ctc.weight"),
        (put("model.layers.2.input_layernorm.weight", 32), "1 superfluous: .*layers.2.input_layernorm.weight"),
        (put("model.norm.weight", 31), r"1 misshapen: .*norm.weight \[31\] for \[32\]"),
        (put("lm_head.weight", 101, 32), r"misshapen: language_model.lm_head.weight \[101, 32\] for \[100, 32\]"),
        (put("model.layers.0.block_sparse_moe.experts.1.w1.weight", 40, 32), "gate_up_proj"),
        (drop("model.norm.weight"), "1 missing: .*norm.weight"),
        (drop("model.layers.1.block_sparse_moe.experts.3.w2.weight"), "1 missing: .*experts.down_proj"),
        (drop("model.audio_encoder.adpter.project.bias"), "1 missing: audio_connector.projection.bias"),
    ],
)
def test_tensors_that_do_not_make_up_the_model(
    reference: ReferenceLike, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], words: str
) -> None:
    tensors = dict(reference.tensors)
    change(tensors)
    source = ReferenceLike(reference.model, tensors).write(tmp_path / "src")
    with pytest.raises(CheckpointError, match=words) as raised:
        convert(source, tmp_path / "dst")
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["src"]


def test_a_tensor_may_not_be_there_twice(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src", num_shards=2)
    second = source / "model-00002-of-00002.safetensors"
    save_file({**load_file(second), "model.embed_tokens.weight": torch.zeros(100, 32)}, second)
    with pytest.raises(CheckpointError, match=r"1 tensors are there twice.*embed_tokens"):
        convert(source, tmp_path / "dst")


@pytest.mark.parametrize("num_shards", [1, 2])
def test_pickles_of_tensors_are_converted(reference: ReferenceLike, tmp_path: Path, num_shards: int) -> None:
    source = reference.write(tmp_path / "src")
    (source / "model.safetensors").unlink()
    names = ["pytorch_model.bin"] if num_shards == 1 else ["part-1.bin", "part-2.bin"]
    weight_map: dict[str, str] = {}
    for index, file in enumerate(names):
        own = {name: tensor.clone() for name, tensor in list(reference.tensors.items())[index::num_shards]}
        torch.save(own, source / file, _use_new_zipfile_serialization=num_shards == 1)
        weight_map |= dict.fromkeys(own, file)
    if num_shards > 1:
        (source / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    convert(source, tmp_path / "dst")
    assert torch.equal(logits(load_model(tmp_path / "dst")), logits(reference.model))


@pytest.mark.parametrize("tied", [False, True])
def test_our_own_model_as_a_pickle_becomes_safetensors(tiny_folder: Path, tmp_path: Path, tied: bool) -> None:
    source = Path(shutil.copytree(tiny_folder, tmp_path / "src"))
    config = json.loads((source / "config.json").read_text())
    config["text_config"]["tie_word_embeddings"] = tied
    (source / "config.json").write_text(json.dumps(config))
    state = load_file(source / "model.safetensors")
    if tied:
        del state["language_model.lm_head.weight"]
    (source / "model.safetensors").unlink()
    torch.save(state, source / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="vita convert"):
        load_model(source)
    convert(source, tmp_path / "dst")
    model, processor = load(tmp_path / "dst", device="cpu", dtype="float32")
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())
    assert processor.template.to_dict() == VitaProcessor.from_pretrained(tiny_folder).template.to_dict()


class Bomb:
    """A pickle that leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (Path("bomb-went-off"),))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickles_are_not_executed(reference: ReferenceLike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = reference.write(tmp_path / "src", leave_out=(AUDIO_PREFIX,))
    torch.save({"encoder.enc.0.core.conv.0.weight": Bomb()}, source / AUDIO_FOLDER / "final.pt")
    with pytest.raises(CheckpointError, match=r"final.pt is no plain checkpoint"):
        convert(source, tmp_path / "dst")
    (source / AUDIO_FOLDER / "final.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=r"final.pt is no plain checkpoint"):
        convert(source, tmp_path / "dst")
    assert not (tmp_path / "bomb-went-off").exists()


def spoil(path: str, content: str | bytes | None) -> Callable[[Path], None]:
    """Replaces a file of the checkpoint, or removes it."""

    def change(folder: Path) -> None:
        (folder / path).unlink()
        if content is not None:
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def rename_to_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil("config.json", None), "has no config.json"),
        (spoil("config.json", "{"), "cannot be read"),
        (spoil("config.json", "[]"), "no JSON object"),
        (spoil("config.json", '{"model_type": "vita"}'), "needs no conversion; load it as it is"),
        (spoil("config.json", '{"model_type": "llama"}'), "got model_type llama, expected vita-mixtral or vita-Qwen2"),
        (spoil("config.json", '{"model_type": "vita-mixtral"}'), "has no mm_vision_tower"),
        (spoil(f"{VISION_FOLDER}/config.json", None), "cannot be read"),
        (spoil(f"{AUDIO_FOLDER}/train.yaml", None), "train.yaml cannot be read"),
        (spoil(f"{AUDIO_FOLDER}/train.yaml", "a: ["), "train.yaml cannot be read"),
        (spoil(f"{AUDIO_FOLDER}/train.yaml", "a: 1"), "train.yaml cannot be read"),
        (spoil("model.safetensors", None), "no tensors in .*expected model.safetensors or pytorch_model.bin"),
        (spoil("model.safetensors", b"\x08" * 40), "no readable safetensors file"),
        (rename_to_pickle, "pytorch_model.bin is no plain checkpoint"),
    ],
)
def test_folders_that_are_no_checkpoint(
    reference: ReferenceLike, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    source = reference.write(tmp_path / "src")
    change(source)
    with pytest.raises(CheckpointError, match=words) as raised:
        convert(source, tmp_path / "dst")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"mm_vision_tower": "nowhere"}, "put a copy or a link"),
        ({"mm_projector_type": "linear"}, "vision connector unknown"),
        ({"hidden_size": 64}, "another language model"),
    ],
)
def test_settings_that_do_not_fit(reference: ReferenceLike, tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        convert(reference.write(tmp_path / "src", **config), tmp_path / "dst")


def test_missing_shard(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src", num_shards=3)
    (source / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match="model-00002-of-00003"):
        convert(source, tmp_path / "dst")


def test_source_and_target_folders(reference: ReferenceLike, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no folder"):
        convert(tmp_path / "nothing", tmp_path / "dst")
    source = reference.write(tmp_path / "src")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(CheckpointError, match="is there already"):
        convert(source, tmp_path / "full")
    (tmp_path / "empty").mkdir()
    assert convert(source, tmp_path / "empty").num_written


def saved_prompts(folder: Path) -> dict[str, str]:
    return json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))["system_prompts"]


CLONE = f"""
import torch_is_not_imported_by_a_parser
raise SystemExit("this file must not run")

other = Conversation(system="one text", version="mixtral_zh")
wanted = Conversation(
    system=[{PROMPTS["image"]!r}, {PROMPTS["video"]!r},
            {PROMPTS["neither"][:4]!r} {PROMPTS["neither"][4:]!r}],
    roles=("user", "bot"), version="mixtral_two", sep=Style.TWO,
)
"""


def test_system_prompts_from_json_or_a_clone(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src")
    (tmp_path / "prompts.json").write_text(json.dumps(PROMPTS))
    (tmp_path / "clone" / "package").mkdir(parents=True)
    (tmp_path / "clone" / "package" / "conversation.py").write_text(CLONE)
    assert convert(source, tmp_path / "a", prompts=tmp_path / "prompts.json").prompts == "prompts.json"
    assert convert(source, tmp_path / "b", prompts=tmp_path / "clone").prompts == "clone"
    assert convert(source, tmp_path / "c").prompts is None
    assert saved_prompts(tmp_path / "a") == saved_prompts(tmp_path / "b") == PROMPTS
    assert "VITA" in saved_prompts(tmp_path / "c")["neither"]


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("prompts.json", '{"image": "a"}', PromptError),
        ("prompts.json", "no json", PromptError),
        ("conversation.py", "x = Conversation(version='mixtral_two', system=['a', 'b'])", CheckpointError),
        ("conversation.py", "x = Conversation(version='mixtral_two', system=[name, 'b', 'c'])", CheckpointError),
        ("conversation.py", "def broken(:", CheckpointError),
        ("other.py", "", CheckpointError),
        (None, "", CheckpointError),
    ],
)
def test_system_prompts_that_cannot_be_had(
    reference: ReferenceLike, tmp_path: Path, name: str | None, content: str, error: type[VitaError]
) -> None:
    source = reference.write(tmp_path / "src")
    path = tmp_path / "prompts"
    if name is not None:
        path.mkdir()
        (path / name).write_text(content)
        path = path / name if name.endswith(".json") else path
    with pytest.raises(error):
        convert(source, tmp_path / "dst", prompts=path)
    assert not (tmp_path / "dst").exists()


def test_tokenizer_files_are_copied(reference: ReferenceLike, tmp_path: Path) -> None:
    source = reference.write(tmp_path / "src")
    for name in ("tokenizer.json", "special_tokens_map.json", "training_args.bin"):
        (source / name).write_text("{}")
    report = convert(source, tmp_path / "dst")
    assert report.copied_files == ["tokenizer.json", "special_tokens_map.json"]
    assert not (tmp_path / "dst" / "training_args.bin").exists()

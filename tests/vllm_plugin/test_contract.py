"""What vLLM asks of the plugin, without its engine: settings, prompts, media, states, weights."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from tests.vllm_plugin.conversations import CONVERSATIONS, ours, theirs
from vita.checkpoints.loading import POCKET_DIR
from vita.errors import CheckpointError
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")


@pytest.fixture(scope="module")
def processor() -> VitaProcessor:
    return VitaProcessor.from_pretrained(POCKET_DIR)


@pytest.fixture(scope="module")
def config() -> Any:
    """vLLM's configuration of the pocket model."""
    from vllm.engine.arg_utils import EngineArgs

    limits = {"image": 4, "video": 1, "audio": 4}
    return EngineArgs(
        str(POCKET_DIR), dtype="float32", enforce_eager=True, limit_mm_per_prompt=limits, enable_mm_embeds=True
    ).create_engine_config()


@pytest.fixture(scope="module")
def renderer(config: Any) -> Any:
    from vllm.renderers.registry import renderer_from_config

    return renderer_from_config(config)


def chat(renderer: Any, messages: list[dict[str, Any]]) -> Any:
    from vllm.renderers.params import ChatParams

    _, prompts = renderer.render_chat([messages], ChatParams())
    return prompts[0]


def test_settings_of_a_vita_model(config: Any) -> None:
    from vita.vllm_plugin.defaults import STATE_LOGITS, VitaDefaults

    model = config.model_config
    assert model.architecture == "VitaForConditionalGeneration"
    assert model.is_multimodal_model
    assert model.tokenizer_mode == "vita"
    assert model.max_model_len == 4096
    VitaDefaults.verify_and_update_model_config(model)
    assert model.logits_processors == [STATE_LOGITS]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_ids_and_media_are_the_processors(name: str, renderer: Any, processor: VitaProcessor) -> None:
    renderer.clear_mm_cache()  # what was sent once is not sent again
    prompt, messages = chat(renderer, theirs(CONVERSATIONS[name])), ours(CONVERSATIONS[name])
    expected = processor.encode(messages)
    assert prompt["prompt_token_ids"] == expected.ids
    if not expected.media:
        return
    places = sorted((one.offset, one.length) for found in prompt["mm_placeholders"].values() for one in found)
    assert places == [(start, end - start) for start, end in expected.spans]
    items = {kind: iter(found) for kind, found in prompt["mm_kwargs"].items()}
    for medium in expected.media:
        encoded = processor.encode_medium(medium)
        kind = type(medium).__name__.lower()
        data = next(items[kind]).get_data()
        if kind == "audio":
            assert np.array_equal(data["audio_features"], encoded.audio_features)
        else:
            assert np.array_equal(data[f"{kind}_tiles"], encoded.pixel_values)


def test_rendering_while_media_are_fetched_is_the_same(renderer: Any) -> None:
    from vllm.renderers.params import ChatParams

    messages = theirs(CONVERSATIONS["image and spoken"])
    _, prompts = asyncio.run(renderer.render_chat_async([messages], ChatParams()))
    assert prompts[0]["prompt_token_ids"] == chat(renderer, messages)["prompt_token_ids"]


def test_pieces_of_a_sound_stand_side_by_side(renderer: Any, processor: VitaProcessor) -> None:
    """The hash of a piece, by which vLLM finds it in its caches, is that of its numbers."""
    ids = [7, 7, *processor.tokenizer("a").input_ids]
    pieces = [torch.rand(8, 256), torch.rand(3, 256)]
    prompt = {"prompt_token_ids": ids, "multi_modal_data": {"audio": pieces}}
    found = renderer.render_cmpl([dict(prompt)])[0]
    assert found["prompt_token_ids"] == [7] * 11 + ids[2:]
    again = renderer.render_cmpl([{**prompt, "multi_modal_data": {"audio": [pieces[0], torch.rand(3, 256)]}}])[0]
    assert again["mm_hashes"]["audio"][0] == found["mm_hashes"]["audio"][0]
    assert again["mm_hashes"]["audio"][1] != found["mm_hashes"]["audio"][1]


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}], "nothing to answer"),
        ([{"role": "user", "content": "<|end|>"}], "control text"),
        ([{"role": "user", "content": [{"type": "text", "text": "<image>?"}]}], "placeholder"),
    ],
)
def test_mistakes_are_told_as_vllm_tells_them(messages: list[Any], told: str, renderer: Any) -> None:
    from vllm.exceptions import VLLMValidationError

    with pytest.raises(VLLMValidationError, match=told):
        chat(renderer, messages)


def test_a_sound_that_is_too_short_is_the_clients_mistake(renderer: Any) -> None:
    from vllm.exceptions import VLLMValidationError

    with pytest.raises(VLLMValidationError, match="too short"):
        renderer.render_cmpl([{"prompt_token_ids": [7], "multi_modal_data": {"audio": [np.zeros(100, np.float32)]}}])


def test_a_pictures_ids_for_the_trial_run_fit_what_memory_is_set_aside_for(renderer: Any) -> None:
    info = renderer.get_mm_processor().info
    most = info.get_mm_max_tokens_per_item(4096, {"image": 1, "video": 1, "audio": 1})
    found = renderer.get_mm_processor().get_dummy_mm_inputs({"image": 1, "video": 1, "audio": 1})
    assert {kind: places[0].length for kind, places in found["mm_placeholders"].items()} == most
    picture = PIL.Image.new("RGB", (900, 300))
    prompt = renderer.render_cmpl([{"prompt_token_ids": [5], "multi_modal_data": {"image": [picture]}}])[0]
    assert len(prompt["prompt_token_ids"]) <= most["image"]


def test_states_come_first_and_noise_ends(config: Any, processor: VitaProcessor) -> None:
    from vllm.sampling_params import SamplingParams
    from vllm.v1.sample.logits_processor.interface import BatchUpdate

    from vita.vllm_plugin.states import StateLogits

    states = {state: ids[0] for state, ids in processor.state_reader.spellings.items()}
    written: list[list[int]] = [[], [], [], [states[State.NOISE]], [states[State.TYPED_QUERY]]]
    modes: list[Any] = ["auto", "answer", "off", "auto", "auto"]
    masking = StateLogits(config, torch.device("cpu"), False)
    added = [
        (row, SamplingParams(extra_args={"vita_state": mode}), [1], ids)
        for row, (mode, ids) in enumerate(zip(modes, written, strict=True))
    ]
    masking.update_state(BatchUpdate(batch_size=5, removed=[], added=added, moved=[]))
    left = [set(row.isfinite().nonzero().flatten().tolist()) for row in masking.apply(torch.zeros(5, 20))]
    assert left[0] == set(states.values())
    assert left[1] == set(states.values()) - {states[State.NOISE]}
    assert left[3] == {processor.stop_ids[0]}
    assert left[2] == left[4] == set(range(20))


def test_an_unknown_mode_is_refused() -> None:
    from vllm.exceptions import VLLMValidationError
    from vllm.sampling_params import SamplingParams

    from vita.vllm_plugin.states import StateLogits

    with pytest.raises(VLLMValidationError, match="vita_state"):
        StateLogits.validate_params(SamplingParams(extra_args={"vita_state": "never"}))


def test_stacked_experts_are_told_apart() -> None:
    """As transformers' own model of them is saved for the hub, which is what vLLM reads."""
    from vita.vllm_plugin.model import experts_apart

    gate_up, down = torch.arange(2 * 6 * 4.0).view(2, 6, 4), torch.arange(2 * 4 * 3.0).view(2, 4, 3)
    given = {
        "mlp.gate.weight": down,
        "mlp.experts.gate_up_proj": gate_up,
        "mlp.experts.down_proj": down,
        "norm.weight": down,
    }
    found = dict(pair for name, value in given.items() for pair in experts_apart(f"model.layers.0.{name}", value))
    mixture = "model.layers.0.block_sparse_moe."
    assert set(found) == {"model.layers.0.norm.weight", f"{mixture}gate.weight"} | {
        f"{mixture}experts.{expert}.w{number}.weight" for expert in (0, 1) for number in (1, 2, 3)
    }
    assert torch.equal(found[f"{mixture}experts.1.w1.weight"], gate_up[1, :3])
    assert torch.equal(found[f"{mixture}experts.1.w3.weight"], gate_up[1, 3:])
    assert torch.equal(found[f"{mixture}experts.0.w2.weight"], down[0])


@pytest.mark.parametrize("damage", ["missing", "misshapen", "unknown"])
def test_weights_of_towers_are_taken_strictly(damage: str) -> None:
    from vita.checkpoints.loading import load_model
    from vita.vllm_plugin.model import CONNECTORS, TOWERS, VitaForConditionalGeneration

    whole, served = load_model(POCKET_DIR), VitaForConditionalGeneration.__new__(VitaForConditionalGeneration)
    torch.nn.Module.__init__(served)
    for name in (*TOWERS, *CONNECTORS):
        setattr(served, name, getattr(whole, name))
    tensors = {name: value.clone() for name, value in served._ours().items()}
    assert served.load_weights(tensors.items()) == set(tensors)
    name = next(iter(tensors))
    if damage == "missing":
        del tensors[name]
    else:
        tensors[name + ("x" if damage == "unknown" else "")] = torch.zeros(1, 2, 3)
    with pytest.raises(CheckpointError, match=r"lacks|does not fit"):
        served.load_weights(tensors.items())

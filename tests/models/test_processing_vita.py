"""The processor: conversations to the model's inputs."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import torch
from transformers import AutoProcessor

from vita.chat import Audio, Image, Message, SystemPrompts, Video, VitaTemplate
from vita.errors import CheckpointError, ConfigError, LimitError, MediaError, PromptError
from vita.media import Clip
from vita.models.batching import pad_ids
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import VitaProcessor
from vita.tokens import State
from vita.train.tokenizer import build_tokenizer

SMALL = {"hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1}
TOKENIZER = build_tokenizer(["what is it a red circle where"])


def make(**options) -> VitaProcessor:
    image_id, audio_id = TOKENIZER.convert_tokens_to_ids(["<image>", "<audio>"])
    given = {
        "template": "tokenizer",
        "text_config": {"model_type": "llama", **SMALL},
        "vision_config": {"image_size": [56, 56], **SMALL},
        "audio_config": {"output_dim": 32, **SMALL},
        "image_token_id": image_id,
        "audio_token_id": audio_id,
        "max_tiles": 6,
    }
    return VitaProcessor(TOKENIZER, VitaConfig(**(given | options)))


PROCESSOR = make()


def picture(width: int, height: int, colour: str = "red") -> Image:
    return Image(PIL.Image.new("RGB", (width, height), colour))


def clip(num_frames: int, size: tuple[int, int] = (64, 48)) -> Video:
    frames = [PIL.Image.new("RGB", size, (40 * index, 0, 0)) for index in range(num_frames)]
    return Video(Clip(frames=frames, times_s=np.arange(num_frames, dtype=float), fps=1.0))


def sound(num_samples: int) -> Audio:
    return Audio(np.sin(np.arange(num_samples) / 30).astype(np.float32))


def test_text_alone_has_no_media():
    batch = PROCESSOR([[Message.user("what is it")]])
    assert set(batch) == {"input_ids", "attention_mask", "position_ids"}
    assert TOKENIZER.decode(batch["input_ids"][0]).replace(" ", "") == "<|user|>whatisit<|end|><|bot|>"


@pytest.mark.parametrize("size", [(56, 56), (200, 50), (30, 400), (1, 1), (300, 280)])
@pytest.mark.parametrize("pad_to_square", [False, True])
def test_one_id_for_every_feature_of_a_picture(size, pad_to_square):
    processor = make(pad_to_square=pad_to_square)
    batch = processor([[Message.user("what", picture(*size))]])
    tiles = len(batch["pixel_values"])
    assert batch["tile_token_counts"].tolist() == [processor.config.num_image_tokens] * tiles
    ids = batch["input_ids"][0].tolist()
    assert ids.count(processor.config.image_token_id) == tiles * processor.config.num_image_tokens


def test_frames_may_take_fewer_features_than_pictures():
    processor = make(vision_connector={"type": "slots", "num_slots": 9, "frame_slots": 4})
    batch = processor([[Message.user("what", clip(5), picture(56, 56))]])
    assert batch["pixel_values"].shape == (6, 3, 56, 56)
    assert batch["tile_token_counts"].tolist() == [9, 4, 4, 4, 4, 4]  # the picture stands before the video
    ids = batch["input_ids"][0].tolist()
    assert ids.count(processor.config.image_token_id) == 9 + 5 * 4


@pytest.mark.parametrize("num_samples", [400, 1500, 16000, 40001])
def test_one_id_for_every_feature_of_a_sound(num_samples):
    batch = PROCESSOR([[Message.user(sound(num_samples))]])
    frames = 1 + (num_samples - 400) // 160
    assert batch["audio_lengths"].tolist() == [frames]
    assert batch["audio_features"].shape == (1, frames, 80)
    expected = PROCESSOR.config.audio_config.num_audio_tokens(frames)
    assert batch["input_ids"][0].tolist().count(PROCESSOR.config.audio_token_id) == expected


def test_a_sound_shorter_than_a_window():
    with pytest.raises(MediaError, match="too short"):
        PROCESSOR([[Message.user(sound(399))]])


def test_media_of_a_batch_come_in_order_of_appearance():
    first = [Message.user(sound(8000), picture(56, 56)), Message.assistant("a"), Message.user(sound(1600), "what")]
    second = [Message.user("where", clip(4), picture(56, 56, "blue")), Message.assistant("it"), Message.user("what")]
    batch = PROCESSOR([first, second])
    assert batch["audio_lengths"].tolist() == [48, 8]
    assert batch["audio_features"][1, 8:].eq(0).all()
    blue = batch["pixel_values"][:, 2].mean(dim=(1, 2))
    assert blue.argmax() == 1  # the red picture, the blue one, four frames
    assert len(blue) == 6
    assert batch["pixel_values"][2:, 0].mean(dim=(1, 2)).diff().gt(0).all()  # the frames get redder


def test_padding_and_positions():
    messages = [[Message.user("what")], [Message.user("what is it where")]]
    left, right = PROCESSOR(messages), PROCESSOR(messages, padding_side="right")
    missing = int(left["attention_mask"][0].eq(0).sum())
    assert missing == 3
    assert left["attention_mask"][0].tolist() == [0] * missing + [1] * (left["input_ids"].shape[1] - missing)
    assert left["input_ids"][0, missing:].tolist() == right["input_ids"][0, :-missing].tolist()
    assert left["position_ids"][0].tolist() == [0] * missing + list(range(left["input_ids"].shape[1] - missing))
    assert right["position_ids"][1].tolist() == list(range(right["input_ids"].shape[1]))
    with pytest.raises(ConfigError, match="padding_side"):
        pad_ids([[1]], pad_id=0, padding_side="middle")


def test_a_finished_conversation():
    messages = [Message.user("what"), Message.assistant("red", State.TYPED_QUERY)]
    ids = PROCESSOR([messages], add_generation_prompt=False)["input_ids"][0]
    assert TOKENIZER.decode(ids).endswith("<3> red<|end|>")
    with pytest.raises(PromptError, match="nothing to answer"):
        PROCESSOR([messages])


def test_more_than_the_context_holds():
    processor = make(tokenizer_model_max_length=40)
    messages = [Message.user("what", picture(224, 56), picture(56, 56), sound(32000))]
    with pytest.raises(LimitError, match=r"text 4, image 1: 20, image 2: 4, audio 1: 24") as caught:
        processor([messages])
    assert "52 tokens" in str(caught.value)
    assert "at most 40" in str(caught.value)
    assert make(tokenizer_model_max_length=52)([messages])["input_ids"].shape == (1, 52)


def test_spans_of_media():
    messages = [Message.user("what", picture(56, 56), sound(16000))]
    prompt = PROCESSOR.encode(messages)
    config = PROCESSOR.config
    (image_start, image_end), (audio_start, audio_end) = prompt.spans
    assert set(prompt.ids[image_start:image_end]) == {config.image_token_id}
    assert set(prompt.ids[audio_start:audio_end]) == {config.audio_token_id}
    assert image_end - image_start == prompt.ids.count(config.image_token_id)
    assert audio_end - audio_start == prompt.ids.count(config.audio_token_id)
    assert prompt.media == messages[0].media


def test_no_conversation():
    with pytest.raises(PromptError, match="no conversation"):
        PROCESSOR([])


def test_states_and_stops():
    spellings = PROCESSOR.state_reader.spellings
    assert TOKENIZER.convert_ids_to_tokens([ids[0] for ids in spellings.values()]) == ["<1>", "<2>", "<3>"]
    assert PROCESSOR.stop_ids == (TOKENIZER.eos_token_id,)


@pytest.mark.parametrize("auto", [False, True])
def test_saving_and_loading(tmp_path, auto):
    prompts = SystemPrompts(neither="what", image="is", video="it")
    template = VitaTemplate(prompts=prompts, end="</s>")
    saved = VitaProcessor(TOKENIZER, make(template="mixtral_two").config, template)
    saved.save_pretrained(tmp_path)
    loaded = (AutoProcessor if auto else VitaProcessor).from_pretrained(tmp_path)
    assert isinstance(loaded, VitaProcessor)
    assert loaded.template == template
    messages = [[Message.user("what", picture(100, 30))]]
    before, after = saved(messages), loaded(messages)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_loading_without_processor_config_takes_our_prompts(tmp_path):
    make(template="mixtral_two").save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").unlink()
    assert VitaProcessor.from_pretrained(tmp_path).template.prompts == SystemPrompts()


def test_a_config_that_is_there_is_left_alone(tmp_path):
    PROCESSOR.config.save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text(encoding="utf-8")) | {"note": "the model's own"}
    (tmp_path / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    PROCESSOR.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["note"] == "the model's own"


def test_bad_folders(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        VitaProcessor.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError):
        VitaProcessor.from_pretrained(tmp_path / "none")
    PROCESSOR.config.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no tokenizer"):
        VitaProcessor.from_pretrained(tmp_path)
    PROCESSOR.save_pretrained(tmp_path)
    (tmp_path / "processor_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match="processor_config"):
        VitaProcessor.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="push_to_hub"):
        PROCESSOR.save_pretrained(tmp_path, push_to_hub=True)

"""Records with media files -> samples -> a batch."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import soundfile
import torch

from vita.data.collate import Sample, collate
from vita.data.loading import build_sample, load_media
from vita.data.records import MediaFolders, Record
from vita.errors import DataError
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import VitaProcessor
from vita.tokens import IGNORE_LABEL
from vita.train.tokenizer import build_tokenizer

TURNS = [{"from": "human", "value": "<image>\n<audio>"}, {"from": "gpt", "value": "a red circle"}]
RECORD = Record.from_json({"id": "s1", "set": "s", "image": "a.png", "audio": "a.wav", "conversations": TURNS})
TEXT = Record.from_json(
    {"id": "s2", "conversations": [{"from": "human", "value": "what"}, {"from": "gpt", "value": "red"}]}
)


@pytest.fixture(scope="module")
def processor() -> VitaProcessor:
    tokenizer = build_tokenizer(["what is it a red circle"])
    image_id, audio_id = tokenizer.convert_tokens_to_ids(["<image>", "<audio>"])
    config = VitaConfig(
        template="tokenizer",
        text_config={"model_type": "llama", "hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1},
        vision_config={"image_size": [28, 28], "hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1},
        audio_config={"output_dim": 32, "hidden_size": 32, "num_attention_heads": 1, "num_hidden_layers": 1},
        image_token_id=image_id,
        audio_token_id=audio_id,
        max_tiles=4,
        tokenizer_model_max_length=60,
    )
    return VitaProcessor(tokenizer, config)


@pytest.fixture
def folders(tmp_path) -> MediaFolders:
    PIL.Image.new("RGB", (60, 30), "red").save(tmp_path / "a.png")
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(12000) / 20).astype(np.float32), 16000)
    return MediaFolders(sets={"s": tmp_path}, audio=tmp_path)


def test_a_sample_and_a_batch(processor, folders):
    config = processor.config
    samples = [build_sample(record, load_media(record, folders), processor) for record in (RECORD, TEXT)]
    first, second = samples
    assert first.pixel_values.shape == (3, 3, 28, 28)  # two tiles and the thumbnail
    assert first.input_ids.count(config.image_token_id) == sum(first.tile_token_counts)
    frames = len(first.audio_features[0])
    assert frames == 1 + (12000 - 400) // 160
    assert first.input_ids.count(config.audio_token_id) == config.audio_config.num_audio_tokens(frames)
    replies = [[label for label in sample.labels if label != IGNORE_LABEL] for sample in samples]
    decoded = [processor.tokenizer.decode(reply) for reply in replies]
    assert decoded == ["<1> a red circle<|end|>", "<3> red<|end|>"]

    batch = collate([second, first], pad_id=0)
    length = len(first.input_ids)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape == (2, length)
    assert batch["input_ids"][0].tolist() == second.input_ids + [0] * (length - len(second.input_ids))
    assert batch["labels"][0, len(second.labels) :].eq(IGNORE_LABEL).all()
    assert batch["attention_mask"].sum(1).tolist() == [len(second.input_ids), length]
    assert batch["position_ids"][1].tolist() == list(range(length))
    assert batch["tile_token_counts"].tolist() == first.tile_token_counts
    assert batch["audio_lengths"].tolist() == [frames]


def test_a_batch_of_text_has_no_media(processor, folders):
    sample = build_sample(TEXT, load_media(TEXT, folders), processor)
    assert set(collate([sample], pad_id=0)) == {"input_ids", "labels", "attention_mask", "position_ids"}


def test_a_pad_id_inside_a_text_is_read():
    """The reference masks it, because it takes every pad id for padding."""
    batch = collate([Sample(input_ids=[5, 0, 6], labels=[-100, 0, 6])], pad_id=0)
    assert batch["attention_mask"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [Sample(input_ids=[1, 2], labels=[1])],
        [Sample(input_ids=[1], labels=[1], pixel_values=torch.zeros(2, 3, 4, 4), tile_token_counts=[1])],
        [
            Sample(input_ids=[1], labels=[1], pixel_values=torch.zeros(1, 3, 4, 4), tile_token_counts=[1]),
            Sample(input_ids=[1], labels=[1], pixel_values=torch.zeros(1, 3, 4, 4)),
        ],
    ],
)
def test_batches_that_do_not_fit(samples):
    with pytest.raises(DataError):
        collate(samples, pad_id=0)


def test_missing_and_broken_media_name_the_sample(folders, tmp_path):
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match=r"sample s1.*a\.wav"):
        load_media(RECORD, folders)


def test_a_sample_longer_than_the_context(processor, folders):
    turns = [TURNS[0], {"from": "gpt", "value": "a red circle " * 20}]
    record = Record.from_json({**RECORD.to_json(), "conversations": turns})
    with pytest.raises(DataError, match="sample s1 is too long"):
        build_sample(record, load_media(record, folders), processor)

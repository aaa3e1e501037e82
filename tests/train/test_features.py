"""What the frozen towers give, cached: sizes as in use, made once for the towers and turns that they belong to."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from vita.chat import messages
from vita.media import Clip
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import VitaProcessor
from vita.synth.pictures import turn_images
from vita.synth.speech_set import SpeechShard, SpokenTurn, shard_turns
from vita.tokens import IGNORE_LABEL, State
from vita.train import features
from vita.train.features import (
    FeatureShard,
    feature_shard,
    hear_shard,
    indices_with_pictures,
    see_shard,
    silent_shard,
    stack,
)
from vita.train.hearing import Hearing
from vita.train.instruct import collate
from vita.train.multimodal import LONG_ANSWER, MAX_HISTORY, RealSequences, picture_turns
from vita.train.samples import UNKNOWN, TurnWriter
from vita.train.seeing import PictureBatches, Seeing

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def towers(config: VitaConfig) -> tuple[Hearing, Seeing]:
    torch.manual_seed(0)
    return Hearing(config.audio_config, 30), Seeing(config)


@pytest.fixture(scope="module")
def shard() -> SpeechShard:
    """Turns as they are drawn, with frames made up."""
    turns = shard_turns(6, 0, 70)
    rng = np.random.default_rng(0)
    offsets = np.cumsum([0, *rng.integers(9, 150, len(turns))])
    return SpeechShard(turns, rng.normal(-6, 2, (offsets[-1], 80)).astype(np.float16), offsets)


def test_sounds_give_as_many_vectors_as_the_processor_reserves(
    towers: tuple[Hearing, Seeing], shard: SpeechShard, config: VitaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "AUGMENTED_SHARE", 0.0)
    heard, offsets = hear_shard(towers[0], shard, 0, CPU)
    frames = np.diff(shard.offsets)
    assert np.diff(offsets).tolist() == [config.audio_config.num_audio_tokens(int(n)) for n in frames]
    assert (heard.dtype, heard.shape) == (np.float16, (offsets[-1], 16))
    hearing = towers[0].eval()
    for index in (0, 33, 69):
        mel = torch.from_numpy(shard.mel(index)).float()[None]
        with torch.inference_mode():
            alone, _ = hearing.connector.hidden(*hearing.tower(mel, torch.tensor([mel.shape[1]])))
        assert heard[offsets[index] : offsets[index + 1]] == pytest.approx(alone[0].numpy(), abs=0.1)


def test_some_clips_are_heard_through_noise_the_same_ones_each_time(
    towers: tuple[Hearing, Seeing], shard: SpeechShard, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, again, other = (hear_shard(towers[0], shard, number, CPU) for number in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_pictures_and_frames_give_as_many_vectors_as_the_processor_reserves(
    towers: tuple[Hearing, Seeing], shard: SpeechShard, config: VitaConfig
) -> None:
    pictures = PictureBatches(config, seed=0, batch_size=1)
    seen, offsets = see_shard(towers[1], shard.turns, pictures, 4, CPU)
    counts = np.diff(offsets)
    rng, clips, stills = random.Random("see 4"), 0, 0
    for index, item in enumerate(shard.turns):
        images = turn_images(item.turn, rng)
        wanted = 0 if not images else config.num_image_tokens
        if item.turn.clip is not None:
            wanted = len(images) * config.num_frame_tokens
        assert counts[index] == wanted
        if images and clips * stills == 0:
            with torch.inference_mode():
                flat = torch.from_numpy(np.stack([pictures.normalise(image) for image in images]))
                hidden = towers[1].eval().connector.hidden(towers[1].tower(flat))
            first = hidden[:, : wanted // len(images)].flatten(0, 1).numpy()
            assert seen[offsets[index] : offsets[index + 1]] == pytest.approx(first, abs=0.1)
        clips, stills = clips + (item.turn.clip is not None), stills + (item.turn.scene is not None)
    assert min(clips, stills) >= 2
    assert list(indices_with_pictures([FeatureShard(shard.turns, seen, offsets, seen, offsets)])) == [
        (0, i) for i in np.flatnonzero(counts)
    ]


def test_without_any_picture_nothing_is_seen(towers: tuple[Hearing, Seeing], config: VitaConfig) -> None:
    turns = [item for item in shard_turns(2, 0, 30) if item.turn.scene is None and item.turn.clip is None]
    seen, offsets = see_shard(towers[1], turns, PictureBatches(config, seed=0, batch_size=1), 0, CPU)
    assert (seen.shape, offsets.tolist()) == ((0, config.vision_width), [0] * (len(turns) + 1))


@pytest.mark.parametrize("size", [(64, 64), (200, 200), (320, 180), (90, 200)])
def test_frames_are_looked_at_in_training_as_in_use(
    tokenizer: PreTrainedTokenizerFast, config: VitaConfig, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    frame = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    ours = PictureBatches(config, seed=0, batch_size=1).normalise(frame)
    video = messages.Video(Clip(frames=[frame], times_s=np.zeros(1), fps=1.0))
    used = VitaProcessor(tokenizer, config).encode_medium(video).pixel_values
    assert used is not None
    assert np.abs(ours - used[0]).max() < 2.1 / 255 / min(config.image_std)


def test_features_are_made_once_for_their_towers_and_turns(
    towers: tuple[Hearing, Seeing], config: VitaConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def hear(model: Hearing, shard: SpeechShard, seed: int, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
        made.append(seed)
        return stack([np.full((1, 16), len(made), np.float16)] * len(shard.turns))

    monkeypatch.setattr(features, "hear_shard", hear)
    turns = shard_turns(2, 0, 3)
    own = SpeechShard(turns, np.zeros((30, 80), np.float16), np.asarray([0, 10, 20, 30]))

    def ask(shard: SpeechShard = own, number: int = 0) -> FeatureShard:
        return feature_shard(tmp_path / f"{number}.npz", shard, number, *towers, config, CPU)

    first, again = ask(), ask()
    assert made == [0]
    assert all(np.array_equal(getattr(first, a), getattr(again, a)) for a in features._ARRAYS)
    assert (again.turns, again.sound(1).tolist()) == (turns, [[1.0] * 16])
    ask(number=1)
    assert made == [0, 1]
    other: list[SpokenTurn] = shard_turns(3, 0, 3)
    ask(SpeechShard(other, own.mels, own.offsets))
    assert made == [0, 1, 0]
    with torch.no_grad():
        towers[0].phonemes.bias.add_(1)
    ask(SpeechShard(other, own.mels, own.offsets))
    assert made == [0, 1, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npz", "1.npz"]


def test_pictures_that_no_spoken_turn_shows_are_seen_and_asked_about(
    towers: tuple[Hearing, Seeing], config: VitaConfig, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    turns = picture_turns(0, 1, 40)
    assert all(item.turn.scene is not None for item in turns)
    assert len({item.turn.kind for item in turns}) > 3
    assert turns == picture_turns(0, 1, 40)
    assert turns != picture_turns(0, 2, 40)
    shard = feature_shard(tmp_path / "pictures.npz", silent_shard(turns), 1, *towers, config, CPU)
    assert not len(shard.sound(3))
    assert len(shard.sight(3)) == config.num_image_tokens
    sequences = RealSequences(TurnWriter(tokenizer, config.states), [shard])
    assert not sequences.spoken
    sums = sum(item.turn.scene is not None and item.turn.scene.kind == "sum" for item in turns)
    assert len(sequences.pictured) == len(turns) + 2 * sums > len(turns)


@pytest.fixture(scope="module")
def real(
    tokenizer: PreTrainedTokenizerFast, config: VitaConfig, towers: tuple[Hearing, Seeing], shard: SpeechShard
) -> RealSequences:
    """Sequences from features of the shard, sounds numbered by their turn."""
    heard, heard_offsets = stack([np.full((2, 16), i, np.float16) for i in range(len(shard.turns))])
    seen, seen_offsets = see_shard(towers[1], shard.turns, PictureBatches(config, seed=0, batch_size=1), 0, CPU)
    loaded = FeatureShard(shard.turns, heard, heard_offsets, seen, seen_offsets)
    return RealSequences(TurnWriter(tokenizer, config.states), [loaded])


def test_spoken_turns_come_with_their_own_sound_and_answer(
    real: RealSequences, shard: SpeechShard, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Whole, or where another turn follows a long answer, now and then cut as by an interruption; what is not for the
    model is now and then answered all the same, without its state being learned."""
    rng, heard, symbolic, typed_on_pictures, cut, forced = random.Random(1), set(), 0, 0, 0, 0
    for _ in range(2500):
        sequence = real(rng)
        symbolic += bool(sequence.sounds or sequence.slots)
        kinds = [kind for _, kind, _ in sequence.features]
        typed_on_pictures += kinds == ["seen"]
        for start, kind, vectors in sequence.features:
            if kind == "heard":
                index = int(vectors[0, 0])
                heard.add(index)
                turn = shard.turns[index].turn
                reply = real.writer.reply_ids(turn, turn.state(spoken=True))
                begin = start + len(vectors) + 2
                if sequence.labels[begin] == IGNORE_LABEL:  # made to answer what is not for it
                    forced += 1
                    wanted = replace(turn, answer=UNKNOWN[turn.lang])
                    expected = real.writer.reply_ids(wanted, State.SPOKEN_QUERY)
                    assert turn.noise
                    assert sequence.ids[begin : begin + len(expected)] == expected
                    assert sequence.labels[begin + 1 : begin + len(expected)] == expected[1:]
                    continue
                learned = list(takewhile(lambda label: label != IGNORE_LABEL, sequence.labels[begin:]))
                assert learned == reply[: len(learned)] == sequence.ids[begin : begin + len(learned)]
                if learned == reply:
                    continue
                cut += 1
                assert len(reply) >= LONG_ANSWER
                assert len(learned) >= 2
                assert sequence.ids[begin + len(learned)] == real.writer.end
                assert sequence.ids[begin + len(learned) + 1] == real.writer.user
    assert heard <= {i for i, item in enumerate(shard.turns) if item.turn.kind != "salad"}
    assert len(heard) > 40
    assert cut > 3
    assert forced > 5
    assert symbolic > 10
    assert typed_on_pictures > 40


def test_new_questions_on_a_seen_picture_are_typed_or_simulated_and_say_so(real: RealSequences) -> None:
    rng, typed, simulated = random.Random(2), 0, 0
    heads = real.writer.heads
    for _ in range(300):
        sequence = real(rng)
        if [kind for _, kind, _ in sequence.features] != ["seen"] or sequence.slots:
            continue
        first = next(label for label in sequence.labels if label != IGNORE_LABEL)
        if not sequence.sounds:
            typed += 1
            assert first == heads[State.TYPED_QUERY]
        elif sequence.sounds[0][0] > sequence.features[0][0] and first != heads[State.TYPED_QUERY]:
            simulated += 1
            assert first == heads[State.SPOKEN_QUERY]
    assert typed > 20
    assert simulated > 20


def test_sequences_are_repeatable_and_have_a_reply(real: RealSequences) -> None:
    rng = random.Random(2)
    state = rng.getstate()
    sequence = real(rng)
    rng.setstate(state)
    assert real(rng).ids == sequence.ids
    sequences = [real(rng) for _ in range(500)]
    turns = [s.ids.count(real.writer.user) for s in sequences]
    assert max(turns) > 4
    assert 0.75 < turns.count(1) / len(turns) < 0.9  # 0.83 is expected, lessons included
    assert max(len(s.ids) for s in sequences) < MAX_HISTORY + 250
    batch = collate(sequences[:4])
    assert (batch["labels"] != IGNORE_LABEL).any(1).all()

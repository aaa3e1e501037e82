"""Training sequences have the very layout that the processor gives the same turns when the model is used."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from PIL import Image as Picture
from transformers import PreTrainedTokenizerFast

from vita.chat import Audio, Image, Message, Video
from vita.chat.messages import Part, Text
from vita.media import Clip
from vita.models.configuration_vita import VitaConfig
from vita.models.filterbank import num_frames
from vita.models.processing_vita import VitaProcessor
from vita.synth.scenes import FRAME_SLOTS, GROUP_SIZES, NUM_SLOTS, Scene, Thing, slot_labels
from vita.synth.speech_set import SpokenTurn, shard_turns
from vita.synth.turns import Turn
from vita.tokens import IGNORE_LABEL, State
from vita.train import samples
from vita.train.features import FeatureShard, stack
from vita.train.multimodal import RealSequences
from vita.train.samples import (
    FILLER_RATE,
    FILLERS,
    Sequence_,
    TurnWriter,
    draw_turn,
    symbolic_sequence,
    typed_form,
    write_symbolic,
)

MEDIA = -1
"""Stands for a position of a picture or a sound in the comparisons."""


@pytest.fixture(scope="module")
def processor(tokenizer: PreTrainedTokenizerFast, pocket: VitaConfig) -> VitaProcessor:
    return VitaProcessor(tokenizer, pocket)


def shown(turn: Turn) -> list[Part]:
    """The picture or clip of a turn as parts of a message; what is on it does not matter here."""
    if turn.clip is not None:
        frames = [Picture.new("RGB", (120, 90)) for _ in turn.clip.frames]
        return [Video(Clip(frames=frames, times_s=np.arange(len(frames), dtype=float), fps=1.0))]
    return [Image(Picture.new("RGB", (300, 200)))] if turn.scene is not None else []


def asked(turn: Turn, samples_: np.ndarray | None) -> Message:
    said: list[Part] = [Text(turn.question)] if samples_ is None else [Audio(samples_)]
    return Message("user", (*shown(turn), *said))


def processed(processor: VitaProcessor, messages: list[Message], *, prompt: bool) -> tuple[list[int], list[int]]:
    """Ids as they are used, and the same with every id of a medium as MEDIA."""
    ids = processor.encode(messages, add_generation_prompt=prompt).ids
    media = (processor.config.image_token_id, processor.config.audio_token_id)
    return ids, [MEDIA if i in media else i for i in ids]


def written(sequence: Sequence_) -> list[int]:
    """Ids of a sequence, its media positions as MEDIA."""
    ids = list(sequence.ids)
    filled = [(start, len(slots)) for start, slots in sequence.slots]
    filled += [(start, len(symbols)) for start, symbols, _ in sequence.sounds]
    filled += [(start, len(vectors)) for start, _, vectors in sequence.features]
    for start, count in filled:
        assert ids[start : start + count] == [0] * count
        assert sequence.labels[start : start + count] == [IGNORE_LABEL] * count
        ids[start : start + count] = [MEDIA] * count
    return ids


def wave_for(count: int, config: VitaConfig) -> np.ndarray:
    """A sound of exactly `count` audio tokens."""
    for size in range(400, 400_000, 160):
        if config.audio_config.num_audio_tokens(num_frames(size)) == count:
            return np.zeros(size, np.float32)
    raise AssertionError(f"no sound has {count} tokens")


def reply(turn: Turn, state: State) -> Message:
    return Message.assistant("" if state is State.NOISE else turn.answer, state)


def test_typed_turns_are_written_as_the_processor_writes_them(processor: VitaProcessor, writer: TurnWriter) -> None:
    rng, kinds = random.Random(0), Counter()
    for _ in range(200):
        turn = draw_turn(rng, typed=True)
        sequence = Sequence_()
        write_symbolic(writer, sequence, turn, True, rng)
        ids, places = processed(processor, [asked(turn, None)], prompt=True)
        assert written(sequence)[: len(ids)] == places, turn
        if not turn.spell:
            whole, places = processed(processor, [asked(turn, None), reply(turn, State.TYPED_QUERY)], prompt=False)
            assert written(sequence) == places, turn
            assert sequence.labels == [IGNORE_LABEL] * len(ids) + whole[len(ids) :]
        kinds["clip" if turn.clip else "scene" if turn.scene else "text"] += 1
    assert min(kinds.values()) > 10
    assert len(kinds) == 3


def test_the_processor_expands_media_to_as_many_ids_as_training(processor: VitaProcessor, pocket: VitaConfig) -> None:
    assert (pocket.num_image_tokens, pocket.num_frame_tokens) == (NUM_SLOTS, FRAME_SLOTS)
    assert pocket.vision_connector["group_sizes"] == list(GROUP_SIZES)
    batch = processor([[Message.user(Image(Picture.new("RGB", (900, 100))), "where")]])
    assert batch["tile_token_counts"].tolist() == [NUM_SLOTS]
    assert (batch["input_ids"] == pocket.image_token_id).sum() == NUM_SLOTS
    frames = [Picture.new("RGB", (64, 64))] * 5
    batch = processor([[Message.user(Video(Clip(frames, np.arange(5.0), 1.0)), "what")]])
    assert batch["tile_token_counts"].tolist() == [FRAME_SLOTS] * 5
    assert (batch["input_ids"] == pocket.image_token_id).sum() == 5 * FRAME_SLOTS


def test_spoken_turns_with_real_features_are_written_as_the_processor_writes_them(
    processor: VitaProcessor, writer: TurnWriter, pocket: VitaConfig
) -> None:
    turns = [item for item in shard_turns(5, 0, 150) if item.turn.kind != "salad"]
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, len(turns)).tolist()
    real = RealSequences(writer, [features(turns, counts, pocket)])
    spelled = 0
    for index, (item, count) in enumerate(zip(turns, counts, strict=True)):
        sequence = Sequence_()
        real._write(sequence, item.turn, random.Random(0), (0, index), (0, index))
        wave = wave_for(count, pocket)
        ids, places = processed(processor, [asked(item.turn, wave)], prompt=True)
        assert written(sequence)[: len(ids)] == places, item.turn
        state = item.turn.state(spoken=True)
        spelled += item.turn.spell
        if not item.turn.spell:
            _, places = processed(processor, [asked(item.turn, wave), reply(item.turn, state)], prompt=False)
            assert written(sequence) == places, item.turn
    assert spelled > 5


def features(turns: list[SpokenTurn], counts: list[int], config: VitaConfig) -> FeatureShard:
    """Random features of the right sizes."""
    frames = [len(i.turn.clip.frames) * config.num_frame_tokens if i.turn.clip else 0 for i in turns]
    slots = [config.num_image_tokens if i.turn.scene else f for i, f in zip(turns, frames, strict=True)]
    heard, heard_offsets = stack([np.ones((n, 4), np.float16) for n in counts])
    seen, seen_offsets = stack([np.ones((n, 4), np.float16) for n in slots])
    return FeatureShard(turns, heard, heard_offsets, seen, seen_offsets)


def test_several_turns_are_written_one_after_another(processor: VitaProcessor, writer: TurnWriter) -> None:
    turns = [
        Turn(kind="fact", lang="en", question="what is the biggest animal", answer="the blue whale"),
        Turn(kind="statement", lang="zh", question="我们吃饭了", answer="", noise=True),
        Turn(kind="sum", lang="zh", question="三加四？", answer="七"),
    ]
    rng, sequence = random.Random(1), Sequence_()
    for turn, typed in zip(turns, (True, False, True), strict=True):
        write_symbolic(writer, sequence, turn, typed, rng)
    count = len(sequence.sounds[0][1])
    messages = [
        asked(turns[0], None), reply(turns[0], State.TYPED_QUERY),
        asked(turns[1], wave_for(count, processor.config)), reply(turns[1], State.NOISE),
        asked(turns[2], None), reply(turns[2], State.TYPED_QUERY),
    ]  # fmt: skip
    assert written(sequence) == processed(processor, messages, prompt=False)[1]


def test_only_replies_are_learned_and_states_are_right(writer: TurnWriter) -> None:
    rng, states = random.Random(2), Counter()
    for _ in range(300):
        sequence = symbolic_sequence(writer, rng)
        assert len(sequence.ids) == len(sequence.labels)
        learned = [i for i, label in enumerate(sequence.labels) if label != IGNORE_LABEL]
        assert [sequence.ids[i] for i in learned] == [sequence.labels[i] for i in learned]
        begins = [i for i in learned if i - 1 not in learned]
        ends = [i for i in learned if i + 1 not in learned]
        assert all(sequence.ids[i - 1] == writer.bot for i in begins)
        assert all(sequence.ids[i] == writer.end for i in ends)
        assert len(begins) == sequence.ids.count(writer.user)
        for begin, end in zip(begins, ends, strict=True):
            state = next(s for s, head in writer.heads.items() if head == sequence.ids[begin])
            states[state] += 1
            assert (end == begin + 1) == (state is State.NOISE)
    assert set(states) == set(State)


def test_symbolic_pictures_are_the_slot_labels(writer: TurnWriter) -> None:
    scene = Scene(kind="shapes", things=(Thing(shape="star", colour="red", x=0.5, y=0.5),))
    turn = Turn(kind="where", lang="en", question="where is it", answer="center", scene=scene)
    for seed in range(40):
        sequence = Sequence_()
        write_symbolic(writer, sequence, turn, True, random.Random(seed))
        ((start, labels),) = sequence.slots
        assert start == 1
        wrong = np.argwhere(labels != slot_labels(scene))
        assert all((slot, factor) in ((4, 4), (4, 5)) for slot, factor in wrong.tolist())


def test_slots_err_now_and_then_by_one_step() -> None:
    scene = Scene(kind="shapes", things=(Thing(shape="star", colour="red", x=0.01, y=0.99),))
    labels, rng, changed = slot_labels(scene), random.Random(0), 0
    for _ in range(1000):
        noisy = samples.noisy_slots(labels, rng)
        assert np.abs(noisy - labels).max() <= 1
        assert noisy[:, 4:6].max() <= 8
        assert noisy[6, 4:6].min() >= 1
        changed += bool((noisy != labels).any())
    assert 30 < changed < 120
    empty = np.zeros_like(labels)
    assert not samples.noisy_slots(empty, random.Random(3)).any()


@pytest.mark.parametrize(
    ("text", "lang"), [("what is the biggest animal", "en"), ("最大的动物是什么", "zh"), ("", "en")]
)
def test_simulated_sound_is_a_posterior_that_tells_the_words(writer: TurnWriter, text: str, lang: str) -> None:
    ids, right = writer.text_ids(text), 0
    for seed in range(60):
        symbols, weights = writer.simulated_sound(text, lang, random.Random(seed))
        assert symbols.shape == weights.shape == (len(symbols), samples.POSTERIOR_WIDTH)
        assert len(symbols) >= max(1, len(ids) // 2)
        assert np.allclose(weights.sum(1), 1, atol=1e-5)
        assert (weights >= -1e-6).all()
        assert ((symbols >= 0) & (symbols <= writer.blank)).all()
        best = symbols[np.arange(len(symbols)), weights.argmax(1)].tolist()
        told = [s for i, s in enumerate(best) if s != writer.blank and (i == 0 or s != best[i - 1])]
        right += told == ids
    assert right > (15 if ids else 55)


def test_typed_form_adds_marks_and_fillers_and_loses_a_word_now_and_then_where_that_is_forgivable() -> None:
    rng, question = random.Random(4), "where is the red star"
    typed = [typed_form(question, "en", rng) for _ in range(1000)]
    assert {text[-1] for text in typed} >= {"r", "?", "."}
    words = [text.rstrip("?.").split() for text in typed]
    assert {" ".join(word for word in text if word not in FILLERS) for text in words} == {question}
    added = [len(text) - 5 for text in words]
    assert set(added) == {0, 1, 2}
    assert added.count(0) / 1000 == pytest.approx(1 - FILLER_RATE, abs=0.04)

    forgiven = [typed_form(question, "en", rng, forgiving=True).rstrip("?.").split() for _ in range(2000)]
    left = Counter(" ".join(word for word in text if word not in FILLERS) for text in forgiven)
    assert left[question] / 2000 == pytest.approx(0.9, abs=0.03)
    assert set(left) == {
        "where is the red star", "is the red star", "where the red star", "where is red star", "where is the star",
        "where is the red",
    }  # fmt: skip
    assert {typed_form("在哪", "zh", rng, forgiving=True) for _ in range(200)} == {"在哪", "在哪？", "在哪."}


def test_typed_turns_are_of_every_task_and_never_noise() -> None:
    rng = random.Random(5)
    turns = [draw_turn(rng, typed=True) for _ in range(800)]
    assert not any(turn.noise for turn in turns)
    unknown = [turn for turn in turns if turn.kind == "unknown"]
    assert len(unknown) / 800 == pytest.approx(samples.TYPED_TASKS["unknown"], abs=0.03)
    assert {turn.answer for turn in unknown} == set(samples.UNKNOWN.values())
    assert not any(draw_turn(rng, typed=False).kind == "salad" for _ in range(300))


def test_the_same_seed_gives_the_same_sequence(writer: TurnWriter) -> None:
    first, again = ([symbolic_sequence(writer, random.Random(seed)).ids for seed in range(20)] for _ in range(2))
    assert first == again
    assert len({tuple(ids) for ids in first}) == 20

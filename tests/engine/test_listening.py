"""A sound that is heard while it arrives: the numbers of the whole sound, early states, and nothing left to do late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from tests.conftest import make_model
from vita import checkpoints
from vita.chat.messages import Audio, Image, Message, Part
from vita.engine.listening import LocalListening
from vita.engine.local import LocalContext, LocalEngine
from vita.engine.prefix import Prefix
from vita.engine.protocol import Sampling
from vita.errors import LimitError, MediaError, PromptError
from vita.tokens import State

SHORT = Sampling(max_new_tokens=8, state="answer")
RED = Image(PIL.Image.new("RGB", (28, 28), "red"))
SOUND = np.random.default_rng(0).normal(0, 0.1, 36_960).astype(np.float32)
SIZES = {"10 ms": 160, "37 ms": 592, "640 ms": 10_240, "at once": len(SOUND)}
MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "chunks": lambda: make_model(chunk_size=4, left_chunks=2, connector_type="ctc", ctc_vocab_size=9),
    "chunks-late-connector": lambda: make_model(chunk_size=3, position="rel"),
    "full attention": make_model,
    "pocket": lambda: checkpoints.load("pocket", device="cpu", dtype="float32"),
}


@pytest.fixture(scope="module", params=MODELS)
def any_engine(request: pytest.FixtureRequest) -> LocalEngine:
    return LocalEngine(*MODELS[request.param]())


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(*MODELS["chunks"]())


def hear(context: LocalContext, samples: np.ndarray = SOUND, size: int = 10_240) -> LocalListening:
    listening = context.listen()
    for start in range(0, len(samples), size):
        listening.push(samples[start : start + size])
    return listening


def answer(context: LocalContext) -> str:
    return context.reply(SHORT).result().text


def told(engine: LocalEngine, *parts: Part | str) -> LocalContext:
    return engine.open(messages=[Message.user(*parts)])


def cache_of(context: LocalContext) -> torch.Tensor:
    """Keys and values of all layers."""
    return torch.stack([torch.stack([layer.keys, layer.values]) for layer in context._prefix._cache.layers])


def test_listening_is_appending(any_engine: LocalEngine) -> None:
    batch = told(any_engine, Audio(SOUND))
    logits_V = batch._prefix.read(batch._builder.build(batch.messages, answering=True))
    ids, cache = batch._prefix._read.ids, cache_of(batch)
    expected = batch.reply(SHORT)
    for size in SIZES.values():
        context = any_engine.open()
        listening = hear(context, size=size)
        assert listening.seconds == pytest.approx(2.31)
        listening.close()
        assert context._prefix._read.ids == ids
        torch.testing.assert_close(cache_of(context), cache, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(context._prefix._logits_V, logits_V, atol=1e-4, rtol=1e-4)
        reply = context.reply(SHORT)
        assert reply.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        assert reply.result().text == expected.result().text
        assert reply.result().usage == expected.result().usage
        sound = context.messages[0].parts[0]
        assert isinstance(sound, Audio)
        assert np.array_equal(sound.samples, SOUND)


def test_in_the_middle_of_a_conversation(engine: LocalEngine) -> None:
    context = engine.open(system="be brief")
    context.append(RED, "what is")
    hear(context).close()
    context.append("and more")
    answer(context)
    hear(context, SOUND[:9000]).close()
    hear(context, SOUND[5000:20_000]).close()
    history = context.messages
    assert [len(message.parts) for message in history] == [1, 4, 1, 2]
    assert answer(context) == answer(engine.open(messages=history))


def test_a_probe_says_what_the_turn_would_be(engine: LocalEngine) -> None:
    context, plain = engine.open(), engine.open()
    listening, unprobed = context.listen(), plain.listen()
    for end in range(4000, len(SOUND), 4000):
        for each in (listening, unprobed):
            each.push(SOUND[end - 4000 : end])
        expected = told(engine, Audio(SOUND[:end])).reply().probabilities
        assert set(expected) == set(State)
        assert listening.probe() == pytest.approx(expected, abs=1e-4)
        assert listening.probe() == pytest.approx(expected, abs=1e-4)
    assert context.messages == ()
    listening.close()
    unprobed.close()
    assert context.reply().probabilities == pytest.approx(plain.reply().probabilities, abs=1e-4)


def test_a_cache_that_cannot_be_cut(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models with a recurrent state: going back takes copies of the cache."""
    monkeypatch.setattr(Prefix, "_croppable", lambda self: False)
    context = engine.open()
    listening = hear(context, SOUND[:12_000])
    listening.probe()
    listening.push(SOUND[12_000:])
    assert listening.probe() == pytest.approx(told(engine, Audio(SOUND)).reply().probabilities, abs=1e-4)
    listening.close()
    assert answer(context) == answer(told(engine, Audio(SOUND)))


@pytest.mark.parametrize("probed", [False, True])
def test_only_the_end_is_left_to_read(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, probed: bool) -> None:
    context = engine.open()
    listening = hear(context, np.tile(SOUND, 6), size=1600)
    if probed:
        listening.probe()
    lengths: list[int] = []
    original = engine.model.language_model.forward

    def forward(**inputs: Any) -> Any:
        given = inputs["input_ids"] if inputs.get("input_ids") is not None else inputs["inputs_embeds"]
        lengths.append(given.shape[1])
        return original(**inputs)

    monkeypatch.setattr(engine.model.language_model, "forward", forward)
    monkeypatch.setattr(engine.model, "get_audio_features", None)
    listening.close()
    after = len(context._prefix._read.ids) - context._prefix._read.spans[-1].end
    assert sum(lengths) <= (0 if probed else 3 + after)
    lengths.clear()
    reply = context.reply(SHORT)
    assert max(lengths) <= 2, "the state's spelling, nothing else"
    assert reply.result().timing.prefill_ms > 0


def test_cancelled_is_never_heard(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("hello")
    listening = hear(context)
    listening.probe()
    listening.cancel()
    listening.cancel()
    for ended in (lambda: listening.push(SOUND), listening.probe, listening.close):
        with pytest.raises(PromptError, match="this sound has ended"):
            ended()
    assert context.messages == (Message.user("hello"),)
    assert answer(context) == answer(told(engine, "hello"))


def test_nothing_else_while_listening(engine: LocalEngine) -> None:
    context = told(engine, "hello")
    listening = hear(context)
    others = (context.listen, context.reply, context.fork, lambda: context.append("x"), lambda: context.rewind(0))
    for forbidden in others:
        with pytest.raises(PromptError, match="still being listened to"):
            forbidden()
    listening.close()
    branch = context.fork()
    branch.rewind(0)
    reply = context.reply(SHORT)
    with pytest.raises(PromptError, match="still being written"):
        context.listen()
    assert reply.result().text == answer(told(engine, "hello", Audio(SOUND)))


def test_forks_and_rewinds_around_a_sound(engine: LocalEngine) -> None:
    context = told(engine, "hello")
    first = answer(context)
    branch = context.fork()
    hear(context).close()
    hear(branch, SOUND[:8000]).close()
    expected = [answer(engine.open(messages=each.messages)) for each in (context, branch)]
    assert [answer(context), answer(branch)] == expected
    context.rewind(1, heard=first[:2])
    hear(context, SOUND[:8000]).close()
    assert answer(context) == answer(engine.open(messages=context.messages[:-1]))


def test_what_cannot_be_heard(engine: LocalEngine) -> None:
    context = told(engine, "hello")
    listening = context.listen()
    for wrong in (np.zeros(400, np.int16), np.zeros((1, 400), np.float32), np.full(400, np.inf, np.float32)):
        with pytest.raises(MediaError, match="a piece of sound"):
            listening.push(wrong)
    listening.push(np.zeros(399, np.float32))
    with pytest.raises(MediaError, match="too short"):
        listening.probe()
    with pytest.raises(MediaError, match="too short"):
        listening.close()
    assert answer(context) == answer(told(engine, "hello"))


def test_a_sound_beyond_the_limit_ends_where_it_was(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.model.config, "tokenizer_model_max_length", 60)
    context = engine.open(system="s")
    listening = hear(context, SOUND[:16_000])
    with pytest.raises(LimitError, match="does not fit"):
        listening.push(np.zeros(160_000, np.float32))
    assert listening.seconds == 1.0
    listening.close()
    assert answer(context) == answer(engine.open("s", messages=[Message.user(Audio(SOUND[:16_000]))]))


def test_a_tower_that_can_place_so_many_frames() -> None:
    engine = LocalEngine(*make_model(chunk_size=4, position="abs", max_positions=25))
    listening = hear(engine.open(), SOUND[:16_000])
    with pytest.raises(LimitError, match="and 1 s"):
        listening.push(SOUND[:1600])
    listening.close()


def test_a_failed_push_cancels(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    context = told(engine, "hello")
    listening = hear(context)
    with monkeypatch.context() as patch:
        patch.setattr(engine.model.language_model.model.layers[1], "forward", None)
        with pytest.raises(TypeError):
            listening.push(SOUND)
    with pytest.raises(PromptError, match="has ended"):
        listening.push(SOUND)
    assert answer(context) == answer(told(engine, "hello"))


def test_conversations_in_turn_are_as_if_alone(engine: LocalEngine) -> None:
    sounds = [SOUND[:20_000], SOUND[3000:23_000], SOUND[9000:29_000]]
    alone = [answer(told(engine, Audio(sound))) for sound in sounds]
    contexts = [engine.open() for _ in sounds]
    assert {id(context._prefix._model) for context in contexts} == {id(engine.model)}, "weights once"
    listenings = [context.listen() for context in contexts]
    for start in range(0, 20_000, 4000):
        for listening, sound in zip(listenings, sounds, strict=True):
            listening.push(sound[start : start + 4000])
            listening.probe()
    assert {id(listening._sound.tower) for listening in listenings} == {id(engine.model.audio_tower)}
    for listening in listenings:
        listening.close()
    replies = [context.reply(SHORT) for context in contexts]
    writing = [iter(reply) for reply in replies]
    while any([next(pieces, None) for pieces in writing]):  # noqa: C419  (a turn for each, not up to the first)
        pass
    assert [reply.result().text for reply in replies] == alone

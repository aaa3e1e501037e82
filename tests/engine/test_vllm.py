"""The vLLM engine against a server that writes what it is told to: requests, states, endings, sound, errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import make_model
from tests.engine.test_local import BLUE, FILM, HUM
from tests.engine.vllm_stand_in import StandIn, standing_in
from vita.chat.messages import Audio, Message
from vita.engine.protocol import Sampling
from vita.engine.vllm import VllmEngine
from vita.engine.vllm_client import VllmServer
from vita.engine.vllm_messages import SoundEncoder
from vita.errors import DependencyError, LimitError, MediaError, PromptError
from vita.tokens import State

SECONDS = Audio(np.random.default_rng(0).standard_normal(32000).astype(np.float32) * 0.1)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with standing_in() as found:
        yield found


@pytest.fixture(scope="module")
def streamable() -> tuple[Any, Any]:
    return make_model(chunk_size=8)


@pytest.fixture
def engine(stand_in: StandIn, streamable: tuple[Any, Any]) -> VllmEngine:
    model, processor = streamable
    encoder = SoundEncoder(model.audio_tower, model.audio_connector)
    return VllmEngine(VllmServer(stand_in.url), processor, encoder)


def says(engine: VllmEngine, stand_in: StandIn, state: State, text: str = "", ending: str = "stop") -> None:
    """The next reply, a token a chunk."""
    ids = [*engine.processor.state_reader.spellings[state], *engine.processor.tokenizer(text).input_ids]
    stops = [engine.processor.stop_ids[0]] if ending == "stop" else []
    stand_in.ids, stand_in.ending = [[token] for token in [*ids, *stops]], ending


def tokens_of(parts: list[dict[str, Any]]) -> list[torch.Tensor]:
    data = [base64.b64decode(part["audio_embeds"]) for part in parts if part["type"] == "audio_embeds"]
    return [torch.load(io.BytesIO(one), weights_only=True) for one in data]


def test_a_reply_and_what_was_asked(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.TYPED_QUERY, "héllo")
    context = engine.open("Be brief.")
    context.append(BLUE, "what?")
    reply = context.reply(Sampling(max_new_tokens=9, state="answer", temperature=0.5, seed=3))
    assert reply.state is State.TYPED_QUERY
    assert "".join(reply) == "héllo"
    result = reply.result()
    spelled = len(engine.processor.state_reader.spellings[State.TYPED_QUERY])
    assert (result.text, result.ending) == ("héllo", "stop")
    assert result.usage.completion_tokens == spelled + 6
    assert result.usage.prompt_tokens == len(engine.prompt_ids(context.messages[:-1]))
    assert result.timing.prefill_ms > 0
    assert context.messages[-1] == Message.assistant("héllo", State.TYPED_QUERY)

    read, asked = stand_in.requests
    assert read["max_tokens"] == 1
    assert read["add_generation_prompt"] is False
    assert asked["max_tokens"] == 9 + spelled
    assert (asked["temperature"], asked["seed"], asked["vllm_xargs"]) == (0.5, 3, {"vita_state": "answer"})
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert [part["type"] for part in asked["messages"][1]["content"]] == ["image_url", "text"]


def test_probabilities_are_those_where_the_spellings_part(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.NOISE)
    spellings = engine.processor.state_reader.spellings  # "<", a digit, ">": the stand-in favours lower ids
    reply = engine.open(messages=[Message.user(HUM)]).reply()
    weights = {state: np.exp(-float(ids[1])) for state, ids in spellings.items()}
    assert reply.probabilities == pytest.approx({state: w / sum(weights.values()) for state, w in weights.items()})
    assert reply.result().ending == "noise"
    assert reply.result().text == ""


def test_several_tokens_in_one_chunk_and_the_longest_reply(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.SPOKEN_QUERY, "abcd", ending="length")
    stand_in.ids = [[token for chunk in stand_in.ids for token in chunk]]
    result = engine.open(messages=[Message.user(HUM)]).reply().result()
    assert (result.state, result.text, result.ending) == (State.SPOKEN_QUERY, "abcd", "length")


def test_aborting_hangs_up(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.TYPED_QUERY, "abcdefgh" * 400)
    context = engine.open(messages=[Message.user("?")])
    reply = context.reply()
    assert next(iter(reply)) == "a"
    reply.abort()
    assert "".join(reply) == ""
    assert reply.result().ending == "aborted"
    assert context.messages[-1] == Message.assistant("a", State.TYPED_QUERY)
    assert stand_in.left_early.wait(10)


def test_sound_is_sent_in_pieces_that_stay_the_same(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.SPOKEN_QUERY, "yes")
    context = engine.open(messages=[Message.user("first"), Message.assistant("ok", State.TYPED_QUERY)])
    listening = context.listen()
    for start in range(0, 32000, 3200):
        listening.push(SECONDS.samples[start : start + 3200])
    assert listening.probe()[State.SPOKEN_QUERY] > 0
    assert listening.words() is None  # this model's ear hears no words
    listening.close()
    assert context.reply().result().text == "yes"

    model_inputs = engine.processor([[Message.user(SECONDS)]])
    encoder = engine.encoder
    assert encoder is not None
    tokens, mask = encoder._connector(*encoder._tower(model_inputs["audio_features"], model_inputs["audio_lengths"]))
    sent = [tokens_of(request["messages"][-1]["content"]) for request in stand_in.requests[1:]]
    assert torch.allclose(torch.cat(sent[-1]), tokens[mask], atol=1e-5)
    assert [len(piece) for piece in sent[-1][:-1]] == [encoder.piece_tokens] * (len(sent[-1]) - 1)
    for earlier in sent[:-2]:
        assert all(torch.equal(one, same) for one, same in zip(earlier, sent[-1], strict=False))
    assert [len(pieces) for pieces in sent[:-2]] == list(range(1, len(sent[-1])))


def test_a_sound_that_was_there_has_the_same_pieces(engine: VllmEngine) -> None:
    listening = engine.open().listen()
    listening.push(SECONDS.samples)
    heard = tokens_of(listening._parts())
    whole = tokens_of(engine.writer.medium(SECONDS))
    assert len(heard) == len(whole)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(heard, whole, strict=True))


def test_a_placeholder_stands_for_all_pieces(engine: VllmEngine) -> None:
    pieces = len(engine.writer.medium(SECONDS))
    assert pieces > 1
    (written,) = engine.writer.write([Message.user("hear <audio> now", SECONDS)])
    assert written["content"][0]["text"] == "hear " + "<audio>" * pieces + " now"


def test_media_without_an_encoder(stand_in: StandIn, tiny_model: tuple[Any, Any]) -> None:
    engine = VllmEngine(VllmServer(stand_in.url), tiny_model[1])
    listening = engine.open().listen()
    listening.push(SECONDS.samples)
    listening.close()
    film, sound = engine.writer.write([Message.user(FILM, SECONDS)])[0]["content"]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["input_audio"]["data"])), dtype="float32")
    assert rate == 16000
    assert np.array_equal(samples, SECONDS.samples)
    frames = film["video_url"]["url"].removeprefix("data:video/jpeg;base64,").split(",")
    assert len(frames) == len(FILM.clip.frames)


def test_forks_and_rewinding(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.TYPED_QUERY, "abc")
    context = engine.open(messages=[Message.user("?")])
    context.reply().result()
    branch = context.fork()
    branch.append("more")
    context.rewind(1, heard="a")
    assert context.messages == (Message.user("?"), Message.assistant("a", State.TYPED_QUERY))
    assert len(branch.messages) == 3
    with pytest.raises(PromptError, match="cannot rewind"):
        context.rewind(3)
    with pytest.raises(PromptError, match="no reply after"):
        context.rewind(2, heard="x")


def test_a_batch_is_sent_at_once(engine: VllmEngine, stand_in: StandIn) -> None:
    says(engine, stand_in, State.TYPED_QUERY, "abc")
    results = engine.batch([[Message.user(str(number))] for number in range(5)])
    assert [result.text for result in results] == ["abc"] * 5


def test_what_is_refused(engine: VllmEngine, stand_in: StandIn) -> None:
    context = engine.open(messages=[Message.user("?")])
    stand_in.refusal = (400, "too many cooks")
    with pytest.raises(PromptError, match="too many cooks"):
        context.reply()
    stand_in.refusal = (503, "busy")
    with pytest.raises(DependencyError, match="503"):
        context.append("x")
    stand_in.refusal, stand_in.ids = None, [[5], [6]]
    with pytest.raises(Exception, match="does not begin its replies with a state"):
        context.reply()
    listening = context.listen()
    with pytest.raises(PromptError, match="still being listened to"):
        context.reply()
    with pytest.raises(LimitError, match="does not fit"):
        listening.push(np.zeros(16000 * 300, np.float32))
    with pytest.raises(MediaError, match="too short"):
        listening.close()
    assert len(context.messages) == 1


def test_nobody_there(tiny_model: tuple[Any, Any]) -> None:
    with pytest.raises(DependencyError, match="no vLLM server answers"):
        VllmServer("http://127.0.0.1:9").model  # noqa: B018

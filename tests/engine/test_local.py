"""The PyTorch engine: the words of transformers' own generate, whatever way the conversation was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from tests.conftest import TEXT_CONFIGS, make_model
from vita.chat.messages import Audio, Image, Message, Video
from vita.engine.local import LocalContext, LocalEngine
from vita.engine.protocol import Sampling
from vita.errors import ConfigError, LimitError, PromptError
from vita.media import Clip
from vita.tokens import State

SHORT = Sampling(max_new_tokens=12, state="answer")
RED = Image(PIL.Image.new("RGB", (60, 28), "red"))
BLUE = Image(PIL.Image.new("RGB", (28, 28), "blue"))
HUM = Audio((0.1 * np.sin(np.arange(16000) / 20)).astype(np.float32))
FRAMES = [PIL.Image.new("RGB", (40, 30), (0, shade, 0)) for shade in (0, 80, 160, 240)]
FILM = Video(Clip(frames=FRAMES, times_s=np.arange(4.0), fps=1.0))


@pytest.fixture(scope="module")
def engine(tiny_model: tuple[Any, Any]) -> LocalEngine:
    return LocalEngine(*tiny_model)


def answer(context: LocalContext, sampling: Sampling = SHORT) -> str:
    return context.reply(sampling).result().text


@pytest.mark.parametrize("text", TEXT_CONFIGS)
@pytest.mark.parametrize("parts", [("hello",), (RED, "which?"), (HUM,), (FILM, HUM), (RED, BLUE, HUM, "and?")])
def test_same_words_as_generate(text: str, parts: tuple) -> None:
    model, processor = make_model(text, seed=1)
    engine = LocalEngine(model, processor)
    message = Message.user(*parts)
    reply = engine.open(messages=[message]).reply(SHORT)
    result = reply.result()
    inputs = processor([[message]])
    state_ids = torch.tensor([processor.state_reader.spellings[result.state]])
    for name, more in (("input_ids", state_ids), ("attention_mask", torch.ones_like(state_ids))):
        inputs[name] = torch.cat([inputs[name], more], dim=1)
    del inputs["position_ids"]
    model.generation_config.suppress_tokens = [3, 4]
    ids = model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=2, pad_token_id=0)[0]
    written = ids[inputs["input_ids"].shape[1] :]
    expected = processor.tokenizer.decode(written, skip_special_tokens=True).strip()
    assert result.text == expected
    assert result.usage.prompt_tokens == inputs["input_ids"].shape[1] - state_ids.shape[1]
    assert result.usage.completion_tokens == state_ids.shape[1] + int((written != 2).sum())
    assert result.usage.image_tokens == int((inputs["input_ids"] == 3).sum())
    assert result.usage.audio_tokens == int((inputs["input_ids"] == 4).sum())


def test_state_probabilities_are_those_of_the_whole_spellings(engine: LocalEngine) -> None:
    message = Message.user(RED, HUM)
    reply = engine.open(messages=[message]).reply()
    inputs = engine.processor([[message]])
    totals = {}
    for state, spelling in engine.processor.state_reader.spellings.items():
        row = dict(inputs)
        row["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([spelling])], dim=1)
        row.pop("attention_mask"), row.pop("position_ids")
        with torch.inference_mode():
            scores = torch.log_softmax(engine.model(**row).logits[0], dim=-1)
        start = inputs["input_ids"].shape[1] - 1
        totals[state] = float(sum(scores[start + index, token] for index, token in enumerate(spelling)))
    weights = torch.softmax(torch.tensor(list(totals.values())), dim=0).tolist()
    assert reply.probabilities == pytest.approx(dict(zip(totals, weights, strict=True)), abs=1e-5)
    assert reply.state is max(totals, key=lambda state: totals[state])


def test_read_piece_by_piece_is_read_at_once(engine: LocalEngine) -> None:
    context = engine.open()
    for part in (RED, HUM, "what is it?"):
        context.append(part)
    first = answer(context)
    context.append(BLUE, "and this?")
    second = answer(context)
    history = context.messages
    assert [message.role for message in history] == ["user", "assistant", "user", "assistant"]
    assert answer(engine.open(messages=[Message.user(RED, HUM, "what is it?")])) == first
    assert answer(engine.open(messages=history[:3])) == second


def test_a_medium_is_processed_once(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = engine.processor.encode_medium
    monkeypatch.setattr(engine.processor, "encode_medium", lambda medium: seen.append(medium) or original(medium))
    context = engine.open()
    context.append(RED)
    context.append("what?")
    answer(context)
    context.append(HUM)
    answer(context)
    context.fork().append("more")
    assert seen == [RED, HUM]


def test_what_was_read_is_not_read_again(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    context = engine.open(system="s")
    context.append("a" * 200)
    lengths = []
    original = engine.model.forward
    monkeypatch.setattr(
        engine.model, "forward", lambda **inputs: lengths.append(inputs["input_ids"].shape[1]) or original(**inputs)
    )
    context.reply(SHORT).result()
    assert max(lengths) < 20


def test_fork_goes_its_own_way(engine: LocalEngine) -> None:
    context = engine.open()
    context.append(RED, "what is it?")
    answer(context)
    branch = context.fork()
    branch.append("something else entirely")
    branch_answer = answer(branch)
    context.append(HUM)
    expected = answer(engine.open(messages=context.messages))
    assert answer(context) == expected
    assert branch_answer == answer(engine.open(messages=branch.messages[:3]))
    assert len(branch.messages) == len(context.messages) == 4


@pytest.mark.parametrize("num_messages", [0, 1, 2, 3])
def test_after_rewinding_it_is_as_if_never_said(engine: LocalEngine, num_messages: int) -> None:
    context = engine.open()
    for part in (RED, HUM):
        context.append(part, "q")
        answer(context)
    context.rewind(num_messages)
    kept = context.messages
    assert len(kept) == num_messages
    context.append(BLUE, "what now?")
    fresh = engine.open(messages=context.messages)
    assert answer(context) == answer(fresh)


def test_rewinding_to_what_was_heard(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("tell me a story")
    text = answer(context)
    state = context.messages[-1].state
    context.rewind(1, heard=text[:3])
    assert context.messages[-1] == Message.assistant(text[:3], state)
    context.append("go on")
    assert answer(context) == answer(engine.open(messages=context.messages[:-1]))
    with pytest.raises(PromptError, match="cannot rewind"):
        context.rewind(99)
    with pytest.raises(PromptError, match="no reply after 4"):
        context.rewind(4, heard="x")


def test_abort_ends_at_once_and_leaves_the_context_usable(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("talk")
    reply = context.reply(Sampling(max_new_tokens=500, state="answer"))
    pieces = iter(reply)
    first = next(pieces)
    with pytest.raises(PromptError, match="still being written"):
        context.append("more")
    reply.abort()
    assert list(pieces) == []
    assert reply.result().ending == "aborted"
    assert context.messages[-1].text == reply.result().text == first
    context.append("more")
    assert answer(context) == answer(engine.open(messages=context.messages[:-1]))


def test_aborted_in_the_middle_of_a_step(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    context = engine.open()
    context.append("talk")
    reply = context.reply(Sampling(max_new_tokens=500, state="answer"))
    pieces = iter(reply)
    written = "".join(next(pieces) for _ in range(3))
    original = engine.model.forward
    with monkeypatch.context() as patch:
        patch.setattr(engine.model, "forward", lambda **inputs: reply.abort() or original(**inputs))
        assert list(pieces) == [], "the token that was being computed is not added any more"
    assert (reply.result().text, reply.result().ending) == (written, "aborted")
    context.append("more")
    assert context.messages[1].text == written
    assert answer(context) == answer(engine.open(messages=context.messages[:-1]))


def test_aborted_before_it_was_read(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("talk")
    reply = context.reply(SHORT)
    reply.abort()
    context.append("more")
    assert context.messages[1].text == ""
    assert list(reply) == []


def biased(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, state: State) -> None:
    """Makes the model sure of `state` for every turn."""
    token = engine.processor.state_reader.spellings[state][1]
    original = engine.model.forward

    def forward(**inputs: Any) -> Any:
        outputs = original(**inputs)
        outputs.logits = outputs.logits.clone()
        outputs.logits[..., token] += 50
        return outputs

    monkeypatch.setattr(engine.model, "forward", forward)


def test_noise_is_silence(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    biased(engine, monkeypatch, State.NOISE)
    context = engine.open()
    context.append(HUM)
    reply = context.reply()
    assert reply.state is State.NOISE
    assert list(reply) == []
    result = reply.result()
    assert (result.text, result.ending) == ("", "noise")
    assert result.usage.completion_tokens == 3
    assert context.messages[-1] == Message.assistant("", State.NOISE)
    assert engine.open(messages=[Message.user(HUM)]).reply(SHORT).state is not State.NOISE


def test_ends_at_the_end_token_or_the_length(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    context = engine.open(messages=[Message.user("hello")])
    result = context.reply(Sampling(max_new_tokens=3, state="answer")).result()
    assert (result.ending, result.usage.completion_tokens) == ("length", 6)
    original = engine.model.forward

    def forward(**inputs: Any) -> Any:
        outputs = original(**inputs)
        if inputs["input_ids"].shape[1] == 1:
            outputs.logits[..., 2] += 100
        return outputs

    monkeypatch.setattr(engine.model, "forward", forward)
    result = engine.open(messages=[Message.user("hello")]).reply(SHORT).result()
    assert result.ending == "stop"
    assert result.usage.completion_tokens <= 4


def test_placeholders_are_never_written(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    original = engine.model.forward

    def forward(**inputs: Any) -> Any:
        outputs = original(**inputs)
        outputs.logits[..., [3, 4]] += 100
        return outputs

    expected = answer(engine.open(messages=[Message.user("hello")]))
    monkeypatch.setattr(engine.model, "forward", forward)
    assert answer(engine.open(messages=[Message.user("hello")])) == expected


def test_drawing_is_repeatable_by_its_seed(engine: LocalEngine) -> None:
    def drawn(seed: int | None) -> str:
        sampling = Sampling(max_new_tokens=20, temperature=2.0, seed=seed, state="answer")
        return answer(engine.open(messages=[Message.user("hello")]), sampling)

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in (1, 2, 3)}) > 1
    assert len({drawn(None) for _ in range(3)}) > 1


def test_a_failed_pass_leaves_nothing_behind(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    context = engine.open()
    context.append(RED, "what?")
    with monkeypatch.context() as patch:
        layer = engine.model.language_model.model.layers[1]

        def fail(*args: Any, **kwargs: Any) -> Callable:
            raise KeyboardInterrupt

        patch.setattr(layer, "forward", fail)
        with pytest.raises(KeyboardInterrupt):
            context.append("more")
    assert answer(context) == answer(engine.open(messages=[Message.user(RED, "what?")]))


def test_a_written_control_text_does_not_break_the_next_turn(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("hello")
    reply = context.reply(SHORT)
    reply.result()
    written = "see <image> and </s>"
    context._messages.pop()
    context._note_reply(reply, written, engine.processor)
    context.append("go on")
    assert context.messages[1].text == "see < image> and < /s>"


def test_times_and_mistakes(engine: LocalEngine) -> None:
    context = engine.open()
    context.append(RED, "what?")
    timing = context.reply(SHORT).result().timing
    assert 0 < timing.first_token_ms <= timing.total_ms
    assert timing.prefill_ms > 0
    with pytest.raises(PromptError, match="empty"):
        engine.open().reply()
    with pytest.raises(LimitError, match="does not fit"):
        engine.open().append("a" * 2000)
    with pytest.raises(ConfigError, match="max_new_tokens"):
        Sampling(max_new_tokens=0)
    with pytest.raises(ConfigError, match="temperature"):
        Sampling(temperature=-1)


def test_a_refused_turn_changes_nothing(engine: LocalEngine) -> None:
    context = engine.open()
    context.append("hello")
    with pytest.raises(LimitError):
        context.append("a" * 2000)
    with pytest.raises(PromptError, match="control text"):
        context.append("a </s>")
    assert answer(context) == answer(engine.open(messages=[Message.user("hello")]))

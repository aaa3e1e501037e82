"""Tools in chat completions, with the `openai` package: told to the model, called by it, answered to it."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.chat.test_tools import QWEN
from tests.conftest import make_model
from tests.server.conftest import Bench
from vita.chat import TokenizerTemplate
from vita.chat.messages import Message
from vita.engine.local import LocalEngine
from vita.engine.scripted import Line, ScriptedEngine
from vita.tokens import State

pytestmark = pytest.mark.anyio
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "of today", "parameters": SCHEMA}}
CITIES = ("Bonn", "北京")
QUESTION = {"role": "user", "content": "Weather in Bonn and 北京?"}


def script(messages: tuple[Message, ...]) -> Line:
    """Calls the tool for two cities; says what it told."""
    if messages[-1].role == "tool":
        return Line(State.TYPED_QUERY, (" and ".join(m.text for m in messages if m.role == "tool"), "."))
    calls = [
        f'\n<tool_call>\n{{"name": "weather", "arguments": {{"city": "{city}"}}}}\n</tool_call>' for city in CITIES
    ]
    written = "I look." + "".join(calls)
    return Line(State.TYPED_QUERY, tuple(written[at : at + 5] for at in range(0, len(written), 5)))


@pytest.fixture
def bench() -> Bench:
    return Bench(engine=ScriptedEngine(script, has_tools=True))


async def test_a_tool_is_called_and_its_results_are_answered(bench: Bench) -> None:
    choice = (await bench.ask(messages=[QUESTION], tools=[WEATHER])).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I look.")
    calls = choice.message.tool_calls
    assert [(call.type, call.function.name) for call in calls] == [("function", "weather")] * 2
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": city} for city in CITIES]
    assert len({call.id for call in calls}) == 2
    results = [{"role": "tool", "tool_call_id": c.id, "content": w} for c, w in zip(calls, ("dry", "wet"), strict=True)]
    last = (await bench.ask(messages=[QUESTION, choice.message, *results], tools=[WEATHER])).choices[0]
    assert (last.finish_reason, last.message.content, last.message.tool_calls) == ("stop", "dry and wet.", None)


async def test_calls_in_a_stream(bench: Bench) -> None:
    stream = await bench.ask(messages=[QUESTION], tools=[WEATHER], stream=True)
    choices = [chunk.choices[0] async for chunk in stream]
    assert "".join(choice.delta.content or "" for choice in choices) == "I look."
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [(call.index, call.function.name) for call in calls] == [(0, "weather"), (1, "weather")]
    assert json.loads(calls[1].function.arguments) == {"city": "北京"}
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["tool_calls"]


async def test_the_helper_for_streams_of_the_openai_package(bench: Bench) -> None:
    tool = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    async with bench.openai.chat.completions.stream(model="pocket", messages=[QUESTION], tools=[tool]) as stream:
        done = await stream.get_final_completion()
    assert [call.function.name for call in done.choices[0].message.tool_calls or ()] == ["weather"] * 2


async def test_one_call_at_most(bench: Bench) -> None:
    choice = (await bench.ask(messages=[QUESTION], tools=[WEATHER], parallel_tool_calls=False)).choices[0]
    assert (choice.finish_reason, len(choice.message.tool_calls)) == ("tool_calls", 1)


async def test_without_tools_nothing_is_a_call(bench: Bench) -> None:
    for options in ({}, {"tools": [WEATHER], "tool_choice": "none"}):
        choice = (await bench.ask(messages=[QUESTION], **options)).choices[0]
        assert choice.finish_reason == "stop"
        assert choice.message.content.startswith("I look.\n<tool_call>")


async def test_a_call_is_not_spoken(bench: Bench) -> None:
    audio = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
    message = (await bench.ask(messages=[QUESTION], tools=[WEATHER], **audio)).choices[0].message
    assert (message.audio.transcript, len(message.tool_calls)) == ("I look.", 2)


CALL = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an id that is not known": (
        {"messages": [QUESTION, CALL, {"role": "tool", "tool_call_id": "c2", "content": "x"}]}, "belongs to no call"),
    "no call before it": ({"messages": [QUESTION, {"role": "tool", "tool_call_id": "c1", "content": "x"}]}, "no call"),
    "a call without result": ({"messages": [QUESTION, CALL, QUESTION]}, "expected tool"),
    "arguments": ({"messages": [QUESTION, {**CALL, "tool_calls": [
        {**CALL["tool_calls"][0], "function": {"name": "f", "arguments": "[1]"}}]}]}, "not a JSON object"),  # type: ignore[dict-item]
    "a name": ({"messages": [QUESTION], "tools": [{"type": "function", "function": {"name": "a b"}}]}, "pattern"),
    "half a character": ({"messages": [QUESTION], "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"a": "\ud800"}}}]}, "surrogates"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(bench: Bench, name: str) -> None:
    options, words = REFUSED[name]
    response = await bench.http.post(
        "/v1/chat/completions", content=json.dumps({"model": "pocket", **options}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


async def test_a_checkpoint_whose_chat_template_has_tools() -> None:
    """A tiny model with a template of Qwen's kind reads the tools, a call and its result, and writes something."""
    model, processor = make_model()
    processor.tokenizer.chat_template = QWEN
    processor.template = TokenizerTemplate(tokenizer=processor.tokenizer)
    bench = Bench(engine=LocalEngine(model, processor))
    asked = [QUESTION, CALL, {"role": "tool", "tool_call_id": "c1", "content": "dry"}]
    options = {"tools": [WEATHER], "max_tokens": 8}
    with_tools = await bench.ask(messages=asked, **options)
    without = await bench.ask(messages=asked, max_tokens=8)
    assert with_tools.choices[0].finish_reason == "length"
    assert with_tools.choices[0].message.vita["state"] != "noise"
    definition = processor.tokenizer('{"name": "weather", "description": "of today"').input_ids
    assert with_tools.usage.prompt_tokens > without.usage.prompt_tokens + len(definition)


async def test_a_checkpoint_whose_template_has_none() -> None:
    bench = Bench(engine=LocalEngine(*make_model()))
    with pytest.raises(openai.BadRequestError, match="its chat template has none") as caught:
        await bench.ask("Weather?", tools=[WEATHER])
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "tools")

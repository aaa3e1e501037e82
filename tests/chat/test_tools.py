"""Tools: what a template tells of them, and the calls that are read out of a reply."""

from __future__ import annotations

import json

import pytest

from vita.chat import Message, TokenizerTemplate, VitaTemplate
from vita.chat.tools import CallReader, Tool, ToolCall
from vita.errors import PromptError
from vita.tokens import State
from vita.train.tokenizer import build_tokenizer

QWEN = r"""
{%- set own = messages[0].content if messages[0].role == 'system' else none %}
{%- if tools %}
{{- '<|im_start|>system\n' + (own or 'Be helpful.') + '\n\n# Tools\n<tools>' }}
{%- for tool in tools %}{{- '\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\n</tools><|im_end|>\n' }}
{%- elif own %}{{- '<|im_start|>system\n' + own + '<|im_end|>\n' }}
{%- endif %}
{%- for m in messages if m.role != 'system' %}
{%- if m.role == 'tool' %}
{%- if loop.previtem.role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
{{- '\n<tool_response>\n' + m.content + '\n</tool_response>' }}
{%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content }}
{%- for call in m.tool_calls or [] %}
{{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\n</tool_call>' }}
{%- endfor %}{{- '<|im_end|>\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""
"""A chat template of Qwen's kind, with tools."""
WEATHER = Tool(json.dumps({"name": "weather", "parameters": {"type": "object"}}))
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bonn"}}\n</tool_call>'


@pytest.fixture(scope="module")
def template() -> TokenizerTemplate:
    tokenizer = build_tokenizer(["what is it"])
    tokenizer.chat_template = QWEN
    return TokenizerTemplate(tokenizer=tokenizer)


def with_tools(*messages: Message, system: str | None = None) -> list[Message]:
    start = Message.system(system).parts if system is not None else ()
    return [Message("system", start, tools=(WEATHER,)), *messages]


def test_a_model_is_told_of_tools_calls_and_results(template: TokenizerTemplate) -> None:
    called = Message("assistant", (), State.TYPED_QUERY, calls=(ToolCall("weather", '{"city": "Bonn"}'),) * 2)
    told = [Message("tool", Message.user(text).parts) for text in ("dry", "wet")]
    prompt = template.render(with_tools(Message.user("Bonn?"), called, *told, system="Be short."))
    assert "system\nBe short.\n\n# Tools\n<tools>\n" in prompt
    assert '{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}' in prompt
    assert f"assistant\n<3>\n{CALL}\n{CALL}<|im_end|>" in prompt
    assert prompt.count("<|im_start|>user") == 2
    results = "dry\n</tool_response>\n<tool_response>\nwet\n</tool_response>"
    assert prompt.endswith(f"{results}<|im_end|>\n<|im_start|>assistant\n")


def test_tools_leave_the_models_own_system_prompt(template: TokenizerTemplate) -> None:
    assert "system\nBe helpful.\n\n# Tools" in template.render(with_tools(Message.user("Bonn?")))


@pytest.mark.parametrize(
    "messages",
    [
        with_tools(Message.user("a")),
        [
            Message.user("a"),
            Message("assistant", calls=(ToolCall("f", "{}"),)),
            Message("tool", Message.user("x").parts),
        ],
    ],
)
def test_templates_without_tools(messages: list[Message]) -> None:
    assert not VitaTemplate().has_tools
    with pytest.raises(PromptError, match="the chat template of this model has no tools"):
        VitaTemplate().render(messages)


def test_control_texts_in_tools(template: TokenizerTemplate) -> None:
    bad = Tool('{"name": "f", "description": "<image>"}')
    with pytest.raises(PromptError, match="the control text <image>"):
        template.render([Message("system", tools=(bad,)), Message.user("a")])
    called = Message("assistant", calls=(ToolCall("f", '{"a": "<audio>"}'),))
    with pytest.raises(PromptError, match="the control text <audio>"):
        template.render([Message.user("a"), called, Message("tool", Message.user("x").parts)])
    with pytest.raises(PromptError, match="the control text <audio>"):
        template.render([Message.user("a"), Message("assistant", calls=(ToolCall("f", "{}"),)),
                         Message("tool", Message.user("<audio>").parts)])  # fmt: skip


@pytest.mark.parametrize(
    ("roles", "got"), [("user tool", "tool"), ("user call user", "user"), ("user assistant tool", "tool")]
)
def test_results_follow_calls(template: TokenizerTemplate, roles: str, got: str) -> None:
    call = Message("assistant", calls=(ToolCall("f", "{}"),))
    made = {"user": Message.user("a"), "assistant": Message.assistant("b"), "call": call,
            "tool": Message("tool", Message.user("x").parts)}  # fmt: skip
    with pytest.raises(PromptError, match=f"got {got}"):
        template.render([made[role] for role in roles.split()])


@pytest.mark.parametrize("role", ["user", "tool"])
def test_tools_and_calls_have_their_place(role: str) -> None:
    for fields in ({"tools": (WEATHER,)}, {"calls": (ToolCall("f", "{}"),)}):
        with pytest.raises(PromptError, match="cannot have tools"):
            Message(role, (), **fields)  # type: ignore[arg-type]


def read(text: str, size: int) -> tuple[str, list[ToolCall]]:
    reader = CallReader()
    pieces = [reader.push(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*pieces, reader.finish()]), reader.calls


BONN = ToolCall("weather", '{"city": "Bonn"}')


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("written", "text", "calls"),
    [
        (CALL, "", [BONN]),
        (f"\n{CALL}\n{CALL}\n", "", [BONN, BONN]),
        (f"Let me see. \n{CALL}", "Let me see.", [BONN]),
        (CALL.removesuffix("\n</tool_call>"), "", [BONN]),
        ('<tool_call>{"name": "now"}</tool_call>', "", [ToolCall("now", "{}")]),
        ("no call \n", "no call \n", []),
        ("a <tool_call", "a <tool_call", []),
        ("<tool_call>{broken</tool_call> b", "<tool_call>{broken</tool_call> b", []),
        ('<tool_call>{"name": 1}</tool_call>', '<tool_call>{"name": 1}</tool_call>', []),
        ('<tool_call>{"name": "f", "arguments": "\\ud800"}', '<tool_call>{"name": "f", "arguments": "\\ud800"}', []),
    ],
)  # fmt: skip
def test_calls_are_read_out_of_a_reply(written: str, text: str, calls: list[ToolCall], size: int) -> None:
    assert read(written, size) == (text, calls)

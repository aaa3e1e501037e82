"""Chat completions, asked by the `openai` client as it is, of a scripted engine in this process."""

from __future__ import annotations

import base64
import io
from typing import Any

import openai
import pytest
import soundfile

from tests.server.conftest import ANSWER, AUDIO, IMAGE, NOISE, VIDEO, Bench
from vita.chat.messages import Audio, Image, Message, Text, Video
from vita.engine.scripted import Line
from vita.tokens import State

pytestmark = pytest.mark.anyio
WHOLE = "".join(ANSWER)


async def test_a_typed_question(bench: Bench) -> None:
    completion = await bench.ask("How many legs?", user="me", store=False, seed=3, top_p=1, n=1, tools=[])
    assert completion.object == "chat.completion"
    assert completion.model == "pocket"
    choice = completion.choices[0]
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (WHOLE, "assistant", "stop")
    assert choice.message.vita["state"] == "typed_query"
    assert completion.usage.completion_tokens == 5
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 5
    assert bench.asked[0][0].text == "How many legs?"


async def test_media_are_read_in_their_order(bench: Bench) -> None:
    await bench.ask([IMAGE, VIDEO, AUDIO, {"type": "text", "text": "What?"}])
    parts = bench.asked[0][0].parts
    assert [type(part) for part in parts] == [Image, Video, Audio, Text]
    assert isinstance(parts[2], Audio)
    assert parts[2].samples.dtype == "float32"


async def test_noise_is_an_empty_message(bench: Bench) -> None:
    completion = await bench.ask([NOISE], modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    choice = completion.choices[0]
    assert (choice.message.content, choice.finish_reason, choice.message.audio) == ("", "stop", None)
    assert choice.message.vita["state"] == "noise"


async def test_turns_get_the_state_that_fits(bench: Bench) -> None:
    """What a client sends back without a state, and with one."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "one"},
        {"role": "user", "content": [AUDIO]},
        {"role": "assistant", "content": "first", "refusal": None, "tool_calls": None},
        {"role": "user", "content": [NOISE]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "third", "vita": {"state": "spoken_query", "probabilities": {}}},
        {"role": "user", "content": "four"},
    ]
    await bench.ask(messages=messages)
    heard = bench.asked[0]
    assert heard[0].text == "Be brief.\n\nBe kind."
    assert [message.role for message in heard] == ["system", *["user", "assistant"] * 4, "user"]
    assert [type(part) for part in heard[1].parts] == [Text, Audio]
    states = [message.state for message in heard if message.role == "assistant"]
    assert states == [State.SPOKEN_QUERY, State.NOISE, State.TYPED_QUERY, State.SPOKEN_QUERY]


async def test_a_reply_can_be_sent_back_as_it_came(bench: Bench) -> None:
    first = {"role": "user", "content": "one"}
    reply = (await bench.ask(messages=[first])).choices[0].message.model_dump()
    await bench.ask(messages=[first, reply, {"role": "user", "content": "two"}])
    assert bench.asked[1][1] == Message.assistant(WHOLE, State.TYPED_QUERY)


async def test_streaming(bench: Bench) -> None:
    stream = await bench.ask("hi", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    first, *middle, last, usage = chunks
    assert first.choices[0].delta.vita["state"] == "typed_query"
    assert first.choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in middle] == list(ANSWER)
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert (usage.choices, usage.usage.completion_tokens) == ([], 5)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_streaming_noise(bench: Bench) -> None:
    chunks = [chunk async for chunk in await bench.ask([NOISE], stream=True)]
    assert [chunk.choices[0].delta.content for chunk in chunks] == ["", None]
    assert chunks[0].choices[0].delta.vita["state"] == "noise"
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        ({"max_tokens": 2}, "It has eight legs", "length"),
        ({"max_completion_tokens": 1, "max_tokens": 3}, "It has ", "length"),
        ({"stop": "legs"}, "It has eight ", "stop"),
        ({"stop": [". Or", "who"]}, "It has eight legs", "stop"),
        ({"stop": ["nowhere"]}, WHOLE, "stop"),
    ],
)
async def test_where_a_reply_ends(bench: Bench, options: dict[str, Any], text: str, reason: str) -> None:
    whole = (await bench.ask("hi", **options)).choices[0]
    assert (whole.message.content, whole.finish_reason) == (text, reason)
    chunks = [chunk.choices[0] async for chunk in await bench.ask("hi", stream=True, **options)]
    assert "".join(choice.delta.content or "" for choice in chunks) == text
    assert chunks[-1].finish_reason == reason


async def test_what_is_asked_for_reaches_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from vita.engine import scripted

    seen = []
    real = scripted.ScriptedContext.reply
    monkeypatch.setattr(scripted.ScriptedContext, "reply", lambda self, how: (seen.append(how), real(self, how))[1])
    bench = Bench(max_tokens=50, default_tokens=7)
    await bench.ask("hi", temperature=0.5, seed=3, max_tokens=1000, extra_body={"vita": {"state": "answer"}})
    await bench.ask("hi")
    assert (seen[0].temperature, seen[0].seed, seen[0].max_new_tokens, seen[0].state) == (0.5, 3, 50, "answer")
    assert (seen[1].temperature, seen[1].seed, seen[1].max_new_tokens, seen[1].state) == (0.0, None, 7, "auto")


async def test_a_spoken_reply_and_its_id(bench: Bench) -> None:
    audio = {"voice": "nova", "format": "wav"}
    question = {"role": "user", "content": "hi"}
    completion = await bench.ask(messages=[question], modalities=["text", "audio"], audio=audio)
    message = completion.choices[0].message
    assert (message.content, message.audio.transcript) == (None, WHOLE)
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(message.audio.data)))
    assert rate_hz == 24_000
    assert abs(samples).max() > 0.1
    back = {"role": "assistant", "audio": {"id": message.audio.id}}
    await bench.ask(messages=[question, back, question])
    assert bench.asked[1][1].text == WHOLE
    with pytest.raises(openai.BadRequestError) as caught:
        await bench.ask(messages=[question, {"role": "assistant", "audio": {"id": "audio_0"}}, question])
    assert (caught.value.code, caught.value.param) == ("audio_not_found", "messages.1.audio.id")


async def test_a_spoken_reply_streams_by_clause(bench: Bench) -> None:
    audio = {"voice": "alloy", "format": "pcm16"}
    stream = await bench.ask("hi", modalities=["text", "audio"], audio=audio, stream=True)
    deltas = [chunk.choices[0].delta async for chunk in stream]
    audios = [delta.audio for delta in deltas if delta.audio]
    sounds = [base64.b64decode(audio.data) for audio in audios if audio.data]
    assert "".join(audio.transcript or "" for audio in audios) == WHOLE
    assert len(sounds) == 3
    assert all(len(sound) > 4_000 for sound in sounds)
    assert [audio.expires_at is not None for audio in audios] == [False] * (len(audios) - 1) + [True]


AUDIO_OUT = {"modalities": ["text", "audio"]}
REFUSED: dict[str, tuple[dict[str, Any], int, str | None, str]] = {
    "n": ({"n": 2}, 400, "n", "n is not supported"),
    "logprobs": ({"logprobs": True}, 400, "logprobs", "not supported"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools", "its chat template has none"),
    "tool result": (
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "x"}]}, 400, "tools", "template has none"
    ),
    "tool choice": ({"tool_choice": "required"}, 400, "tool_choice", "'none' or 'auto'"),
    "json": ({"response_format": {"type": "json_object"}}, 400, "response_format", "not supported"),
    "penalty": ({"presence_penalty": 1}, 400, "presence_penalty", "not supported"),
    "unknown": ({"extra_body": {"top_k": 3}}, 400, "top_k", "unrecognized request argument: top_k"),
    "top_p": ({"top_p": 0}, 400, "top_p", "greater than 0"),
    "temperature": ({"temperature": 3}, 400, "temperature", "less than or equal to 2"),
    "stops": ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop", "at most 4"),
    "model": ({"model": "gpt-9"}, 404, "model", "use pocket"),
    "no messages": ({"messages": []}, 400, "messages", "at least 1"),
    "role": ({"messages": [{"role": "nobody", "content": "x"}]}, 400, "messages.0", "'nobody'"),
    "part": ({"content": [{"type": "file", "file": {}}]}, 400, "messages.0.content.0", "'file'"),
    "last": ({"messages": [{"role": "assistant", "content": "x"}]}, 400, None, "assistant, expected user"),
    "late system": (
        {"messages": [{"role": "user", "content": "x"}, {"role": "system", "content": "x"}]}, 400, None, "at the start"
    ),
    "empty": ({"content": ""}, 400, None, "is empty"),
    "no base64": ({"content": [{**AUDIO, "input_audio": {"data": "!", "format": "wav"}}]}, 400, None, "base64"),
    "no sound": ({"content": [{**AUDIO, "input_audio": {"data": "AAAA", "format": "wav"}}]}, 400, None, "sound"),
    "a path": ({"content": [{"type": "image_url", "image_url": {"url": "/etc/passwd"}}]}, 400, None, "paths are not"),
    "file:": ({"content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}, 400, None, "file:"),
    "many media": ({"content": [IMAGE] * 17}, 400, None, "too many media"),
    "no voice": (AUDIO_OUT, 400, "audio", "voice"),
    "voice": ({**AUDIO_OUT, "audio": {"voice": "bob", "format": "wav"}}, 400, "audio.voice", "alloy"),
    "format": ({**AUDIO_OUT, "audio": {"voice": "alloy", "format": "aac"}}, 400, "audio.format", "wav"),
    "streamed format": (
        {**AUDIO_OUT, "audio": {"voice": "alloy", "format": "wav"}, "stream": True}, 400, "audio.format", "pcm16"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(bench: Bench, name: str) -> None:
    options, status, param, words = REFUSED[name]
    with pytest.raises(openai.APIStatusError) as caught:
        await bench.ask(**options)
    error = caught.value
    assert (error.status_code, error.param, error.type) == (status, param, "invalid_request_error")
    assert words in error.body["message"]
    assert "\n" not in error.body["message"]


async def test_an_error_on_the_way_is_told_in_the_stream() -> None:
    def broken(messages: tuple[Message, ...]) -> Line:
        return Line(State.TYPED_QUERY, ("fine ", None))  # type: ignore[arg-type]

    bench = Bench(broken)
    with pytest.raises(openai.APIError, match="the server failed at this request"):
        async for _ in await bench.ask("hi", stream=True):
            pass
    assert (await bench.post({"model": "pocket", "messages": [{"role": "user", "content": "x"}]})).status_code == 500


async def test_too_many_pixels_together() -> None:
    bench = Bench(max_pixels_together=300_000)
    with pytest.raises(openai.BadRequestError, match="too many pixels together"):
        await bench.ask([IMAGE, IMAGE, VIDEO, {"type": "text", "text": "hi"}])


async def test_models(bench: Bench) -> None:
    assert [model.id for model in (await bench.openai.models.list()).data] == ["pocket"]
    assert (await bench.openai.models.retrieve("pocket")).owned_by == "vita"
    with pytest.raises(openai.NotFoundError, match="use pocket"):
        await bench.openai.models.retrieve("other/model")

"""Items, responses on demand, and mistakes of the client, on virtual time."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from tests.duplex.stage import hears, script
from tests.server.realtime.stage import MANUAL, QUESTION, RATE_HZ, SIDE_TALK, Show, create, perform, text_item, update
from vita.chat.messages import Message
from vita.engine.scripted import Line, ScriptedEngine
from vita.errors import PromptError

STORY = "word0 word1 word2 word3 word4 word5 word6 word7 word8 end."
COMMIT = {"type": "input_audio_buffer.commit"}
CANCEL = {"type": "response.cancel"}


def codes(show: Show) -> list[str]:
    """Codes of all errors."""
    return [event["error"]["code"] for event in show.all("error")]


def answered(show: Show) -> str:
    """The id of the first answer's item."""
    return show.all("response.done")[0]["response"]["output"][0]["id"]


def test_a_typed_question_is_answered_when_that_is_wanted() -> None:
    show = perform(14.0, steps=[(0.5, text_item("hello", event_id="mine")), (1.0, create(metadata={"for": "me"}))])
    assert show.said == [("user", "hello"), ("assistant", STORY)]
    done = show.one("response.done")["response"]
    assert (done["status"], done["metadata"], done["vita"]["state"]) == ("completed", {"for": "me"}, "typed_query")
    assert done["usage"]["output_tokens"] == 11
    assert show.time("response.created") == pytest.approx(1.0)


def test_an_answer_that_is_only_written() -> None:
    steps = [(0.5, text_item("hello")), (1.0, create(output_modalities=["text"], max_output_tokens=3))]
    show = perform(3.0, steps=steps)
    assert show.all("response.output_audio.delta") == []
    assert [event["delta"] for event in show.all("response.output_text.delta")] == ["word0 ", "word1 ", "word2 "]
    done = show.one("response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "word0 word1 word2 "}]


def test_push_to_talk() -> None:
    steps = [(0.1, update(**MANUAL)), (2.5, COMMIT), (2.6, create()), (2.61, COMMIT), (2.8, create())]
    show = perform(16.0, (1.0, 2.0, QUESTION), steps=steps)
    assert "input_audio_buffer.speech_started" not in show.kinds()
    assert show.one("input_audio_buffer.committed")["item_id"] == show.all("conversation.item.done")[0]["item"]["id"]
    assert show.one("response.done")["response"]["vita"]["state"] == "spoken_query"
    assert codes(show) == ["input_audio_buffer_commit_empty", "conversation_already_has_active_response"]


def test_push_to_talk_of_noise_leaves_nothing_behind() -> None:
    show = perform(6.0, (1.0, 2.0, SIDE_TALK), steps=[(0.1, update(**MANUAL)), (2.5, COMMIT), (2.6, create())])
    done = show.one("response.done")["response"]
    assert (done["status"], done["output"], done["vita"]["state"]) == ("completed", [], "noise")
    assert show.said == []


def test_cancelling() -> None:
    steps = [(0.5, text_item("hello")), (1.0, create()), (4.5, CANCEL), (4.6, CANCEL)]
    show = perform(8.0, steps=steps)
    done = show.one("response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert show.said[1] == ("assistant", "word0 word1 word2 ")
    assert show.one("conversation.item.truncated")["audio_end_ms"] == pytest.approx(3500, abs=50)
    assert codes(show) == ["response_cancel_not_active"]
    show = perform(8.0, steps=[*steps[:2], (3.2, {"type": "output_audio_buffer.clear"})])
    assert show.said[1] == ("assistant", "word0 word1 ")
    assert show.one("output_audio_buffer.cleared")["response_id"] == show.one("response.created")["response"]["id"]


def test_what_was_played_is_the_clients_to_say() -> None:
    def played(show: Show) -> dict[str, Any]:
        item_id = show.one("response.output_item.added")["item"]["id"]
        return {"type": "vita.output_audio_buffer.played", "item_id": item_id, "audio_end_ms": 1000}

    show = perform(8.0, steps=[(0.5, text_item("hello")), (1.0, create()), (3.2, played), (4.3, CANCEL)])
    assert show.said[1] == ("assistant", "word0 word1 ")  # two seconds of three
    assert show.one("conversation.item.truncated")["audio_end_ms"] == pytest.approx(2100, abs=50)


def test_truncating_an_answer_that_is_played_ends_it() -> None:
    def cut(show: Show) -> dict[str, Any]:
        item_id = show.one("response.output_item.added")["item"]["id"]
        return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 1100}

    show = perform(8.0, steps=[(0.5, text_item("hello")), (1.0, create()), (4.0, cut)])
    assert show.said[1] == ("assistant", "word0 ")
    assert show.one("conversation.item.truncated")["audio_end_ms"] == 1100
    assert show.one("response.done")["response"]["status"] == "cancelled"


@pytest.mark.parametrize(("audio_end_ms", "code"), [(10_500, "invalid_value"), (-1, "invalid_value"), (2200, None)])
def test_truncating_beyond_what_was_sent(audio_end_ms: int, code: str | None) -> None:
    def cut(show: Show) -> dict[str, Any]:
        event = {"type": "conversation.item.truncate", "item_id": answered(show), "content_index": 0}
        return {**event, "audio_end_ms": audio_end_ms}

    show = perform(14.0, steps=[(0.5, text_item("hello")), (1.0, create()), (12.5, cut)])
    assert codes(show) == ([] if code is None else [code])
    assert show.said[1][1] == (STORY if code else "word0 word1 ")


def test_deleting_and_inserting() -> None:
    def delete(show: Show) -> dict[str, Any]:
        return {"type": "conversation.item.delete", "item_id": answered(show)}

    reply = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "before"}]}
    first = {"type": "conversation.item.create", "previous_item_id": "root", "item": {**reply, "id": "item_mine"}}
    question = text_item("why?", previous_item_id="root")
    show = perform(
        16.0, steps=[(0.5, text_item("hello")), (1.0, create()), (12.5, delete), (13.0, first), (13.5, question)]
    )
    assert show.one("conversation.item.deleted")["item_id"]
    assert show.said == [("user", "why?"), ("assistant", "before"), ("user", "hello")]
    order = [item.id for item in show.conversation.items]  # type: ignore[union-attr]
    assert order[1] == "item_mine"


def test_sound_comes_back_as_it_was_heard() -> None:
    def retrieve(show: Show) -> dict[str, Any]:
        return {"type": "conversation.item.retrieve", "item_id": show.one("input_audio_buffer.committed")["item_id"]}

    show = perform(5.0, (1.0, 2.0, QUESTION), steps=[(4.0, retrieve)])
    (part,) = show.one("conversation.item.retrieved")["item"]["content"]
    samples = np.frombuffer(base64.b64decode(part["audio"]), "<i2") / 32768
    assert (np.abs(samples) > 0.4).sum() == pytest.approx(RATE_HZ, abs=600)
    assert all("audio" not in part for event in show.all("conversation.item.done") for part in event["item"]["content"])


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        ("{", "invalid_json", None),
        ("[" * 100_000, "invalid_json", None),
        ("[]", "invalid_event", "type"),
        ({"type": "response.fly"}, "unknown_event", "type"),
        ({"type": "input_audio_buffer.append"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "%%"}, "invalid_value", "audio"),
        (COMMIT, "input_audio_buffer_commit_empty", None),
        ({**COMMIT, "more": 1}, "unknown_parameter", "more"),
        ({"type": "session.update", "session": {"voice": "nova"}}, "unknown_parameter", "session.voice"),
        ({"type": "session.update", "session": {"audio": None}}, "invalid_value", "session.audio"),
        ({"type": "session.update", "session": {"tools": [{}]}}, "invalid_value", "session.tools"),
        (update(format={"type": "audio/pcm", "rate": 8000}), "invalid_value", "session.audio.input.format.rate"),
        (update(turn_detection={"type": "server_vad", "threshold": 7}), "invalid_value",
         "session.audio.input.turn_detection.server_vad.threshold"),
        ({"type": "conversation.item.retrieve", "item_id": "item_0"}, "item_not_found", "item_id"),
        (text_item("x", previous_item_id="item_0"), "item_not_found", "previous_item_id"),
        (create(), "nothing_to_answer", None),
        (create(conversation="none"), "invalid_value", "response.conversation"),
    ],
)  # fmt: skip
def test_mistakes_are_told_and_forgiven(sent: Any, code: str, param: str | None) -> None:
    if isinstance(sent, dict):
        sent = {**sent, "event_id": "mine"}
    show = perform(4.0, (1.5, 2.5, QUESTION), steps=[(0.5, sent)])
    (error,) = (event["error"] for event in show.all("error"))
    assert (error["code"], error["param"]) == (code, param)
    assert error["event_id"] == ("mine" if isinstance(sent, dict) else None)
    assert show.transcript.startswith("word0")


def test_a_text_that_cannot_be_read_is_taken_out_of_the_conversation() -> None:
    def strict(messages: tuple[Message, ...]) -> Line:
        if any("<image>" in message.text for message in messages):
            raise PromptError("the text's placeholders do not match the media given")
        return script(messages)

    engine = ScriptedEngine(strict, hears)
    steps = [(0.5, text_item("<image>")), (0.6, create()), (5.0, text_item("<image>"))]
    show = perform(
        22.0, (1.0, 2.0, QUESTION), (15.0, 16.0, QUESTION), (18.0, 19.0, QUESTION), steps=steps, engine=engine
    )
    failed, *answers = (event["response"] for event in show.all("response.done"))
    assert "placeholders" in failed["status_details"]["error"]["message"]
    assert [answer["status"] for answer in answers] == ["completed", "cancelled"]  # by the end of the show
    assert "placeholders" in show.one("error")["error"]["message"]  # the second text spoiled the second question
    assert show.transcript.startswith(STORY + "word0 ")  # not the third
    assert [text for role, text in show.said if role == "user"] == ["", ""]


def test_formats_are_told_as_clients_expect_them() -> None:
    show = perform(0.5, steps=[(0.1, update(format={"type": "audio/pcmu"}))])
    created, *_, updated = (event["session"]["audio"]["input"]["format"] for event in (
        *show.all("session.created"), *show.all("session.updated"),
    ))  # fmt: skip
    assert (created, updated) == ({"type": "audio/pcm", "rate": 24_000}, {"type": "audio/pcmu"})


def test_settings_change_what_they_are_about_and_nothing_else() -> None:
    vad = {"type": "server_vad", "silence_duration_ms": 1000, "interrupt_response": False}
    steps = [(0.1, update(turn_detection=vad, instructions="Be kind.")), (0.2, update(vita={"lead_ms": 0}))]
    show = perform(20.0, (1.0, 2.0, QUESTION), (6.0, 7.0, QUESTION), steps=steps)
    told = show.all("session.updated")[-1]["session"]
    assert told["audio"]["input"]["turn_detection"] | vad == told["audio"]["input"]["turn_detection"]
    assert (told["instructions"], told["vita"]["lead_ms"]) == ("Be kind.", 0)
    assert show.time("input_audio_buffer.committed") == pytest.approx(3.0, abs=0.1)
    assert show.said[0] == ("system", "Be kind.")
    assert len(show.all("response.done")) == 1  # the second question was not heard

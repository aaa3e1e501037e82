"""Spoken turns over a realtime connection, on virtual time: a question, noise, side talk, interruptions."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.duplex.stage import hears, script
from tests.server.realtime.stage import QUESTION, RATE_HZ, SIDE_TALK, create, perform, update
from vita.engine.scripted import ScriptedEngine

STORY = "word0 word1 word2 word3 word4 word5 word6 word7 word8 end."
ASKED = (
    "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
    "conversation.item.added", "conversation.item.done",
)  # fmt: skip
BEGUN = (
    "response.created", "rate_limits.updated", "response.output_item.added", "conversation.item.added",
    "response.content_part.added",
)  # fmt: skip
SPOKEN = ("response.output_audio.delta", "response.output_audio_transcript.delta")
ENDED = (
    "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
    "response.output_item.done", "conversation.item.done", "response.done",
)  # fmt: skip


def test_a_question_is_answered_aloud() -> None:
    show = perform(16.0, (1.0, 2.0, QUESTION))
    assert show.kinds(*SPOKEN) == ["session.created", "session.updated", *ASKED, *BEGUN, *ENDED]
    assert show.transcript == STORY
    assert show.one("response.output_audio_transcript.done")["transcript"] == STORY
    assert len(show.sound()) == 10 * RATE_HZ
    assert show.sound()[RATE_HZ:].min() > 0.49
    response = show.one("response.done")["response"]
    assert (response["status"], response["vita"]["state"]) == ("completed", "spoken_query")
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": STORY}]
    assert show.one("input_audio_buffer.speech_started")["audio_start_ms"] == pytest.approx(1000, abs=40)
    assert show.one("input_audio_buffer.speech_stopped")["audio_end_ms"] == pytest.approx(2000, abs=40)
    committed = show.one("input_audio_buffer.committed")
    asked, answered = (event["item"] for event in show.all("conversation.item.done"))
    assert committed["item_id"] == asked["id"] == show.one("input_audio_buffer.speech_started")["item_id"]
    assert (asked["role"], asked["vita"]["state"], answered["role"]) == ("user", "spoken_query", "assistant")


def test_sound_is_sent_a_little_before_it_is_to_be_played() -> None:
    show = perform(6.0, (1.0, 2.0, QUESTION))
    came = [at_s for at_s, event in show.events if event["type"] == "response.output_audio.delta"]
    seconds = np.arange(len(came)) * 0.04
    assert came[-1] - came[0] > 2.0
    np.testing.assert_allclose(np.maximum(0, seconds - 0.2)[10:], (np.array(came) - came[0])[10:], atol=0.08)


def test_noise_is_an_item_without_a_response() -> None:
    show = perform(6.0, (1.0, 2.0, SIDE_TALK))
    assert show.kinds() == ["session.created", "session.updated", *ASKED]
    assert show.one("conversation.item.done")["item"]["vita"]["state"] == "noise"
    assert show.said == []
    assert show.metrics.turns.labels("noise")._value.get() == 1


def test_side_talk_does_not_end_an_answer() -> None:
    show = perform(16.0, (1.0, 2.0, QUESTION), (5.0, 6.5, SIDE_TALK))
    assert len(show.all("input_audio_buffer.speech_started")) == 1
    assert [event["item"]["vita"]["state"] for event in show.all("conversation.item.done")] == [
        "spoken_query", "noise", "spoken_query",
    ]  # fmt: skip
    assert show.one("response.done")["response"]["status"] == "completed"
    assert show.transcript == STORY


def test_an_interruption_cuts_the_answer_to_what_was_played() -> None:
    show = perform(20.0, (1.0, 2.0, QUESTION), (6.0, 7.0, QUESTION))
    first, second = (event["response"] for event in show.all("response.done"))
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert second["status"] == "completed"
    cut = show.one("conversation.item.truncated")
    assert cut["item_id"] == first["output"][0]["id"]
    heard = "word0 word1 word2 word3 "
    assert [text for _, text in show.said] == ["", heard, "", STORY]
    assert 4000 <= cut["audio_end_ms"] < 5000
    kinds = [kind for kind in show.kinds() if kind.startswith("input_audio")]
    assert kinds == [*ASKED[:3], *ASKED[:3]]
    assert show.metrics.interruptions.labels("turn")._value.get() == 1


def test_the_client_knows_better_what_was_played() -> None:
    def report(show):
        return {
            "type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": 1500,
            "item_id": show.one("conversation.item.truncated")["item_id"],
        }  # fmt: skip

    show = perform(20.0, (1.0, 2.0, QUESTION), (6.0, 7.0, QUESTION), steps=[(8.5, report)])
    assert [event["audio_end_ms"] for event in show.all("conversation.item.truncated")][1] == 1500
    assert show.said[1] == ("assistant", "word0 ")


def test_words_are_told_where_they_are_wanted() -> None:
    engine = ScriptedEngine(script, hears, says=lambda samples: "what is it")
    asked = update(transcription={"model": "whisper-1", "language": "en"})
    speech = ((1.0, 2.0, SIDE_TALK), (4.0, 5.0, QUESTION))
    show = perform(8.0, *speech, steps=[(0.1, asked)], engine=engine)
    told = show.all("conversation.item.input_audio_transcription.completed")
    assert [(event["item_id"], event["transcript"]) for event in told] == [
        (event["item_id"], "what is it") for event in show.all("input_audio_buffer.committed")
    ]
    assert show.one("response.done")["response"]["status"] == "cancelled"  # by the end of the show
    show = perform(4.0, (1.0, 2.0, QUESTION), steps=[(0.1, asked)])
    assert show.one("conversation.item.input_audio_transcription.failed")["error"]["code"] == "not_supported"


def test_words_of_sounds_that_the_client_commits() -> None:
    engine = ScriptedEngine(script, hears, says=lambda samples: f"{len(samples) / RATE_HZ:.1f} seconds")
    sound = base64.b64encode(bytes(2 * RATE_HZ)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
    steps = [
        (0.1, update(transcription={}, turn_detection=None)),
        (1.0, {"type": "input_audio_buffer.commit"}),
        (1.5, {"type": "conversation.item.create", "item": item}),
        (2.0, update(transcription=None, turn_detection=None)),
        (3.0, {"type": "input_audio_buffer.commit"}),
    ]
    show = perform(3.2, steps=steps, engine=engine)
    told = show.all("conversation.item.input_audio_transcription.completed")
    first, second, _ = (event["item"]["id"] for event in show.all("conversation.item.done"))
    assert [event["item_id"] for event in told] == [first, second]
    assert [event["usage"]["seconds"] for event in told] == pytest.approx([0.9, 1.0], abs=0.1)
    assert told[1]["transcript"] == "1.0 seconds"
    assert show.conversation is not None
    assert show.conversation.items.get(second).content[0]["transcript"] == "1.0 seconds"


def test_a_client_may_say_when_a_turn_is_answered() -> None:
    detection = {"type": "server_vad", "create_response": False}
    speech = ((1.0, 2.0, QUESTION), (3.5, 4.0, SIDE_TALK))
    show = perform(16.0, *speech, steps=[(0.1, update(turn_detection=detection)), (5.0, create())])
    assert [event["item"]["vita"]["state"] for event in show.all("conversation.item.done")] == [
        "spoken_query", "noise", "spoken_query",
    ]  # fmt: skip
    assert show.time("input_audio_buffer.committed") < 3.0
    assert show.time("response.created") == pytest.approx(5.0, abs=0.1)
    assert show.one("response.done")["response"]["status"] == "completed"
    assert [role for role, _ in show.said] == ["user", "assistant"]


def test_a_turn_that_nobody_answers_ends_the_answer_before_it() -> None:
    detection = {"type": "semantic_vad", "create_response": False}
    steps = [(0.1, update(turn_detection=detection)), (3.0, create()), (7.5, create())]
    show = perform(24.0, (1.0, 2.0, QUESTION), (5.0, 6.0, QUESTION), steps=steps)
    first, second = (event["response"]["status"] for event in show.all("response.done"))
    assert (first, second) == ("cancelled", "completed")
    assert [role for role, _ in show.said] == ["user", "assistant", "user", "assistant"]


def test_our_events_are_sent_where_they_are_wanted() -> None:
    show = perform(12.0, (1.0, 2.0, QUESTION), (4.0, 5.0, SIDE_TALK), steps=[(0.1, update(vita={"events": True}))])
    assert len(show.all("vita.speech_started")) == 2
    assert [event["sound"] for event in show.all("vita.sound")][:2] == ["low", "full"]


def test_a_turn_may_be_ended_and_dropped_by_hand() -> None:
    commit, clear = {"type": "input_audio_buffer.commit"}, {"type": "input_audio_buffer.clear"}
    show = perform(16.0, (1.0, 4.0, QUESTION), steps=[(2.0, commit), (3.85, clear), (5.0, commit)])
    assert show.time("input_audio_buffer.committed") < 2.1
    assert show.one("error")["error"]["code"] == "input_audio_buffer_commit_empty"
    assert len(show.all("response.created")) == 1

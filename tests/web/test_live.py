"""The live conversation in a real browser: Chromium's microphone plays a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import LOUD, Open, Server, recording, start, type_in, wait_for

pytestmark = pytest.mark.browser
LEGS, SIDE_TALK = ("conversation.wav", 0.9, 3.3), ("conversation.wav", 6.4, 10.0)
STORY, CAPITAL = ("conversation.wav", 11.9, 13.5), ("conversation.wav", 16.4, 18.4)
LEAD_S = 8.0
"""Silence before the first words: the connection is to be open by then, on a busy machine too."""
PATIENCE_S = 120.0


def texts(page: Any, kind: str) -> list[str]:
    """The lines of one kind: spoken, typed, noise, reply."""
    return page.locator(f".line.{kind}").all_inner_texts()


def told(page: Any, kind: str) -> list[tuple[float, dict[str, Any]]]:
    """(when, event) of all events of a type."""
    return page.evaluate("kind => window.told.filter(([, event]) => event.type === kind)", kind)


def waited_ms(page: Any) -> float:
    """From the end of the last question, in the sound that was sent, to the first loud sample that was played then."""
    end_ms = told(page, "input_audio_buffer.speech_stopped")[-1][1]["audio_end_ms"]
    ended = next(at for at, fed in page.evaluate("window.fed") if fed >= end_ms)
    answered = [at for at, _ in told(page, "response.output_item.added")][-1]
    return next(at for at, loud in page.evaluate("window.heard") if at > answered and loud > LOUD) - ended


def test_a_conversation_with_noise_and_an_interruption(server: Server, open_page: Open, tmp_path: Path) -> None:
    sound = recording(tmp_path / "talk.wav", LEAD_S, LEGS, 7.0, SIDE_TALK, 7.0, STORY, 9.0, CAPITAL, 20.0)
    page = open_page(f"{server.url}/#live", microphone=sound)
    start(page)
    wait_for(page, "[...document.querySelectorAll('.line.reply')].at(-1)?.innerText.includes('paris')", PATIENCE_S)

    replies = texts(page, "reply")
    assert "eight" in replies[0]
    assert len(texts(page, "spoken")) == 3
    assert len(texts(page, "noise")) == 1
    assert {"listening", "hearing", "thinking", "speaking", "ignored"} <= set(page.evaluate("window.phases"))
    assert page.locator(".line.reply s").last.inner_text().strip() != ""  # the rest of the story

    cut_ms = next(at for at, event in told(page, "response.done") if event["response"]["status"] == "cancelled")
    next_ms = next(at for at, _ in told(page, "response.output_audio.delta") if at > cut_ms)
    heard = page.evaluate("window.heard")
    assert max(loud for at, loud in heard if at < cut_ms) > LOUD
    late = [at - cut_ms for at, loud in heard if cut_ms < at < next_ms and loud > 0.003]
    assert max(late, default=0.0) < 100

    last = page.locator(".line.reply").last
    assert "after the end of the question" in last.get_attribute("title")
    shown_ms, measured_ms = float(last.get_attribute("data-latency")), waited_ms(page)
    print(f"silent {max(late, default=0.0):.0f} ms after the interruption;", f"waited {shown_ms:.0f} ms,", end=" ")
    print(f"{measured_ms:.0f} ms by the samples that went to the speaker")
    assert -100 < measured_ms - shown_ms < 500  # a busy page samples late, and no voice begins loud
    reports = page.evaluate("window.sent.filter(({type}) => type.includes('played') || type.includes('truncate'))")
    assert {report["type"] for report in reports} >= {"vita.output_audio_buffer.played"}
    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="Start talking").wait_for()


def test_the_roles_are_seen_to_swap(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"{server.url}/#live", microphone=recording(tmp_path / "talk.wav", LEAD_S, LEGS, 30.0))
    page.get_by_text("Details").click()
    assert page.locator("[data-role=generator]").inner_text().startswith("A")
    start(page)
    page.locator(".line.reply").wait_for()
    assert page.locator("[data-role=generator]").inner_text().startswith("B")
    assert page.locator("[data-role=monitor]").inner_text().startswith("A")


def test_what_was_not_for_the_model_can_be_answered(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"{server.url}/#live", microphone=recording(tmp_path / "talk.wav", LEAD_S, SIDE_TALK, 60.0))
    start(page)
    page.get_by_role("button", name="It was for you").click()
    page.locator(".line.reply").wait_for()
    assert texts(page, "noise") == []
    assert len(texts(page, "spoken")) == 1


def test_a_typed_question_ends_the_answer_that_goes_on(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(f"{server.url}/#live", microphone=recording(tmp_path / "still.wav", 120.0))
    start(page)
    type_in(page, "Tell me a story.")
    wait_for(page, "document.querySelector('.line.reply')?.innerText.includes('little')", PATIENCE_S)
    type_in(page, "What is three plus four?")
    wait_for(page, "[...document.querySelectorAll('.line.reply')].at(-1)?.innerText.includes('seven')", PATIENCE_S)
    assert page.locator(".line.reply s").first.inner_text().strip() != ""


def test_the_conversation_outlives_its_connection(own_server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(
        f"{own_server.url}/#live",
        microphone=recording(tmp_path / "still.wav", 300.0),
        expected=["ERR_CONNECTION_REFUSED", "WebSocket"],
    )
    start(page)
    type_in(page, "What is the capital of Japan?")
    wait_for(page, "document.querySelector('.line.reply')?.innerText.includes('tokyo')", PATIENCE_S)
    # to its end: what nobody heard is not retold
    wait_for(page, "window.phases.includes('speaking') && window.phases.at(-1) === 'listening'", PATIENCE_S)
    own_server.stop()
    page.get_by_text("The connection was lost; trying again.").wait_for()
    own_server.start()
    wait_for(page, "document.querySelector('.phase').dataset.phase === 'listening'", PATIENCE_S)
    assert "tokyo" in texts(page, "reply")[0]
    retold = page.evaluate("window.sent.filter(({item}) => item?.role === 'assistant').map(({item}) => item.content)")
    assert [part["text"].strip() for content in retold for part in content] == ["tokyo"]
    type_in(page, "What is three plus four?")
    wait_for(page, "[...document.querySelectorAll('.line.reply')].at(-1)?.innerText.includes('seven')", PATIENCE_S)

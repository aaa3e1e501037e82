"""The chat in a real browser, against a real server with the pocket model."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.web.conftest import EXAMPLES, Open, Server, wait_for

pytestmark = pytest.mark.browser


def ask(page: Any, text: str, *files: str) -> Any:
    """Send a message; the answer, once it is complete."""
    if files:
        page.locator("input[type=file]").set_input_files([EXAMPLES / name for name in files])
        page.locator(".tray li").nth(len(files) - 1).wait_for()
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()
    return answered(page)


def answered(page: Any) -> Any:
    """The last answer, once it is complete."""
    answer = page.locator(".answer").last
    answer.locator(".actions").wait_for()
    return answer


def test_pictures_clips_and_sounds_are_answered(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_role("button", name=re.compile("^A picture")).click()
    answer = answered(page)
    assert answer.locator(".markdown").inner_text() == "right"
    assert answer.locator(".badge").get_attribute("data-state") == "typed_query"
    assert page.locator(".question img").evaluate("image => image.naturalWidth") == 320
    answer = ask(page, "Which way does it move?", "moving.mp4")
    assert answer.locator(".markdown").inner_text() == "right"
    assert page.locator(".question video").evaluate("video => video.error") is None
    page.get_by_role("button", name="New conversation").click()
    answer = ask(page, "", "capital_en.wav")
    assert answer.locator(".markdown").inner_text() == "paris"
    assert answer.locator(".badge").get_attribute("data-state") == "spoken_query"
    assert "first word after" in answer.locator(".latency").get_attribute("title")


def test_noise_stays_unanswered_until_it_is_said_to_be_a_question(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_role("button", name="Words that are meant for somebody else").click()
    answer = answered(page)
    assert answer.locator(".badge").get_attribute("data-state") == "noise"
    assert "no answer" in answer.inner_text()
    page.get_by_role("button", name="It was for you: answer it").click()
    page.locator(".badge.spoken_query").wait_for()
    assert answered(page).locator(".markdown").inner_text() != ""


def test_every_example_to_click_is_answered_as_it_should_be(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    examples = page.locator(".examples button")
    examples.first.and_(page.locator(":enabled")).wait_for()
    answers = []
    for index in range(examples.count()):
        examples.nth(index).click()
        answer = answered(page)
        answers.append(
            (answer.locator(".badge").get_attribute("data-state"), answer.locator(".markdown, p").first.inner_text())
        )
        page.get_by_role("button", name="New conversation").click()
    typed, spoken, noise = "typed_query", "spoken_query", ("noise", "Not for me: no answer")
    story = answers.pop(9)
    assert story[0] == typed
    assert story[1].startswith("there was")
    assert answers == [
        *[(typed, "tokyo"), (typed, "七"), (typed, "right"), (spoken, "red"), (typed, "seven"), (typed, "right")],
        *[(spoken, "向右"), (spoken, "paris"), (spoken, "蓝鲸"), noise, noise],
    ]


def test_stop_edit_retry_and_history(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_label("Your message").fill("Tell me a story.")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop", exact=True).click()
    assert answered(page).locator(".ending").inner_text() == "stopped"
    page.get_by_role("button", name="Edit and send again").click()
    page.get_by_role("textbox", name="Edit and send again").fill("What is three plus four?")
    page.keyboard.press("Enter")
    assert answered(page).locator(".markdown").inner_text() == "seven"
    page.get_by_role("button", name="Try again").click()
    assert answered(page).locator(".markdown").inner_text() == "seven"
    assert page.locator(".turn").count() == 1
    page.get_by_role("button", name="New conversation").click()
    page.get_by_role("heading", name="What would you like to know?").wait_for()
    page.get_by_role("button", name="Open “What is three plus four?”").click()
    assert answered(page).locator(".markdown").inner_text() == "seven"
    with page.expect_download() as saved:
        page.get_by_text("Save as a file").click()
        page.get_by_role("button", name="Save as Markdown").click()
    assert "**You:** What is three plus four?" in saved.value.path().read_text(encoding="utf-8")


def test_a_voice_message_is_recorded_and_answered(server: Server, open_page: Open) -> None:
    page = open_page(server.url, microphone=EXAMPLES / "capital_en.wav")
    page.get_by_role("button", name="Record a voice message").click()
    page.get_by_text("Recording · 3 s").wait_for()
    page.get_by_role("button", name="Finish recording").click()
    answer = answered(page)
    assert answer.locator(".badge").get_attribute("data-state") == "spoken_query"
    assert answer.locator(".markdown").inner_text() == "paris"


def test_a_clip_is_recorded_and_answered(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_role("button", name="Record a clip with the camera").click()
    page.get_by_text("Recording · 2 s").wait_for()
    page.get_by_role("button", name="Finish recording").click()
    page.locator(".tray video").wait_for()
    assert ask(page, "Which way does it move?").locator(".markdown").inner_text() != ""


def test_answers_can_be_spoken(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_label("Speak the answers").check()
    assert ask(page, "What is the capital of Japan?").locator(".markdown").inner_text() == "tokyo"
    wait_for(page, "window.heard.some(([, loudness]) => loudness > 0.01)")


def test_a_reload_in_mid_answer_keeps_what_was_there(server: Server, open_page: Open) -> None:
    page = open_page(server.url)
    page.get_by_label("Your message").fill("Tell me a story.")
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('.answer .markdown')?.innerText.split(' ').length > 3")
    page.wait_for_timeout(500)  # for what is there to be kept
    page.reload()
    answer = answered(page)
    if answer.locator(".ending").count():  # on a fast machine the story is complete by then
        assert answer.locator(".ending").inner_text() == "the page was closed before the answer was complete"
    assert answer.locator(".markdown").inner_text().startswith("there was")
    page.get_by_role("button", name="Try again").click()
    wait_for(page, "document.querySelector('.answer').ariaBusy === 'false'")
    assert page.locator(".turn").count() == 1


def test_a_server_that_goes_and_comes_back(own_server: Server, open_page: Open) -> None:
    page = open_page(own_server.url, expected=["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"])
    assert ask(page, "What is the capital of Japan?").locator(".markdown").inner_text() == "tokyo"
    own_server.stop()
    answer = ask(page, "What is three plus four?")
    assert "the connection was lost" in answer.get_by_role("alert").inner_text()
    page.get_by_text("The server cannot be reached.").wait_for()
    own_server.start()
    page.get_by_text("The server cannot be reached.").wait_for(state="detached")
    page.get_by_role("button", name="Try again").last.click()
    wait_for(page, "document.querySelectorAll('.answer .problem').length === 0")
    assert answered(page).locator(".markdown").inner_text() == "seven"


def test_a_key_is_asked_for_where_one_is_needed(tmp_path: Any, open_page: Open) -> None:
    server = Server(tmp_path / "log.jsonl", "--api-key", "a-key-of-mine")
    server.start()
    try:
        page = open_page(server.url, expected=["401"])
        for key, seen in (("wrong-key", "The server does not know this key."), ("a-key-of-mine", "Try one of these")):
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Use it").click()
            page.get_by_text(seen).wait_for()
        assert ask(page, "What is the capital of Japan?").locator(".markdown").inner_text() == "tokyo"
    finally:
        server.stop()

"""Microphone, speaker, camera and screen of the live conversation, and what the page says where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.web.conftest import LOUD, RATE_HZ, Open, Server, camera_clip, recording, start, type_in, wait_for

pytestmark = pytest.mark.browser
WATCH = """() => {
  const give = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.asked = [];
  navigator.mediaDevices.getUserMedia = (wanted) => (window.asked.push(wanted), give(wanted));
}"""

REFUSE_ONCE = """() => {
  const share = navigator.mediaDevices.getDisplayMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getDisplayMedia = () => {
    navigator.mediaDevices.getDisplayMedia = share;
    return Promise.reject(new DOMException("", "NotAllowedError"));
  };
}"""


def pictures(page: Any) -> list[str]:
    """The pictures that were sent, as data URLs."""
    return page.evaluate(
        "window.sent.map(({item}) => item?.content[0]).filter((part) => part?.type === 'input_image')"
        ".map(({image_url}) => image_url)"
    )


def test_microphone_and_speaker_can_be_chosen_and_silenced(server: Server, open_page: Open, tmp_path: Path) -> None:
    rustle = np.random.default_rng(0).normal(0.0, 0.003, 120 * RATE_HZ)  # no speech, and not nothing
    soundfile.write(tmp_path / "rustle.wav", rustle, RATE_HZ, subtype="PCM_16")
    page = open_page(f"{server.url}/#live", microphone=tmp_path / "rustle.wav")
    page.evaluate(WATCH)
    start(page)
    wanted = page.evaluate("window.asked[0].audio")
    assert [wanted[name] for name in ("echoCancellation", "noiseSuppression", "autoGainControl")] == [True] * 3
    wait_for(page, "window.sent.some(({audio}) => audio && !/^A+=*$/.test(audio))")

    choice = page.get_by_role("combobox", name="Microphone")
    choice.select_option(index=1)
    wait_for(page, "window.asked.length === 2")
    assert page.evaluate("window.asked[1].audio.deviceId.exact") == choice.input_value()

    page.get_by_role("button", name="Mute the microphone").click()
    page.get_by_text("The microphone is muted").wait_for()
    page.evaluate("window.sent.length = 0")
    wait_for(page, "window.sent.filter(({audio}) => audio).length > 50")
    assert page.evaluate("window.sent.every(({audio}) => !audio || /^A+=*$/.test(audio))")

    page.get_by_label("Volume").fill("0")
    page.wait_for_timeout(500)
    page.evaluate("window.heard.length = 0")
    type_in(page, "What is the capital of Japan?")
    wait_for(page, "[...document.querySelectorAll('.line.reply')].at(-1)?.innerText.includes('tokyo')")
    assert max(loud for _, loud in page.evaluate("window.heard")) < LOUD / 100
    page.get_by_label("Volume").fill("1")
    page.get_by_role("button", name="Unmute the microphone").click()
    wait_for(page, "window.sent.some(({audio}) => audio && !/^A+=*$/.test(audio))")


def test_what_the_camera_sees_is_asked_about(server: Server, open_page: Open, tmp_path: Path) -> None:
    page = open_page(
        f"{server.url}/#live",
        microphone=recording(tmp_path / "talk.wav", 14.0, ("direction_zh.wav", 0.0, 1.6), 30.0),
        camera=camera_clip(tmp_path / "clip.y4m"),
    )
    page.get_by_role("button", name="Picture: Camera").click()
    start(page)
    page.locator("video.view").wait_for()
    page.locator(".line.reply").wait_for()
    assert len(pictures(page)) >= 3
    assert all(url.startswith("data:image/jpeg;base64,") for url in pictures(page))
    assert page.locator(".line.reply").inner_text().strip() != ""
    page.get_by_role("button", name="Picture: None").click()
    assert page.locator("video.view").count() == 0


def test_the_screen_is_shown_and_the_conversation_goes_on_without_it(
    server: Server, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(f"{server.url}/#live", microphone=recording(tmp_path / "still.wav", 60.0))
    page.evaluate(REFUSE_ONCE)
    start(page)
    page.get_by_role("button", name="Picture: Screen").click()
    assert "The conversation goes on without it." in page.get_by_role("alert").inner_text()
    assert page.locator(".phase").get_attribute("data-phase") == "listening"
    page.get_by_role("button", name="Picture: Screen").click()
    page.locator("video.view").wait_for()
    wait_for(page, "window.sent.some(({item}) => item?.content[0].type === 'input_image')")
    page.evaluate("document.querySelector('video.view').srcObject.getTracks()[0].dispatchEvent(new Event('ended'))")
    page.locator("video.view").wait_for(state="detached")  # as when the user ends it in the browser's own bar


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"allowed": False}, "The microphone was not allowed."),
        ({"devices": False}, "No microphone was found."),
    ],
    ids=["denied", "no device"],
)
def test_without_a_microphone_it_says_why(server: Server, open_page: Open, options: Any, words: str) -> None:
    page = open_page(f"{server.url}/#live", **options)
    page.get_by_role("button", name="Start talking").click()
    assert words in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Start talking").wait_for()
    page.get_by_role("link", name="Chat").click()
    page.get_by_role("button", name="Record a voice message").click()
    assert words in page.get_by_role("alert").inner_text()


def test_plain_http_from_another_machine_says_why(server: Server, open_page: Open) -> None:
    page = open_page(f"http://10.9.8.7:{server.port}/#live", rules="MAP 10.9.8.7 127.0.0.1")
    page.get_by_role("button", name="Start talking").click()
    assert "--tls self-signed" in page.get_by_role("alert").inner_text()


def test_https_from_another_machine_has_a_microphone(
    open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where the certificate is kept
    server = Server(tmp_path / "log.jsonl", "--tls", "self-signed")
    server.start()
    try:
        still = recording(tmp_path / "still.wav", 60.0)
        address = f"https://10.9.8.7:{server.port}/#live"
        page = open_page(address, microphone=still, rules="MAP 10.9.8.7 127.0.0.1", ignore_https_errors=True)
        start(page)
        wait_for(page, "window.fed.length > 20")
    finally:
        server.stop()

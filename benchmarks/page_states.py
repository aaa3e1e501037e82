"""The states of the page, for `page.py`: how each is reached, with a scripted engine and a scripted conversation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, WebSocketRoute

from vita.chat.messages import Message
from vita.engine.scripted import Line
from vita.tokens import State

REPOSITORY = Path(__file__).parents[1]
REPLY = r"""The circle has the area $A = \pi r^2$, so for $r = 3$:

$$A = \pi \cdot 3^2 \approx 28.27$$

| shape | area |
|---|---|
| circle | 28.27 |
| square | **9** |

```python
import math

print(math.pi * 3**2)
```
"""
SECOND = "AAAA" * 16_000  # pcm16, 24 kHz, base64


def answer(messages: tuple[Message, ...]) -> Line:
    """Silence for a lone sound, a word for the star, Markdown for other words."""
    text = messages[-1].text
    words = ("right",) if "star" in text else tuple(piece + " " for piece in REPLY.split(" "))
    return Line(State.TYPED_QUERY, words) if text else Line(State.NOISE)


def item(name: str, role: str, state: str | None = None, words: str | None = None) -> dict[str, Any]:
    """An item of a realtime conversation; `words`: what the ear made of it."""
    content = [{"type": "input_audio", "transcript": words}] if role == "user" else []
    return {"id": name, "role": role, "content": content} | ({"vita": {"state": state}} if state else {})


def turn(name: str, start_ms: int, end_ms: int, state: str, words: str | None = None) -> list[dict[str, Any]]:
    """A spoken turn, from its first sound to its item."""
    buffer = {"item_id": name}
    return [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, **buffer},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, **buffer},
        {"type": "conversation.item.added", "item": item(name, "user", state, words)},
    ]


def spoken(name: str, written: str, said: str) -> list[dict[str, Any]]:
    """An answer of which some words have been spoken, a second of sound each."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": f"r_{name}"}},
        {"type": "response.output_item.added", "item": item(name, "assistant")},
        {"type": "vita.output_text.delta", "item_id": name, "delta": written},
    ]
    for word in said.split():
        events.append({"type": "response.output_audio.delta", "item_id": name, "delta": SECOND})
        events.append({"type": "response.output_audio_transcript.delta", "item_id": name, "delta": f"{word} "})
    return events


FIRST: list[dict[str, Any] | int] = [
    *turn("q1", 0, 900, "spoken_query", "how many legs does a spider have"),
    *spoken("a1", "eight", "eight"),
    {"type": "response.output_audio.done", "item_id": "a1"},
    {"type": "response.done", "response": {"status": "completed"}},
    1200,
]
# Numbers are pauses, in milliseconds.
STORY = "There was a little red boat on a lake. Every day it saw the big ships go to the sea."
LIVE: dict[str, list[dict[str, Any] | int]] = {
    "listening": [],
    "hearing": [*FIRST, {"type": "input_audio_buffer.speech_started", "audio_start_ms": 1500, "item_id": "q2"}],
    "thinking": [*FIRST, *turn("q2", 1500, 2400, "spoken_query")],
    "speaking": [*turn("q2", 0, 900, "spoken_query"), *spoken("a2", STORY, "There was a little red boat")],
    "ignored": [*FIRST, *turn("n1", 1500, 2700, "noise")],
    "reconnecting": FIRST,
    "camera": FIRST,
    "interrupted": [
        *FIRST,
        *turn("n1", 1500, 2700, "noise", "mum dinner is ready"),
        *turn("q2", 3000, 3900, "spoken_query", "tell me a story"),
        *spoken("a2", STORY, "There was a little red boat"),
        4300,
        {"type": "response.done", "response": {"status": "cancelled"}},
        {"type": "conversation.item.truncated", "item_id": "a2", "audio_end_ms": 4100},
        *turn("q3", 5000, 6100, "spoken_query", "what is the capital of france"),
        *spoken("a3", "paris", "paris"),
    ],
}


def say(page: Page, text: str) -> None:
    """Send a message and wait for the answer."""
    page.locator(".composer textarea").fill(text)
    page.keyboard.press("Enter")
    page.locator(".answer .actions").last.wait_for()


def live(name: str) -> Callable[[Page], None]:
    """The live view in a state."""

    def show(page: Page) -> None:
        connections: list[WebSocketRoute] = []
        page.route_web_socket("**/v1/realtime*", lambda route: connections.append(route))
        page.goto(page.url.split("#")[0] + "#live")
        page.locator(".start:not([disabled])").click()
        while not connections:
            page.wait_for_timeout(50)
        for event in ({"type": "session.created", "session": {"id": "s"}}, *LIVE[name]):
            if isinstance(event, int):
                page.wait_for_timeout(event)
            else:
                connections[0].send(json.dumps(event))
        if name == "thinking":
            page.locator(".details summary").click()
        if name == "reconnecting":
            wait_for(page, "document.querySelector('.phase').dataset.phase === 'listening'")
            connections[0].close()
            page.locator(".notice").wait_for()
        if name == "camera":
            page.locator(".controls button").first.click()
            page.locator(".sources button").nth(1).click()
            wait_for(page, "document.querySelector('video.view')?.videoWidth")
        page.wait_for_timeout(300)

    return show


def refused(name: str) -> Callable[[Page], None]:
    """The live view where the browser gives no microphone, for a reason."""

    def show(page: Page) -> None:
        refusal = f"() => Promise.reject(new DOMException('', '{name}'))"
        page.add_init_script(f"navigator.mediaDevices.getUserMedia = {refusal}")
        page.goto(page.url.split("#")[0] + "#live")
        page.reload()
        page.locator(".start:not([disabled])").click()
        page.locator(".problem").wait_for()

    return show


def insecure(page: Page) -> None:
    """The live view over plain http from another machine."""
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.goto(page.url.split("#")[0] + "#live")
    page.reload()
    page.locator(".start:not([disabled])").click()
    page.locator(".problem").wait_for()


def wait_for(page: Page, expression: str) -> None:
    """Until it is true in the page."""
    while not page.evaluate(f"() => Boolean({expression})"):
        page.wait_for_timeout(50)


def picture(page: Page) -> None:
    """A question on a picture, answered."""
    page.locator("input[type=file]").set_input_files(REPOSITORY / "examples" / "shapes.png")
    page.locator(".tray img").wait_for()
    say(page, "Where is the star?")


def attached(page: Page) -> None:
    """A picture and a clip that were asked about, a sound that was noise, and a picture about to be sent."""
    examples = REPOSITORY / "examples"
    chooser = page.locator("input[type=file]")
    chooser.set_input_files([examples / "shapes.png", examples / "moving.mp4"])
    say(page, "What is the area of the circle?")
    chooser.set_input_files([examples / "hum.wav"])
    page.locator(".tray audio").wait_for()
    page.locator(".composer button[type=submit]").click()
    page.locator(".anyway").wait_for()
    chooser.set_input_files([examples / "sum.png"])
    page.locator(".tray img").wait_for()


def failed(page: Page) -> None:
    """A server that is gone, after the page has seen it."""
    page.locator(".examples button:enabled").first.wait_for()
    page.route("**/v1/**", lambda route: route.abort())
    say(page, "Hello?")
    page.locator(".notice").wait_for()


def editing(page: Page) -> None:
    say(page, "What is the area of a circle?")
    page.locator(".question .actions button").click()


def recorded(page: Page) -> None:
    page.locator(".composer button").nth(2).click()
    page.locator(".recording video").wait_for()


def menu(page: Page) -> None:
    say(page, "What is the area of a circle?")
    if page.locator(".menu-button").is_visible():
        page.locator(".menu-button").click()
        page.wait_for_timeout(400)  # it slides in


def key(page: Page) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=401, json={"error": {"message": "no"}})

    page.route("**/v1/models", refuse)
    page.reload()
    page.locator(".key").wait_for()


STATES: dict[str, Callable[[Page], None]] = {
    "welcome": lambda page: page.locator(".examples button:not([disabled])").first.wait_for(),
    "answer": lambda page: say(page, "What is the area of a circle?"),
    "picture": picture,
    "attached": attached,
    "failed": failed,
    "editing": editing,
    "recording": recorded,
    "menu": menu,
    "key": key,
    "live-off": lambda page: page.locator("nav a").last.click(),
    **{f"live-{name}": live(name) for name in LIVE},
    "live-denied": refused("NotAllowedError"),
    "live-missing": refused("NotFoundError"),
    "live-insecure": insecure,
}
MEANT_TO_FAIL = {"failed", "key"}

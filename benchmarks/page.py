"""The page in every state in Chromium: pictures of it, axe-core, what it weighs. `--check`: exit code 1 for a fault.

    python benchmarks/page.py --shots out/page

The engine is scripted and the realtime connection plays a script of its own, so that every state can be held still.
Needs playwright, Chromium (`CHROMIUM` names another than the system's) and `npm --prefix web ci` for axe-core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from playwright.sync_api import Browser, Page, Route, WebSocketRoute, sync_playwright

from vita.chat.messages import Message
from vita.engine.scripted import Line, ScriptedEngine
from vita.server.app import create_app
from vita.server.settings import ServerSettings
from vita.tokens import State

REPOSITORY = Path(__file__).parents[1]
AXE = REPOSITORY / "web" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": {"width": 1100, "height": 760}, "color_scheme": "light", "locale": "en-GB"},
    "desktop-dark": {"viewport": {"width": 1100, "height": 760}, "color_scheme": "dark", "locale": "en-GB"},
    "phone-light": {"viewport": {"width": 390, "height": 780}, "color_scheme": "light", "locale": "zh-CN"},
    "phone-dark": {"viewport": {"width": 390, "height": 780}, "color_scheme": "dark", "locale": "zh-CN"},
}
MOST_BYTES = 200_000
LOADS = 5
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
    """Silence for a lone sound, Markdown for words."""
    words = tuple(piece + " " for piece in REPLY.split(" "))
    return Line(State.TYPED_QUERY, words) if messages[-1].text else Line(State.NOISE)


def item(name: str, role: str, state: str | None = None) -> dict[str, Any]:
    """An item of a realtime conversation, without its text."""
    made = {"id": name, "role": role, "content": [{"type": "input_audio"}] if role == "user" else []}
    return made | ({"vita": {"state": state}} if state else {})


def turn(name: str, start_ms: int, end_ms: int, state: str) -> list[dict[str, Any]]:
    """A spoken turn, from its first sound to its item."""
    buffer = {"item_id": name}
    return [
        {"type": "input_audio_buffer.speech_started", "audio_start_ms": start_ms, **buffer},
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end_ms, **buffer},
        {"type": "conversation.item.added", "item": item(name, "user", state)},
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
    *turn("q1", 0, 900, "spoken_query"),
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
        *turn("n1", 1500, 2700, "noise"),
        *turn("q2", 3000, 3900, "spoken_query"),
        *spoken("a2", STORY, "There was a little red boat"),
        4300,
        {"type": "response.done", "response": {"status": "cancelled"}},
        {"type": "conversation.item.truncated", "item_id": "a2", "audio_end_ms": 4100},
        *turn("q3", 5000, 6100, "spoken_query"),
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
    """A server that is gone."""
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


@contextmanager
def served() -> Iterator[str]:
    """The server with a scripted engine; its address."""
    app = create_app(ScriptedEngine(answer), ServerSettings())
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def look(page: Page, name: str) -> list[str]:
    """What is wrong with a page as it stands."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    faults = [f"axe {one['id']}: {one['nodes'][0]['html'][:120]}" for one in found]
    if page.evaluate("() => document.documentElement.scrollWidth > innerWidth"):
        faults.append("wider than the window")
    return [f"{name}: {fault}" for fault in faults]


def weigh(page: Page) -> dict[str, int]:
    """Bytes that came over the wire; without media, which only examples load."""
    return page.evaluate("""() => ({
      bytes: [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
        .reduce((sum, {transferSize}) => sum + transferSize, 0),
      requests: performance.getEntriesByType('resource').length + 1,
    })""")


def time_loading(browser: Browser, url: str, look_name: str) -> dict[str, list[int]]:
    """Milliseconds until something was seen and until all was there, of fresh browser profiles, the fastest first."""
    times: dict[str, list[int]] = {"first_paint_ms": [], "loaded_ms": []}
    for _ in range(LOADS):
        page = browser.new_context(**LOOKS[look_name]).new_page()
        page.goto(url)
        wait_for(page, "performance.getEntriesByName('first-contentful-paint').length")
        seen = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        times["first_paint_ms"].append(round(seen))
        times["loaded_ms"].append(round(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")))
        page.context.close()
    return {name: sorted(values) for name, values in times.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Every state in every look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=Path, help="a folder for pictures")
    parser.add_argument("--looks", nargs="+", choices=LOOKS, default=list(LOOKS))
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--check", action="store_true", help="exit code 1 if something is wrong")
    given = parser.parse_args(arguments)
    faults: list[str] = []
    with served() as url, sync_playwright() as driver:
        options = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        for look_name in given.looks:
            for state in given.states:
                name = f"{state}-{look_name}"
                page = browser.new_context(**LOOKS[look_name]).new_page()
                elsewhere = _watch(page, url, faults, name)
                page.goto(url)
                STATES[state](page)
                if given.shots:  # before axe, which scrolls
                    given.shots.mkdir(parents=True, exist_ok=True)
                    page.screenshot(path=given.shots / f"{name}.png")
                faults += look(page, name) + elsewhere
                if state == "answer":  # with Markdown and formulas: all of the page's code was needed
                    print(look_name, weigh(page), time_loading(browser, url, look_name))
                    if weigh(page)["bytes"] > MOST_BYTES:
                        faults.append(f"{name}: more than {MOST_BYTES} bytes")
                page.context.close()
        browser.close()
    print(f"{len(given.looks) * len(given.states)} pages looked at, {len(faults)} faults", *faults, sep="\n")
    return 1 if given.check and faults else 0


def _watch(page: Page, url: str, faults: list[str], name: str) -> list[str]:
    """Note errors in `faults`, and requests to anywhere else in what is returned."""
    elsewhere: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{name}: {error}"))
    if name.split("-")[0] not in MEANT_TO_FAIL:
        page.on("console", lambda line: faults.append(f"{name}: {line.text}") if line.type == "error" else None)
    page.on(
        "request", lambda one: None if one.url.startswith((url, "blob:")) else elsewhere.append(f"{name}: {one.url}")
    )
    return elsewhere


if __name__ == "__main__":
    sys.exit(main())

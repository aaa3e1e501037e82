"""The page in every state in Chromium: pictures of it, axe-core, what it weighs. `--check`: exit code 1 for a fault.

    python benchmarks/page.py --shots out/page

The engine is scripted and the realtime connection plays a script of its own, so that every state can be held still.
Needs playwright, Chromium (`CHROMIUM` names another than the system's) and `npm --prefix web ci` for axe-core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from page_states import MEANT_TO_FAIL, REPOSITORY, STATES, answer, wait_for
from playwright.sync_api import Browser, Page, sync_playwright

from vita.engine.scripted import ScriptedEngine
from vita.server.app import create_app
from vita.server.settings import ServerSettings

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
PATIENCE_MS = 180_000


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
                page.set_default_timeout(PATIENCE_MS)
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

"""A real `vita serve` with the pocket model, and Chromium with a microphone and a camera that play files.

Chromium is the system's (`CHROMIUM` names another); without it, or without playwright, the tests marked browser skip.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
RATE_HZ = 16_000
PATIENCE_MS = 90_000
"""Answers take long where several browsers and models share a machine."""
LOUD = 0.01
"""What goes to the speaker is sound, and not nearly silence: root mean square, 1 at most."""
SPY = """
window.heard = []; window.told = []; window.sent = []; window.fed = []; window.phases = []; window.sockets = [];
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const tap = new AnalyserNode(this.context, { fftSize: 256 });
    connect.call(this, tap);
    const samples = new Float32Array(256);
    setInterval(() => {
      tap.getFloatTimeDomainData(samples);
      window.heard.push([performance.now(), Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / 256)]);
    }, 5);
  }
  return connect.call(this, target, ...rest);
};
const Socket = window.WebSocket;
window.WebSocket = class extends Socket {
  constructor(...given) {
    super(...given);
    window.sockets.push(this);
    this.addEventListener("message", ({ data }) => window.told.push([performance.now(), JSON.parse(data)]));
  }
  send(text) {
    const event = JSON.parse(text);
    window.sent.push(event);
    const fed = window.fed.at(-1)?.[1] ?? 0;
    if (event.audio) window.fed.push([performance.now(), fed + (event.audio.length * 0.75) / 48]);
    super.send(text);
  }
};
setInterval(() => {
  const phase = document.querySelector(".phase")?.dataset.phase;
  if (phase && phase !== window.phases.at(-1)) window.phases.push(phase);
}, 15);
"""
"""Runs in the page before its own code.

heard: [when, loudness] of what goes to the speaker; told, sent: the events of the live conversation; fed: [when, how
many milliseconds of the microphone's sound had been sent].
"""


class Server:
    """`vita serve` in a process of its own, on one port, however often it is started."""

    def __init__(self, log: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._log, self._options = log, options
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Until it serves."""
        command = [sys.executable, "-m", "vita.cli.main", "serve", "--port", str(self.port), *self._options]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        assert "serving pocket" in self._process.stdout.readline(), self._log.read_text()

    def stop(self) -> None:
        """At once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it alone."""
    served = Server(tmp_path_factory.mktemp("served") / "log.jsonl")
    served.start()
    yield served
    served.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One for a test that ends it."""
    served = Server(tmp_path / "log.jsonl")
    served.start()
    yield served
    served.stop()


Open = Callable[..., Any]


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Open]:
    """Opens pages; at the end, no page may have complained, or asked for anything elsewhere."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium; on Debian and Ubuntu: apt-get install chromium")
    complaints: list[str] = []
    elsewhere: list[str] = []
    closing: list[Callable[[], None]] = []
    with playwright.sync_playwright() as driver:

        def open_one(
            url: str,
            *,
            microphone: Path | None = None,
            camera: Path | None = None,
            devices: bool = True,
            allowed: bool = True,
            rules: str = "",
            expected: Sequence[str] = (),
            **context: Any,
        ) -> Any:
            options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            options += ["--use-fake-device-for-media-stream=display-media-type=browser"] if devices else []
            options += ["--use-fake-ui-for-media-stream"] if allowed else []
            options += [f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
            options += [f"--use-file-for-fake-video-capture={camera}"] if camera else []
            options += [f"--host-resolver-rules={rules}"] if rules else []
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
            closing.append(browser.close)
            page = browser.new_context(**{"viewport": {"width": 1100, "height": 760}, **context}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.add_init_script(SPY)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda line: (
                    complaints.append(line.text)
                    if line.type == "error" and not any(words in line.text for words in expected)
                    else None
                ),
            )
            own = url.split("/")[2]
            page.on(
                "request",
                lambda asked: (
                    elsewhere.append(asked.url)
                    if not asked.url.startswith("blob:") and asked.url.split("/")[2] != own
                    else None
                ),
            )
            page.goto(url)
            return page

        yield open_one
        for close in closing:
            close()
    assert complaints == []
    assert elsewhere == []


def recording(path: Path, *parts: float | tuple[str, float, float]) -> Path:
    """A wav for the microphone: seconds of silence, and (example, from, to) cut out of the examples."""
    pieces = []
    for part in parts:
        if isinstance(part, tuple):
            name, start_s, end_s = part
            samples, rate_hz = soundfile.read(EXAMPLES / name, dtype="float32")
            assert rate_hz == RATE_HZ
            pieces.append(samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)])
        else:
            pieces.append(np.zeros(round(part * RATE_HZ), np.float32))
    soundfile.write(path, np.concatenate(pieces), RATE_HZ, subtype="PCM_16")
    return path


def camera_clip(path: Path) -> Path:
    """The example clip, for the camera."""
    with av.open(str(EXAMPLES / "moving.mp4")) as clip, path.open("wb") as out:
        stream = clip.streams.video[0]
        out.write(f"YUV4MPEG2 W{stream.width} H{stream.height} F12:1 Ip A1:1 C420jpeg\n".encode())
        for frame in clip.decode(stream):
            planes = frame.reformat(format="yuv420p").to_ndarray()
            out.write(b"FRAME\n" + planes.tobytes())
    return path


def wait_for(page: Any, expression: str, within_s: float = PATIENCE_MS / 1000) -> None:
    """Until it is true in the page. (Playwright's own way needs eval, which the page's policy forbids.)"""
    deadline_s = time.monotonic() + within_s
    while not page.evaluate(f"() => Boolean({expression})"):
        assert time.monotonic() < deadline_s, f"never: {expression}"
        page.wait_for_timeout(50)


def start(page: Any) -> None:
    """Press the one button."""
    page.get_by_role("button", name="Start talking").click()
    wait_for(page, "['listening', 'hearing'].includes(document.querySelector('.phase').dataset.phase)")


def type_in(page: Any, text: str) -> None:
    """Ask in writing."""
    page.get_by_label("Or type").fill(text)
    page.keyboard.press("Enter")

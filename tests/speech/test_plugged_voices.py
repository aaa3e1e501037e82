"""Voices that are plugged in: an OpenAI-compatible endpoint (a fake one on this machine), Piper (a fake package)."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vita.errors import ConfigError, DependencyError
from vita.speech.openai_voice import OpenAIVoice
from vita.speech.voices import EspeakVoice, voice_names, voice_of


class Endpoint(BaseHTTPRequestHandler):
    """Speaks a sample for every character; "refuse" and "html" are answered otherwise."""

    asked: list[tuple[str, str | None, dict[str, Any]]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers.get("Authorization"), body))
        refuses, kind = body["input"] == "refuse", "text/html" if body["input"] == "html" else "audio/pcm"
        sound = b"no such voice" if refuses else np.full(len(body["input"]), 16384, "<i2").tobytes()
        self.send_response(400 if refuses else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(sound)))
        self.end_headers()
        self.wfile.write(sound)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Endpoint.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_endpoint_speaks_what_is_speakable(url: str) -> None:
    voice = voice_of(f"openai:{url},voice=nova,model=kokoro,sample_rate_hz=16000", api_key="secret")
    samples, rate_hz = voice.speak("<1>It is **blue**.")
    assert (len(samples), rate_hz, samples.dtype) == (len("It is blue."), 16_000, np.float32)
    assert samples == pytest.approx(0.5)
    body = {"model": "kokoro", "voice": "nova", "input": "It is blue.", "response_format": "pcm"}
    assert Endpoint.asked == [("/v1/audio/speech", "Bearer secret", body)]
    assert len(voice.speak("<1>")[0]) == 0
    assert len(Endpoint.asked) == 1, "nothing to say, nothing is sent"
    voice.close()


def test_what_an_endpoint_does_wrong_is_one_line(url: str) -> None:
    voice = OpenAIVoice(base_url=url + "/")
    with pytest.raises(DependencyError, match=r"refused \(got 400 no such voice\)"):
        voice.speak("refuse")
    with pytest.raises(DependencyError, match=r"sent no sound \(got text/html"):
        voice.speak("html")
    assert Endpoint.asked[0][:2] == ("/v1/audio/speech", None)
    with pytest.raises(DependencyError, match="does not answer"):
        OpenAIVoice(base_url="http://127.0.0.1:9/v1", timeout_s=2).speak("hello")


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("openai", "the voice openai needs base_url"),
        ("openai:ftp://x", "expected http://"),
        ("openai:http://x,loud=1", "unknown option of the voice openai"),
        ("openai:http://x,loud", "expected OPTION=VALUE"),
        ("piper:nowhere.onnx", "there is no such Piper voice"),
        ("nobody", "unknown voice"),
    ],
)
def test_specs_that_are_none(spec: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        voice_of(spec)


def test_the_embedded_voice_with_options() -> None:
    voice = voice_of("espeak:rate_wpm=300,variant=f2")
    assert isinstance(voice, EspeakVoice)
    assert (voice.options.rate_wpm, voice.options.variant) == (300, "f2")
    assert "openai" not in voice_names(), "a name alone does not make one"


def test_piper_speaks_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "voice.onnx"
    model.touch()
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(DependencyError, match="pip install piper-tts"):
        voice_of(f"piper:{model}")
    heard: list[str] = []

    class Loaded:
        def synthesize(self, text: str) -> Iterator[SimpleNamespace]:
            heard.append(text)
            for _ in range(2):
                yield SimpleNamespace(audio_int16_bytes=np.full(5, -16384, "<i2").tobytes(), sample_rate=16_000)

    fake = SimpleNamespace(PiperVoice=SimpleNamespace(load=lambda path: Loaded()))
    monkeypatch.setitem(sys.modules, "piper", fake)
    voice = voice_of(f"piper:{model}")
    samples, rate_hz = voice.speak("It is **blue**.")
    assert (len(samples), rate_hz, heard) == (10, 16_000, ["It is blue."])
    assert samples == pytest.approx(-0.5)
    assert len(voice.speak(" ")[0]) == 0
    voice.close()

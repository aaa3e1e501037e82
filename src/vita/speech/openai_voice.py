"""A voice behind any OpenAI-compatible speech endpoint (POST .../audio/speech), on this machine or elsewhere.

Registered as "openai" in `voices.py`; what is said is sent to the address that the user gives, to no other.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

import numpy as np

from vita.errors import ConfigError, DependencyError
from vita.speech.speakable import speakable


@dataclass(frozen=True, kw_only=True)
class OpenAIVoice:
    """See `vita.speech.voices.Voice`.

    base_url: up to and with /v1.
    model, voice: their names there.
    api_key: sent as a bearer token; None for none.
    sample_rate_hz: of the endpoint's pcm, which does not tell; OpenAI's is 24000.
    timeout_s: for one clause.
    """

    base_url: str
    model: str = "tts-1"
    voice: str = "alloy"
    api_key: str | None = None
    sample_rate_hz: int = 24_000
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError("base_url of a voice", got=self.base_url, expected="http://... or https://...")
        object.__setattr__(self, "sample_rate_hz", int(self.sample_rate_hz))
        object.__setattr__(self, "timeout_s", float(self.timeout_s))

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """See Voice; the endpoint finds the language itself. Raises DependencyError where it does not answer."""
        said = speakable(text).strip()
        if not said:
            return np.zeros(0, np.float32), self.sample_rate_hz
        pcm = self._post({"model": self.model, "voice": self.voice, "input": said, "response_format": "pcm"})
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / 32768, self.sample_rate_hz

    def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, body: dict[str, str]) -> bytes:
        url = self.base_url.rstrip("/") + "/audio/speech"
        headers = {"Content-Type": "application/json"}
        if self.api_key is not None:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                kind = response.headers.get_content_type()
                if kind.startswith("text/") or kind == "application/json":
                    raise DependencyError(f"the voice at {url} sent no sound", got=kind, expected="pcm")
                return response.read()
        except urllib.error.HTTPError as error:
            told = error.read(300).decode("utf-8", "replace")
            raise DependencyError(f"the voice at {url} refused", got=f"{error.code} {told}") from error
        except (OSError, ValueError) as error:
            raise DependencyError(f"the voice at {url} does not answer", got=error) from error

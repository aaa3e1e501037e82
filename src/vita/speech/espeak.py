"""espeak-ng from Python, with the library in its own process: any language, variant, rate and pitch.

Used by the embedded voice (`vita.speech.voices`) and, thousands of times, by the synthesis of training data.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import numpy as np

from vita import errors
from vita.speech.espeak_library import languages, variants
from vita.speech.espeak_process import read_message, write_message

__all__ = ["Espeak", "languages", "variants"]


class Espeak:
    """A client of espeak-ng processes, one a language: started at the first call, reused, restarted if one dies, ended
    at exit.

    Thread-safe; after a fork the child starts processes of its own. The same arguments give the same samples, whatever
    was said before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[str, _Process] = {}

    def synthesize(
        self,
        text: str,
        voice: str = "en-us",
        *,
        rate_wpm: int = 175,
        pitch: int = 50,
        range: int = 50,
        volume: int = 100,
        word_gap: int = 0,
        end_pause: bool = False,
    ) -> tuple[np.ndarray, int]:
        """Speak `text`.

        Args:
            text: plain text in the voice's language.
            voice: language, or language+variant: "en-us", "en-gb+f2", "cmn+m3". Variants: `variants()`.
            rate_wpm: words a minute, 80-450.
            pitch: 0-100.
            range: pitch range, 0 (flat) to 100.
            volume: 0-200, 100 is the voice's own.
            word_gap: extra pause between words, in units of 10 ms.
            end_pause: also the pause that follows a sentence's end.
        Returns:
            int16 samples [num_samples] and their rate in Hz.
        """
        header, payload = self._ask(
            do="synthesize", text=text, voice=voice, rate_wpm=rate_wpm, pitch=pitch, range=range, volume=volume,
            word_gap=word_gap, end_pause=end_pause,
        )  # fmt: skip
        return np.frombuffer(payload, dtype=np.int16).copy(), header["rate_hz"]

    def phonemes(self, text: str, voice: str = "en-us") -> str:
        """The phonemes (IPA) that `voice` would speak `text` with; clauses are joined by a blank."""
        return self._ask(do="phonemes", text=text, voice=voice)[1].decode()

    def close(self) -> None:
        """End the processes; the next call starts others."""
        with self._lock:
            for process in self._processes.values():
                process.stop()
            self._processes.clear()

    def _ask(self, **request: Any) -> tuple[dict[str, Any], bytes]:
        language = request["voice"].partition("+")[0].lower()
        if language not in languages():
            raise errors.ConfigError(f"unknown espeak-ng voice {language!r}", expected="a language such as en-us, cmn")
        with self._lock:
            reply = self._process(language).exchange(request) or self._process(language).exchange(request)
        if reply is None:
            raise errors.DependencyError("the espeak-ng process ended while it spoke, twice", fix="see `vita doctor`")
        if "error" in reply[0]:
            raise _error(reply[0]["kind"], reply[0]["error"])
        return reply

    def _process(self, language: str) -> _Process:
        process = self._processes.get(language)
        if process is None or not process.alive:
            process = self._processes[language] = _Process(language)
        return process


class _Process:
    """One running espeak-ng process."""

    def __init__(self, language: str) -> None:
        command = [sys.executable, "-m", "vita.speech.espeak_process", language]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._owner_pid = os.getpid()
        self._kept = True
        atexit.register(self.stop)

    @property
    def alive(self) -> bool:
        """Whether it runs and was started by this very process (not by the one that this was forked from)."""
        return self._kept and self._owner_pid == os.getpid()

    def exchange(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes] | None:
        """Send a request and wait for the reply; None, and the process stopped, when it has died."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        try:
            write_message(self._popen.stdin, request)
            reply = read_message(self._popen.stdout)
        except OSError:
            reply = None
        if reply is None:
            self.stop()
        return reply

    def stop(self) -> None:
        """Kill it and close its pipes."""
        atexit.unregister(self.stop)
        if not self.alive:
            return
        self._kept = False
        self._popen.kill()
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()


def _error(kind: str, line: str) -> errors.VitaError:
    """The error that the process told in one line, as the same class here."""
    error_class = getattr(errors, kind)
    error = error_class.__new__(error_class)
    Exception.__init__(error, line)
    return error

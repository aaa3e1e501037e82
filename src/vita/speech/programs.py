"""Synthesisers that are programs of their own, with voices of recorded people: flite, RHVoice, Pico, festival.

Called by `vita.synth.voices`; each is used where it is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import soundfile

from vita.errors import DependencyError

PROGRAMS = {"flite": "flite", "rhvoice": "RHVoice-test", "pico": "pico2wave", "festival": "text2wave"}
PACKAGES = {
    "flite": "flite",
    "rhvoice": "rhvoice rhvoice-english",
    "pico": "libttspico-utils",
    "festival": "festival",
}
"""What Debian calls them; those of RHVoice and Pico are in its sections contrib and non-free."""


def installed(engine: str) -> bool:
    """Whether the program of an engine is on the path."""
    return shutil.which(PROGRAMS[engine]) is not None


def run(text: str, engine: str, voice: str, slower: float = 1.0) -> tuple[np.ndarray, int]:
    """`text` as (samples [num_samples] float32 mono, their rate in Hz).

    Args:
        text: what is said.
        engine: of PROGRAMS.
        voice: its name for the engine.
        slower: times as long as the engine says it by itself; festival keeps to its own.

    Raises DependencyError where the program is not there or ends without having spoken.
    """
    if not installed(engine):
        fix = f"install it (apt-get install {PACKAGES[engine]}), or choose an espeak-ng speaker"
        raise DependencyError(f"{engine} is not installed", fix=fix)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.wav"
        command, said = _command(text, engine, voice, slower, str(path))
        try:
            subprocess.run(command, input=said, check=True, capture_output=True, timeout=60)
            samples, rate_hz = soundfile.read(path, dtype="float32")
        except (subprocess.SubprocessError, soundfile.LibsndfileError) as error:
            raise DependencyError(f"{engine} did not say {text[:40]!r} as {voice}", fix="try another voice") from error
    return samples, rate_hz


def _command(text: str, engine: str, voice: str, slower: float, path: str) -> tuple[list[str], bytes | None]:
    """(command, what it reads)."""
    percent = str(round(100 / slower))
    if engine == "flite":
        return ["flite", "-voice", voice, "--setf", f"duration_stretch={slower:.2f}", "-t", text, "-o", path], None
    if engine == "rhvoice":
        return ["RHVoice-test", "-p", voice, "-r", percent, "-o", path], text.encode()
    if engine == "pico":
        return ["pico2wave", "-l", voice, "-w", path, f'<speed level="{percent}">{escape(text)}</speed>'], None
    return ["text2wave", "-eval", f"(voice_{voice})", "-o", path], text.encode()

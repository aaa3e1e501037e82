"""espeak-ng through ctypes: text in, 16-bit samples or phonemes out. Library and data come from espeakng_loader.

Called by `espeak_process` alone, the separate process that holds the GPL library; everybody else uses
`vita.speech.espeak.Espeak`, which has the same two functions. The names of voices are plain files: read in any process.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from vita.errors import ConfigError, DependencyError

_SYNCHRONOUS, _DONT_EXIT, _UTF8, _END_PAUSE = 2, 0x8000, 1, 0x1000
_IPA_PHONEMES = 2
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_LIMITS: dict[str, tuple[int, int]] = {
    "rate_wpm": (80, 450),
    "pitch": (0, 100),
    "range": (0, 100),
    "volume": (0, 200),
    "word_gap": (0, 100),
}


class EspeakLibrary:
    """The one espeak-ng of this process (the C library keeps global state, so every instance shares it).

    Its generator carries phase and pitch flutter from one utterance to the next: only the first `synthesize` of a
    process is reproducible to the sample, which is why `espeak_process` forks for each.
    """

    def __init__(self) -> None:
        self._c = _library()
        self.sample_rate_hz: int = _initialised_rate_hz()

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
    ) -> bytes:
        """Speak `text`: mono 16-bit samples at `sample_rate_hz`. Arguments as in `vita.speech.espeak.Espeak`."""
        settings = {"rate_wpm": rate_wpm, "pitch": pitch, "range": range, "volume": volume, "word_gap": word_gap}
        _check(settings)
        flags = _UTF8 | (_END_PAUSE if end_pause else 0)
        data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        with _LOCK:
            self._select(voice)
            for code, value in zip((_RATE, _PITCH, _RANGE, _VOLUME, _WORD_GAP), settings.values(), strict=True):
                self._c.espeak_SetParameter(code, int(value), 0)
            self._c.espeak_ng_SetRandSeed(1)
            _collected.clear()
            status = self._c.espeak_Synth(data, len(data), 0, 1, 0, flags, None, None)
            samples = b"".join(_collected)
            _collected.clear()
        if status != 0:
            raise DependencyError(f"espeak-ng could not speak {text[:40]!r}", got=f"status {status}")
        return samples

    def phonemes(self, text: str, voice: str = "en-us") -> str:
        """The phonemes (IPA) that `voice` would speak `text` with; clauses are joined by a blank."""
        buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode("utf-8", "replace"))
        pointer = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses: list[str] = []
        with _LOCK:
            self._select(voice)
            while pointer.value:
                clause = self._c.espeak_TextToPhonemes(ctypes.byref(pointer), _UTF8, _IPA_PHONEMES)
                clauses.append((clause or b"").decode("utf-8"))
        return " ".join(clause.strip() for clause in clauses if clause.strip())

    def load(self, language: str) -> None:
        """Read a language and the tables of names, so that forks of this process have them. Once: reading language
        after language without speaking crashes the library. A wrong name is left for `synthesize` to tell.
        """
        variants()
        identifier = languages().get(language.lower())
        if identifier is not None:
            self._c.espeak_SetVoiceByName(identifier.encode())

    def _select(self, voice: str) -> None:
        language, _, variant = voice.partition("+")
        if variant and variant not in variants():
            raise ConfigError(f"unknown espeak-ng variant {variant!r}", fix="one of: " + ", ".join(variants()))
        identifier = languages().get(language.lower())
        name = f"{identifier}+{variant}" if variant else str(identifier)
        if identifier is None or self._c.espeak_SetVoiceByName(name.encode()) != 0:
            raise ConfigError(f"unknown espeak-ng voice {language!r}", expected="a language such as en-us, en-gb, cmn")


@cache
def variants() -> tuple[str, ...]:
    """The names of all voice variants in the data folder ("m3", "f2", "klatt", ...), sorted."""
    return tuple(sorted(path.name for path in (data_dir() / "voices" / "!v").iterdir() if path.is_file()))


@cache
def languages() -> dict[str, str]:
    """Language tag ("en-gb", "cmn") -> the identifier espeak-ng knows it by ("gmw/en"); not every tag is a name."""
    ranked: dict[str, tuple[int, str]] = {}
    root = data_dir() / "lang"
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        for line in path.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "language":
                rank = int(words[2]) if len(words) > 2 and words[2].isdigit() else 5
                entry = (rank, path.relative_to(root).as_posix())
                ranked[words[1].lower()] = min(entry, ranked.get(words[1].lower(), entry))
    return {tag: identifier for tag, (_, identifier) in ranked.items()}


@cache
def data_dir() -> Path:
    """The espeak-ng-data folder of espeakng_loader."""
    return Path(_loader().get_data_path())


def _loader() -> ModuleType:
    try:
        import espeakng_loader
    except ImportError as error:
        raise DependencyError("espeak-ng is not installed", fix="pip install espeakng-loader") from error
    return espeakng_loader


_LOCK = threading.RLock()
_collected: list[bytes] = []


@_CALLBACK
def _collect(samples: Any, num_samples: int, _events: int) -> int:
    if num_samples > 0 and samples:
        _collected.append(ctypes.string_at(samples, num_samples * 2))
    return 0


@cache
def _library() -> ctypes.CDLL:
    path = _loader().get_library_path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        fix = "pip install --force-reinstall espeakng-loader"
        raise DependencyError("the espeak-ng library does not load", got=error, fix=fix) from error
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    library.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
        ctypes.c_void_p, ctypes.c_void_p,
    ]  # fmt: skip
    library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    return library


@cache
def _initialised_rate_hz() -> int:
    with _LOCK:
        rate_hz = _library().espeak_Initialize(_SYNCHRONOUS, 0, str(data_dir()).encode(), _DONT_EXIT)
        if rate_hz <= 0:
            raise DependencyError("espeak-ng does not start", got=f"code {rate_hz}, data in {data_dir()}")
        _library().espeak_SetSynthCallback(_collect)
    return rate_hz


def _check(settings: dict[str, int]) -> None:
    for name, value in settings.items():
        low, high = _LIMITS[name]
        if not low <= value <= high:
            raise ConfigError(f"{name} is out of range", got=value, expected=f"{low} to {high}")

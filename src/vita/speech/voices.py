"""What a voice is, the embedded one, and the registry where packages add theirs (entry points, group `vita.voices`).

Called by `vita.speech.speak` and by live conversations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from vita.errors import ConfigError, DependencyError
from vita.speech.espeak import Espeak
from vita.speech.in_words import in_words
from vita.speech.speakable import speakable, split_by_language

ENTRY_POINT_GROUP = "vita.voices"


class Voice(Protocol):
    """Anything that speaks. An entry point names a function or class that makes one from keyword options."""

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """Float32 samples [num_samples] in [-1, 1], mono, and their rate in Hz; `lang` is "en", "zh" or None."""
        ...

    def close(self) -> None:
        """Free what the voice holds."""
        ...


@dataclass(frozen=True, kw_only=True)
class EspeakOptions:
    """How the embedded voice sounds.

    english, mandarin: espeak-ng languages.
    variant: espeak-ng voice variant, "" for the plain one.
    rate_wpm: words a minute, 80-450.
    pitch, range: 0-100.
    volume: 0-200.
    """

    english: str = "en-us"
    mandarin: str = "cmn"
    variant: str = ""
    rate_wpm: int = 175
    pitch: int = 50
    range: int = 50
    volume: int = 100


@dataclass
class EspeakVoice:
    """The embedded voice: espeak-ng, each run of text in the language of its script."""

    options: EspeakOptions = field(default_factory=EspeakOptions)
    espeak: Espeak = field(default_factory=Espeak)

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """See `Voice.speak`. An empty text gives no samples."""
        if lang not in (None, "en", "zh"):
            raise ConfigError("the embedded voice does not speak this language", got=lang, expected="en or zh")
        runs = split_by_language(speakable(text), lang)
        spoken = [self._speak_run(run, language) for language, run in runs]
        samples = np.concatenate([np.zeros(0, np.int16), *(samples for samples, _ in spoken)])
        sample_rate_hz = spoken[0][1] if spoken else 22050
        return samples.astype(np.float32) / 32768, sample_rate_hz

    def close(self) -> None:
        """End the espeak-ng process."""
        self.espeak.close()

    def _speak_run(self, text: str, language: str) -> tuple[np.ndarray, int]:
        options = self.options
        name = options.mandarin if language == "zh" else options.english
        voice = f"{name}+{options.variant}" if options.variant else name
        return self.espeak.synthesize(
            in_words(text, language), voice, rate_wpm=options.rate_wpm, pitch=options.pitch, range=options.range,
            volume=options.volume, end_pause=True,
        )  # fmt: skip


def make_espeak(**options: Any) -> EspeakVoice:
    """The embedded voice with `options` of EspeakOptions."""
    try:
        return EspeakVoice(EspeakOptions(**options))
    except TypeError as error:
        expected = ", ".join(EspeakOptions.__dataclass_fields__)
        raise ConfigError("unknown option of the voice espeak", got=", ".join(options), expected=expected) from error


def _make_openai(**options: Any) -> Voice:
    from vita.speech.openai_voice import OpenAIVoice

    return OpenAIVoice(**options)


def _make_piper(**options: Any) -> Voice:
    from vita.speech.piper_voice import PiperVoice

    return PiperVoice(**options)


_BUILT_IN: dict[str, Callable[..., Voice]] = {"espeak": make_espeak, "openai": _make_openai, "piper": _make_piper}
_MAIN_OPTION = {"openai": "base_url", "piper": "model"}


def voice_names() -> list[str]:
    """The names that `get_voice` knows: voices that need no option."""
    return sorted(
        {*(_BUILT_IN.keys() - _MAIN_OPTION.keys()), *(entry.name for entry in entry_points(group=ENTRY_POINT_GROUP))}
    )


@cache
def get_voice(name: str = "espeak") -> Voice:
    """The voice called `name` with its default options, made once."""
    return make_voice(name)


def voice_of(spec: str, **options: Any) -> Voice:
    """A voice as the command line names it: NAME, or NAME:OPTION=VALUE,OPTION=VALUE; for those that need an address or
    a file, that comes first: "openai:http://127.0.0.1:8880/v1,voice=af_heart", "piper:en_US-lessac-medium.onnx".

    Args:
        spec: that.
        options: further options, for the voices that have them: api_key.
    Raises ConfigError for unknown names and options.
    """
    name, _, rest = spec.partition(":")
    first, *pieces = rest.split(",") if rest else [""]
    if name in _MAIN_OPTION:
        if not first:
            raise ConfigError(f"the voice {name} needs {_MAIN_OPTION[name]}", got=spec, expected=f"{name}:...")
        pieces = [f"{_MAIN_OPTION[name]}={first}", *pieces]
    elif first:
        pieces = [first, *pieces]
    pairs = [piece.partition("=") for piece in pieces]
    if any(not separator for _, separator, _ in pairs):
        raise ConfigError("options of a voice", got=rest, expected="OPTION=VALUE,OPTION=VALUE")
    chosen: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, _, value in pairs}
    try:
        return make_voice(name, **chosen, **(options if name == "openai" else {}))
    except TypeError as error:
        raise ConfigError(f"unknown option of the voice {name}", got=rest) from error


def make_voice(name: str, **options: Any) -> Voice:
    """A new voice called `name` with `options` of its own."""
    if name in _BUILT_IN:
        return _BUILT_IN[name](**options)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == name:
            try:
                factory = entry.load()
            except ImportError as error:
                raise DependencyError(f"the voice {name!r} does not load", got=error) from error
            return factory(**options)
    raise ConfigError("unknown voice", got=name, expected="one of " + ", ".join(sorted({*_BUILT_IN, *voice_names()})))

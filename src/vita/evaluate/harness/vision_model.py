"""Our model as a model of lmms-eval, by the name "vita": typed questions on pictures, clips and sounds.

Imported by lmms-eval (`lmms_entry.py`) and by `vision.py`, in an environment that has it.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms

from vita.api import Assistant, Question, load
from vita.chat.messages import Audio, Image, Message, Part, Text, Video
from vita.errors import ConfigError
from vita.media import load_audio, load_image, load_video, resample_audio, to_rgb

_VIDEO = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".gif")
_SOUND = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
_MAX_NEW_TOKENS = 256


class VitaLmms(lmms):
    """A VITA model for the harness.

    Args:
        pretrained: as `vita.load` takes it; or give `assistant`.
        device, dtype: likewise.
        batch_size: questions at once.
        assistant: a model that is loaded already.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "pocket",
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | str = 8,
        assistant: Assistant | None = None,
        **_: Any,
    ) -> None:
        super().__init__()
        self._assistant = assistant or load(pretrained, device=device or "auto", dtype=dtype)
        self._batch_size = max(1, int(batch_size or 1))

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """The answers, in the order of the questions; those that want the same length are asked together."""
        found: dict[int, str] = {}
        lengths = [int(request.args[1].get("max_new_tokens", _MAX_NEW_TOKENS)) for request in requests]
        for length in sorted(set(lengths)):
            mine = [at for at, one in enumerate(lengths) if one == length]
            for start in range(0, len(mine), self._batch_size):
                chosen = mine[start : start + self._batch_size]
                questions = [self._question(requests[at]) for at in chosen]
                answers = self._assistant.ask_many(
                    questions, batch_size=self._batch_size, max_new_tokens=length, state="answer"
                )
                for at, answer in zip(chosen, answers, strict=True):
                    found[at] = _cut(answer.text, requests[at].args[1].get("until") or ())
        return [found[at] for at in range(len(requests))]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not measured: the benchmarks of the paper are answered in words."""
        raise ConfigError("this model answers in words", got="a task of log-likelihoods", expected="one that generates")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Not measured; see `loglikelihood`."""
        raise ConfigError("this model is asked one question at a time", got="a task of several rounds")

    def _question(self, request: Instance) -> Question:
        context, _, doc_to_visual, doc_id, task, split = request.args
        shown = doc_to_visual(self.task_dict[task][split][doc_id]) or []
        flat = [one for entry in shown for one in (entry if isinstance(entry, (list, tuple)) else [entry])]
        text = str(context).replace("<image>", "").strip()
        return Question((Message("user", (*(part(one) for one in flat), Text(text))),))


def part(shown: Any) -> Part:
    """A picture, a clip or a sound, as the tasks of the harness hand them out."""
    if isinstance(shown, PIL.Image.Image):
        return Image(to_rgb(shown))
    if isinstance(shown, dict) and "array" in shown:
        return Audio(resample_audio(np.asarray(shown["array"], np.float32), int(shown["sampling_rate"])))
    path = Path(str(shown))
    if path.suffix.lower() in _VIDEO:
        return Video(load_video(path))
    return Audio(load_audio(path)) if path.suffix.lower() in _SOUND else Image(load_image(path))


def _cut(text: str, until: str | Sequence[str]) -> str:
    stops = [until] if isinstance(until, str) else until
    ends = [text.index(stop) for stop in stops if stop and stop in text]
    return text[: min(ends)] if ends else text

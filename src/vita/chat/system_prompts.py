"""The system prompts: one for pictures, one for video, one for neither; our words, or a checkpoint's from a JSON file.

Used by the VITA template; written by `vita convert --prompts`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path

from vita.errors import PromptError

_OURS = """You are VITA, an assistant that hears, sees and reads, and answers in words.
- Answer in the language of the question, briefly and truthfully; say so when you do not know.
- Speech that is not meant for you, and sounds that are not speech, need no answer.
- When you are corrected, look again and put the mistake right."""


class Modality(str, Enum):
    """What a conversation shows the model; it decides which system prompt is used."""

    IMAGE = "image"
    VIDEO = "video"
    NEITHER = "lang"


@dataclass(frozen=True, kw_only=True)
class SystemPrompts:
    """The system prompt for each kind of conversation.

    neither: for text and sound alone.
    image: for conversations with pictures.
    video: for conversations with video.
    """

    neither: str = _OURS
    image: str = f"{_OURS}\n- A picture is given: answer from what it shows, and from nothing that it does not show."
    video: str = f"{_OURS}\n- A video is given as frames in order: answer from what happens in them."

    @classmethod
    def single(cls, text: str) -> SystemPrompts:
        """The same prompt for every conversation."""
        return cls(neither=text, image=text, video=text)

    @property
    def by_modality(self) -> bool:
        """Whether the prompt depends on what the conversation shows."""
        return not self.neither == self.image == self.video

    def of(self, modality: Modality) -> str:
        """The prompt for a conversation of this kind."""
        return {Modality.IMAGE: self.image, Modality.VIDEO: self.video}.get(modality, self.neither)

    def to_dict(self) -> dict[str, str]:
        """As it is written to JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, prompts: dict[str, str]) -> SystemPrompts:
        """From JSON; all three keys are required."""
        names = {field.name for field in fields(cls)}
        if not isinstance(prompts, dict) or set(prompts) != names or not all(map(_is_text, prompts.values())):
            got = sorted(prompts) if isinstance(prompts, dict) else type(prompts).__name__
            raise PromptError("system prompts are not complete", got=got, expected=f"texts for {sorted(names)}")
        return cls(**prompts)

    @classmethod
    def from_json(cls, path: str | Path) -> SystemPrompts:
        """Reads {"neither": ..., "image": ..., "video": ...} from a file."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise PromptError(f"cannot read system prompts from {path}", got=error) from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)

"""Our conversations as a vLLM server takes them: OpenAI's messages, media as data URLs, sound in pieces.

A sound is sent as tokens of the audio connector, in pieces of a fixed length: a piece keeps its hash while more
arrives, so that vLLM finds it in its prefix cache. Without an encoder here it is sent whole, as it is. Used by `vllm`.
Shape legend: N tokens of a sound, H width of the language model.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import PIL.Image
import soundfile
import torch
from torch import Tensor

from vita.chat.messages import Audio, Image, Medium, Message, Text
from vita.media import SAMPLE_RATE_HZ
from vita.models.audio_connector import AudioConnector
from vita.models.audio_stream import AudioStream, WholeAudio, open_audio_stream
from vita.models.audio_tower import AudioTower
from vita.tokens import AUDIO_PLACEHOLDER, StateTokens

Part = dict[str, Any]


class SoundEncoder:
    """The audio tower and connector of the served model, in this process.

    Args:
        tower: in evaluation mode.
        connector: in evaluation mode.
    """

    def __init__(self, tower: AudioTower, connector: AudioConnector) -> None:
        self._tower, self._connector = tower.eval(), connector.eval()
        config = tower.config
        self.piece_tokens = config.chunk_size // config.token_stride if config.streamable else None

    def open(self) -> AudioStream | WholeAudio:
        """A sound that is about to arrive."""
        return open_audio_stream(self._tower, self._connector)

    def pieces(self, samples: np.ndarray) -> list[Tensor]:
        """A whole sound [num_samples] as pieces [N, H], all but the last of the same length."""
        stream = self.open()
        tokens_NH = torch.cat([stream.push(samples), stream.rest()])
        return list(tokens_NH.split(self.piece_tokens)) if self.piece_tokens else [tokens_NH]


class MessageWriter:
    """Writes messages; every medium is encoded once and kept while it is in use.

    Args:
        states: the spelling of the model's states.
        encoder: of sounds; None sends them as they are.
    """

    def __init__(self, states: StateTokens, encoder: SoundEncoder | None) -> None:
        self._states, self._encoder = states, encoder
        self._written: WeakKeyDictionary[Medium, list[Part]] = WeakKeyDictionary()

    def write(self, messages: Sequence[Message], more: Sequence[Part] = ()) -> list[dict[str, Any]]:
        """The conversation; `more` joins the user's turn at its end, or begins one."""
        written = [{"role": message.role, "content": self._content(message)} for message in messages]
        if more and (not written or written[-1]["role"] != "user"):
            written.append({"role": "user", "content": []})
        if more:
            written[-1] = {"role": "user", "content": [*written[-1]["content"], *more]}
        return written

    def keep(self, sound: Audio, parts: Sequence[Part]) -> None:
        """A sound that was written piece by piece."""
        self._written[sound] = list(parts)

    def medium(self, medium: Medium) -> list[Part]:
        """A medium as one part, or as several side by side."""
        if medium not in self._written:
            self._written[medium] = list(self._parts(medium))
        return self._written[medium]

    def _parts(self, medium: Medium) -> Iterator[Part]:
        if isinstance(medium, Image):
            yield {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_png(medium.image)}"}}
        elif not isinstance(medium, Audio):
            frames = ",".join(map(_png, medium.clip.frames))  # vLLM's own way to say: these are the frames
            yield {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{frames}"}}
        elif self._encoder is None:
            yield {"type": "input_audio", "input_audio": {"data": _wav(medium.samples), "format": "wav"}}
        else:
            yield from map(sound_piece, self._encoder.pieces(medium.samples))

    def _content(self, message: Message) -> str | list[Part]:
        if message.role != "user":
            return ("" if message.state is None else self._states.spelling(message.state)) + message.text
        sounds = iter([len(self.medium(part)) for part in message.media if isinstance(part, Audio)])
        content: list[Part] = []
        for part in message.parts:
            if isinstance(part, Text):
                content.append({"type": "text", "text": _repeated(part.text, sounds)})
            else:
                content += self.medium(part)
        return content


def sound_piece(tokens_NH: Tensor) -> Part:
    """Tokens of a sound as a part of a message."""
    file = io.BytesIO()
    torch.save(tokens_NH.detach().cpu().contiguous().clone(), file)
    return {"type": "audio_embeds", "audio_embeds": base64.b64encode(file.getvalue()).decode()}


def _repeated(text: str, sounds: Iterator[int]) -> str:
    """A text's placeholders of sounds, each as often as its sound has pieces."""
    first, *rest = text.split(AUDIO_PLACEHOLDER)
    return first + "".join(AUDIO_PLACEHOLDER * next(sounds, 1) + piece for piece in rest)


def _png(picture: PIL.Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def _wav(samples: np.ndarray) -> str:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, format="WAV", subtype="FLOAT")
    return base64.b64encode(file.getvalue()).decode()

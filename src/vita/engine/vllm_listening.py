"""A sound that is heard while it arrives, for a model on a vLLM server. Made by `vllm.VllmContext.listen`.

The sound is encoded here. Each piece that is complete is sent with all before it, so that the server reads it while the
user speaks: what comes later finds it in the prefix cache. Without an encoder, and where the audio tower cannot be
streamed, only what comes before the sound is read while it arrives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vita.chat.messages import Audio, Message, extended
from vita.engine.protocol import Words
from vita.engine.vllm_messages import Part, sound_piece
from vita.errors import LimitError, MediaError, PromptError
from vita.media import SAMPLE_RATE_HZ, check_samples
from vita.models.filterbank import WINDOW_MS, num_frames
from vita.tokens import State

if TYPE_CHECKING:
    from vita.engine.vllm import VllmEngine


class VllmListening:
    """See `vita.engine.protocol.Listening`.

    Args:
        engine: of the conversation.
        messages: the conversation up to the sound.
        when_done: called once, with the conversation that holds the sound and what closing it took (ms), or with None.
    """

    def __init__(
        self,
        engine: VllmEngine,
        messages: list[Message],
        when_done: Callable[[list[Message] | None, float], None],
    ) -> None:
        self._engine, self._messages, self._when_done = engine, messages, when_done
        stand_in = Audio(np.zeros(SAMPLE_RATE_HZ * WINDOW_MS // 1000, np.float32))
        num_tokens = len(engine.prompt_ids(extended(messages, stand_in)))
        self._num_around = num_tokens - self._num_tokens(len(stand_in.samples))
        self._sound = None if engine.encoder is None else engine.encoder.open()
        self._tokens_NH: Tensor | None = None
        self._pieces: list[Part] = []
        self._samples: list[np.ndarray] = []
        self._num_samples = 0
        self._is_open = True
        engine.read(messages)

    @property
    def seconds(self) -> float:
        """See Listening."""
        return self._num_samples / SAMPLE_RATE_HZ

    def push(self, samples: np.ndarray) -> None:
        """See Listening. A push that fails for any other reason than those told cancels the sound."""
        self._check_open()
        samples = check_samples(samples)
        self._check_room(self._num_samples + len(samples))
        try:
            if self._sound is not None:
                self._take(self._sound.push(samples))
        except BaseException:
            self.cancel()
            raise
        self._samples.append(samples)
        self._num_samples += len(samples)

    def probe(self) -> dict[State, float]:
        """See Listening."""
        self._check_open()
        self._check_long_enough()
        return self._engine.probe(self._messages, self._parts())

    def words(self, phrases: Sequence[str] = ()) -> Words | None:
        """See Listening; heard here, the server has no part in it. None without an encoder."""
        self._check_open()
        self._check_long_enough()
        if self._sound is None:
            return None
        self._sound.rest()
        heard = self._sound.words
        if heard is None:
            return None
        tokenizer = self._engine.processor.tokenizer
        spelled = [tokenizer(phrase, add_special_tokens=False)["input_ids"] for phrase in phrases]
        text = str(tokenizer.decode(heard.ids(), skip_special_tokens=True))
        return Words(text.strip(), dict(zip(phrases, heard.likelihoods(spelled), strict=True)))

    def close(self) -> None:
        """See Listening."""
        self._check_open()
        started_s = time.perf_counter()
        try:
            self._check_long_enough()
        except MediaError:
            self.cancel()
            raise
        sound = Audio(np.concatenate(self._samples))
        self._engine.writer.keep(sound, self._parts())
        self._is_open = False
        self._when_done(extended(self._messages, sound), 1000 * (time.perf_counter() - started_s))

    def cancel(self) -> None:
        """See Listening."""
        if self._is_open:
            self._is_open = False
            self._when_done(None, 0.0)

    def _take(self, tokens_NH: Tensor) -> None:
        """Keeps new tokens; the pieces that they complete are read by the server now."""
        self._tokens_NH = tokens_NH if self._tokens_NH is None else torch.cat([self._tokens_NH, tokens_NH])
        length = self._engine.encoder.piece_tokens if self._engine.encoder else None
        if length is None or len(self._tokens_NH) < length:
            return
        while len(self._tokens_NH) >= length:
            self._pieces.append(sound_piece(self._tokens_NH[:length]))
            self._tokens_NH = self._tokens_NH[length:]
        self._engine.read(self._messages, self._pieces)

    def _parts(self) -> list[Part]:
        """The sound as it would be if it ended now."""
        if self._sound is None:
            return self._engine.writer.medium(Audio(np.concatenate(self._samples)))
        rest_NH = self._sound.rest()
        if self._tokens_NH is not None:
            rest_NH = torch.cat([self._tokens_NH, rest_NH])
        length = self._engine.encoder.piece_tokens if self._engine.encoder else None
        rest = rest_NH.split(length or max(1, len(rest_NH))) if len(rest_NH) else ()
        return [*self._pieces, *map(sound_piece, rest)]

    def _num_tokens(self, num_samples: int) -> int:
        return len(self._engine.processor.audio_ids(num_samples))

    def _check_open(self) -> None:
        if not self._is_open:
            raise PromptError("this sound has ended", fix="listen to a new one")

    def _check_long_enough(self) -> None:
        if not num_frames(self._num_samples):
            raise MediaError("sound is too short", got=f"{1000 * self.seconds:.1f} ms", expected="at least 25 ms")

    def _check_room(self, num_samples: int) -> None:
        config = self._engine.processor.config
        longest = config.audio_config.max_positions
        length, most = self._num_around + self._num_tokens(num_samples), config.tokenizer_model_max_length
        too_long = longest is not None and config.audio_config.num_encoder_frames(num_frames(num_samples)) > longest
        if length > most or too_long:
            raise LimitError(
                "the sound does not fit into the model's context any more",
                got=f"{num_samples / SAMPLE_RATE_HZ:.1f} s, {length} tokens with the conversation",
                expected=f"at most {most} tokens" + ("" if longest is None else f" and {longest * 0.04:.0f} s"),
                fix="close it, or shorten the conversation",
            )

"""A sound that the PyTorch engine hears while it is still arriving. Made by `local.LocalContext.listen`.

Whatever of the sound is final is in the KV cache already. What would follow if it ended now (its last, incomplete
chunk, the end of the turn, the beginning of a reply) is read ahead for a probe, and dropped again when more arrives;
`close` right after a probe has nothing left to read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from vita.chat.messages import Audio, Message, extended
from vita.engine.decoding import ReplyParts
from vita.engine.prefix import Mark, Prefix
from vita.engine.prompt import Prompt, PromptBuilder, Span
from vita.engine.protocol import Words
from vita.engine.turnstile import Turnstile
from vita.errors import LimitError, MediaError, PromptError
from vita.media import SAMPLE_RATE_HZ, check_samples
from vita.models.audio_stream import open_audio_stream
from vita.models.filterbank import WINDOW_MS
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.tokens import State

NOTHING = Prompt([], [])


class LocalListening:
    """See `vita.engine.protocol.Listening`. A push that fails for any other reason than those told cancels the sound.

    Args:
        model: in evaluation mode.
        parts: what reading the state needs of the model.
        builder: of the conversation.
        prefix: of the conversation; reads what comes before the sound now.
        turnstile: what is heard is urgent.
        messages: the conversation up to the sound.
        when_done: called once, with the conversation that holds the sound and what closing it took (ms), or with None.
    """

    def __init__(
        self,
        *,
        model: VitaForConditionalGeneration,
        parts: ReplyParts,
        builder: PromptBuilder,
        prefix: Prefix,
        turnstile: Turnstile,
        messages: list[Message],
        when_done: Callable[[list[Message] | None, float], None],
    ) -> None:
        self._config, self._parts = model.config, parts
        self._builder, self._prefix, self._messages, self._when_done = builder, prefix, messages, when_done
        self._turnstile = turnstile
        self._before, self._after = self._around_sound()
        if prefix.shared_with(self._before) < len(self._before.ids):
            prefix.read(self._before)
        else:
            prefix.crop(len(self._before.ids))
        self._sound = open_audio_stream(model.audio_tower, model.audio_connector)
        self._pieces: list[np.ndarray] = []
        self._num_samples = 0
        self._ahead: tuple[Mark, Tensor] | None = None
        self._is_open = True

    @property
    def seconds(self) -> float:
        """See Listening."""
        return self._num_samples / SAMPLE_RATE_HZ

    def push(self, samples: np.ndarray) -> None:
        """See Listening."""
        self._check_open()
        samples = check_samples(samples)
        self._check_room(self._num_samples + len(samples))
        with self._turn():
            tokens_NH = self._sound.push(samples)
            if self._ahead is not None:
                self._prefix.restore(self._ahead[0])
                self._ahead = None
            if len(tokens_NH):
                self._prefix.hear(tokens_NH, NOTHING)
        self._pieces.append(samples)
        self._num_samples += len(samples)

    def probe(self) -> dict[State, float]:
        """See Listening."""
        self._check_open()
        self._check_long_enough()
        self._check_room(self._num_samples)
        with self._turn():
            return self._parts.read_state(self._prefix, self._read_ahead(), "auto").probabilities

    def words(self, phrases: Sequence[str] = ()) -> Words | None:
        """See Listening."""
        self._check_open()
        self._check_long_enough()
        with self._turn():
            self._read_ahead()
        heard = self._sound.words
        if heard is None:
            return None
        tokenizer = self._parts.tokenizer
        spelled = [tokenizer(phrase, add_special_tokens=False)["input_ids"] for phrase in phrases]
        text = tokenizer.decode(heard.ids(), skip_special_tokens=True)
        assert isinstance(text, str)
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
        self._check_room(self._num_samples)
        with self._turn():
            self._read_ahead()
            messages = extended(self._messages, Audio(np.concatenate(self._pieces)))
            self._prefix.settle(self._builder.build(messages, answering=True))
        self._is_open = False
        self._when_done(messages, 1000 * (time.perf_counter() - started_s))

    def cancel(self) -> None:
        """See Listening."""
        if self._is_open:
            self._is_open = False
            self._prefix.crop(min(self._prefix.length, len(self._before.ids)))
            self._when_done(None, 0.0)

    def _around_sound(self) -> tuple[Prompt, Prompt]:
        """What comes before the sound, and after it if the turn ends with it; neither depends on what is heard."""
        stand_in = Audio(np.zeros(SAMPLE_RATE_HZ * WINDOW_MS // 1000, np.float32))
        prompt = self._builder.build(extended(self._messages, stand_in), answering=True)
        place = next(span for span in prompt.spans if span.medium is stand_in)
        before = [span for span in prompt.spans if span.end <= place.start]
        after = [
            Span(span.start - place.end, span.end - place.end, span.medium)
            for span in prompt.spans
            if span.start >= place.end
        ]
        return Prompt(prompt.ids[: place.start], before), Prompt(prompt.ids[place.end :], after)

    def _read_ahead(self) -> Tensor:
        """Reads to where the reply would begin if the turn ended now, once. Logits [V] after that."""
        if self._ahead is None:
            mark = self._prefix.mark()
            self._ahead = mark, self._prefix.hear(self._sound.rest(), self._after)
        return self._ahead[1]

    def _check_open(self) -> None:
        if not self._is_open:
            raise PromptError("this sound has ended", fix="listen to a new one")

    def _check_long_enough(self) -> None:
        if not self._config.audio_config.num_frames(self._num_samples):
            raise MediaError("sound is too short", got=f"{1000 * self.seconds:.1f} ms", expected="at least 25 ms")

    def _check_room(self, num_samples: int) -> None:
        """Raises LimitError if a sound so long does not fit into the model or the engine's budget."""
        audio = self._config.audio_config
        frames = audio.num_frames(num_samples)
        longest = audio.max_positions
        length = len(self._before.ids) + audio.num_audio_tokens(frames) + len(self._after.ids)
        most = self._config.tokenizer_model_max_length
        limit = "" if longest is None else f" and {longest * audio.frame_ms / 1000:.0f} s"
        if length > most or (longest is not None and audio.num_encoder_frames(frames) > longest):
            raise LimitError(
                "the sound does not fit into the model's context any more",
                got=f"{num_samples / SAMPLE_RATE_HZ:.1f} s, {length} tokens with the conversation",
                expected=f"at most {most} tokens{limit}",
                fix="close it, or shorten the conversation",
            )
        spellings = self._parts.state_reader.spellings.values()
        self._prefix.check_room(length + max(map(len, spellings)))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Compute; the sound is cancelled if that fails."""
        try:
            with self._turnstile.turn(is_urgent=True):
                yield
        except BaseException:
            self.cancel()
            raise

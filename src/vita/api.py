"""The Python interface: `vita.load("pocket").ask("What is this?", image="cat.png").text`.

Joins media, chat, checkpoints and engine; the command line stands on it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
import PIL.Image

from vita.chat.messages import Audio, Image, Message, Part, Text, Video
from vita.chat.state import StateMode
from vita.engine.protocol import Context, Engine, Reply, Result, Sampling, Usage
from vita.errors import ConfigError, PromptError
from vita.media import Source, load_audio, load_image, load_video, resample_audio, to_rgb
from vita.tokens import State

ImageSource = Union[Source, PIL.Image.Image]  # noqa: UP007  (an alias that Python 3.10 can evaluate)
AudioSource = Union[Source, tuple[np.ndarray, int]]  # noqa: UP007


@dataclass(frozen=True)
class Question:
    """A conversation whose last message is to be answered, its media already read."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model made of a question.

    state: a spoken question, a typed one, or noise.
    text: the answer; "" for noise.
    usage: tokens.
    timing_ms: load (the model), prefill (question read, state known), first_token (first word of the answer; for noise
        the state), total; the last two count from the call, without load.
    """

    state: State
    text: str
    usage: Usage
    timing_ms: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """As `vita ask --json` prints it."""
        timing_ms = {name: round(value, 1) for name, value in self.timing_ms.items()}
        return {"state": self.state.value, "text": self.text, "usage": self.usage.to_dict(), "timing_ms": timing_ms}


class Assistant:
    """A loaded model that answers.

    Args:
        engine: holds the model.
        load_ms: what loading it took, for the answers' timing.
        batch_size: how many questions `ask_many` gives the engine at once.
    """

    def __init__(self, engine: Engine, *, load_ms: float = 0.0, batch_size: int = 8) -> None:
        self.engine, self.load_ms, self.batch_size = engine, load_ms, batch_size

    def ask(self, question: str | None = None, **options: Any) -> Answer:
        """The answer to one question; the arguments of `stream`."""
        return self.stream(question, **options).answer()

    def stream(
        self,
        question: str | None = None,
        *,
        image: ImageSource | Sequence[ImageSource] | None = None,
        video: Source | None = None,
        audio: AudioSource | None = None,
        system: str | None = None,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        state: StateMode = "auto",
    ) -> AnswerStream:
        """The answer to one question, piece by piece.

        Args:
            question: typed question; None when it is spoken (`audio`).
            image: one picture or several: paths, URLs, bytes, PIL pictures.
            video: a clip: path, URL, bytes.
            audio: sound: path, URL, bytes, or (samples, sample_rate_hz).
            system: system prompt instead of the model's own.
            max_new_tokens: at most so many tokens of answer.
            temperature: 0 for the likeliest words.
            seed: for the same words at a temperature above 0.
            state: "answer" also answers what sounds like no question.

        Raises MediaError, PromptError or ConfigError for what cannot be asked.
        """
        sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed, state=state)
        started_s = time.perf_counter()
        asked = self.question(question, image=image, video=video, audio=audio, system=system)
        return AnswerStream(self.engine, asked, sampling, started_s, self.load_ms)

    def question(
        self,
        question: str | None = None,
        *,
        image: ImageSource | Sequence[ImageSource] | None = None,
        video: Source | None = None,
        audio: AudioSource | None = None,
        system: str | None = None,
    ) -> Question:
        """Reads the media of a question. Arguments and errors as in `stream`."""
        parts: list[Part] = [Image(_load_image(source)) for source in _listed(image)]
        if video is not None:
            parts.append(Video(load_video(video)))
        if audio is not None:
            parts.append(Audio(resample_audio(*audio) if isinstance(audio, tuple) else load_audio(audio)))
        for name, text in (("question", question), ("system prompt", system)):
            if text is not None and not _is_unicode(text):
                raise PromptError(f"the {name} is not valid text", got=ascii(text)[:60], expected="UTF-8")
        if question is not None and question.strip():
            parts.append(Text(question))
        elif audio is None:
            raise PromptError("no question at all", fix="give a typed question, or a spoken one as audio")
        start = () if system is None else (Message.system(system),)
        return Question((*start, Message("user", tuple(parts))))

    def ask_many(
        self, questions: Sequence[Question], *, batch_size: int | None = None, **sampling: Any
    ) -> list[Answer]:
        """Answers any number of questions, `batch_size` at once (by default the assistant's).

        `sampling` as in `stream`. The timing of an answer is that of all that were computed with it.
        """
        together = self.batch_size if batch_size is None else batch_size
        if together < 1:
            raise ConfigError("a batch needs a question", got=batch_size, expected="a batch_size of at least 1")
        results: list[Result] = []
        for start in range(0, len(questions), together):
            batch = [question.messages for question in questions[start : start + together]]
            results += self.engine.batch(batch, Sampling(**sampling))
        return [
            _answer(result, self.load_ms, result.timing.first_token_ms, result.timing.total_ms) for result in results
        ]

    def open(self, system: str | None = None) -> Context:
        """A conversation of several turns, see `vita.engine.protocol.Context`."""
        return self.engine.open(system)


class AnswerStream:
    """An answer that is being written; made by `Assistant.stream`. Iterate for its text, then call `answer`."""

    def __init__(
        self, engine: Engine, question: Question, sampling: Sampling, started_s: float, load_ms: float
    ) -> None:
        self._started_s, self._load_ms = started_s, load_ms
        self._reply: Reply = engine.open(messages=question.messages).reply(sampling)
        self._replied_ms = self._elapsed_ms()
        self._first_ms: float | None = None

    @property
    def state(self) -> State:
        """What the model took the question for; known before the first word."""
        return self._reply.state

    def __iter__(self) -> Iterator[str]:
        for piece in self._reply:
            if self._first_ms is None:
                self._first_ms = self._elapsed_ms()
            yield piece

    def abort(self) -> None:
        """End the answer now."""
        self._reply.abort()

    def answer(self) -> Answer:
        """The whole answer; what has not been iterated over is written first."""
        for _ in self:
            pass
        result = self._reply.result()
        first_ms = self._replied_ms if self._first_ms is None else self._first_ms
        return _answer(result, self._load_ms, first_ms, self._elapsed_ms())

    def _elapsed_ms(self) -> float:
        return 1000 * (time.perf_counter() - self._started_s)


def load(
    model: str = "pocket",
    device: str = "auto",
    dtype: str = "auto",
    *,
    max_cached_tokens: int | None = None,
    **placement: Any,
) -> Assistant:
    """Load a model.

    Args:
        model: "pocket" (embedded), a checkpoint folder, or a name on the hub.
        device: auto, cpu, cuda or mps.
        dtype: auto, float32, bfloat16 or float16.
        max_cached_tokens: at most so many tokens in the KV caches of all conversations together; None for no limit. A
            conversation that would need more raises LimitError.
        placement: device_map, quantize, offload_dir, for models that are too large for one device; see
            vita.checkpoints.load.

    Raises CheckpointError for a model that is not there or not whole, DependencyError for a device that is not there,
    ConfigError for a limit below 1.
    """
    started_s = time.perf_counter()
    from vita import checkpoints
    from vita.engine.local import LocalEngine

    parts = checkpoints.load(model, device=device, dtype=dtype, **placement)
    engine = LocalEngine(*parts, max_cached_tokens=max_cached_tokens)
    load_ms = 1000 * (time.perf_counter() - started_s)
    return Assistant(engine, load_ms=load_ms, batch_size=8 if engine.model.device.type == "cpu" else 32)


def load_vllm(
    model: str = "pocket",
    urls: str | Sequence[str] = (),
    *,
    dtype: str = "auto",
    options: Sequence[str] = (),
    api_key: str | None = None,
) -> Assistant:
    """A model that vLLM runs: on a server that is there, or on one that is started here and ends with this process.

    Args:
        model: as in `load`; its tokenizer and audio tower are used here.
        urls: of a server that serves the same model with --enable-mm-embeds, or of several, among which conversations
            and the two roles of a live conversation are shared out; none: one is started.
        dtype: for a server that is started; "auto" is float32 on a machine without CUDA.
        options: more of `vllm serve`'s options, for a server that is started.
        api_key: if the servers at `urls` ask for one.

    Raises DependencyError for a server that cannot be reached or started, CheckpointError as `load` does.
    """
    started_s = time.perf_counter()
    from vita.checkpoints.audio_parts import load_audio_parts
    from vita.checkpoints.loading import find_model
    from vita.engine.several import SeveralEngines
    from vita.engine.vllm import VllmEngine
    from vita.engine.vllm_client import VllmServer
    from vita.engine.vllm_messages import SoundEncoder
    from vita.models.processing_vita import VitaProcessor

    folder = find_model(model)
    processor, encoder = VitaProcessor.from_pretrained(folder), SoundEncoder(*load_audio_parts(folder))
    servers = [urls] if isinstance(urls, str) else list(urls) or [start_vllm(model, dtype=dtype, options=options)]
    engines = [VllmEngine(VllmServer(url, api_key=api_key), processor, encoder) for url in servers]
    for each in engines:
        each.warm_up()
    engine = engines[0] if len(engines) == 1 else SeveralEngines(engines)
    return Assistant(engine, load_ms=1000 * (time.perf_counter() - started_s), batch_size=32)


def start_vllm(model: str = "pocket", *, dtype: str = "auto", options: Sequence[str] = ()) -> str:
    """Starts a vLLM server on this machine; its address. It ends with this process. Arguments as in `load_vllm`.

    Raises DependencyError if vLLM is not installed or does not start.
    """
    import atexit

    import torch

    from vita.checkpoints.loading import find_model
    from vita.engine.vllm_process import VllmProcess

    if dtype == "auto" and not torch.cuda.is_available():
        dtype = "float32"
    process = VllmProcess(find_model(model), dtype=dtype, options=options)
    atexit.register(process.close)
    process.wait_until_ready()
    return process.url


def _listed(image: ImageSource | Sequence[ImageSource] | None) -> list[ImageSource]:
    if image is None:
        return []
    return list(image) if isinstance(image, (list, tuple)) else [image]  # type: ignore[list-item]


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold it: bytes that were no text arrive from a terminal as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _load_image(source: ImageSource) -> PIL.Image.Image:
    return to_rgb(source) if isinstance(source, PIL.Image.Image) else load_image(source)


def _answer(result: Result, load_ms: float, first_token_ms: float, total_ms: float) -> Answer:
    timing_ms = {
        "load": load_ms,
        "prefill": result.timing.prefill_ms,
        "first_token": first_token_ms,
        "total": total_ms,
    }
    return Answer(state=result.state, text=result.text, usage=result.usage, timing_ms=timing_ms)

"""An engine that says what it is told to: for tests of everything that stands on engines, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vita.chat.messages import Audio, Message, Part, extended
from vita.engine.conversation import Conversation
from vita.engine.protocol import GREEDY, Ending, Result, Sampling, Timing, Usage, Words
from vita.errors import MediaError, PromptError
from vita.media import SAMPLE_RATE_HZ, check_samples
from vita.tokens import State


@dataclass(frozen=True)
class Line:
    """One scripted reply: its state and its pieces of text, as they will come."""

    state: State
    pieces: tuple[str, ...] = ()


Script = Callable[[tuple[Message, ...]], Line]
"""The conversation up to the reply -> the reply."""


Hears = Callable[[np.ndarray], Mapping[State, float]]
"""The samples heard so far -> the probabilities of what the turn would be; a state that is left out has none."""
Says = Callable[[np.ndarray], "str | None"]
"""The samples heard so far -> their words; None for an ear that hears no words."""
ALWAYS_A_QUESTION = ((0.0, {State.SPOKEN_QUERY: 1.0}),)
SHORTEST_SECONDS = 0.025


def by_seconds(timeline: Sequence[tuple[float, Mapping[State, float]]]) -> Hears:
    """Probabilities by how much was heard: each entry holds from its second on; before the first one, all is noise."""

    def hears(samples: np.ndarray) -> Mapping[State, float]:
        seconds = len(samples) / SAMPLE_RATE_HZ
        return next((after for start, after in reversed(timeline) if start <= seconds), {State.NOISE: 1.0})

    return hears


class ScriptedEngine:
    """See `vita.engine.protocol.Engine`.

    Args:
        script: decides on each reply; or the replies themselves, in order, for all contexts together.
        hears: decides on each probe of a sound; or the probabilities from some seconds on, see `by_seconds`.
        says: the words of a sound.
        has_tools: see Engine.
    """

    def __init__(
        self,
        script: Script | Sequence[Line],
        hears: Hears | Sequence[tuple[float, Mapping[State, float]]] = ALWAYS_A_QUESTION,
        says: Says = lambda samples: None,
        *,
        has_tools: bool = False,
    ) -> None:
        lines = iter(()) if callable(script) else iter(script)
        self.script: Script = script if callable(script) else lambda messages: next(lines)
        self.hears: Hears = hears if callable(hears) else by_seconds(hears)
        self.says, self.has_tools = says, has_tools

    @property
    def history_tokens(self) -> int | None:
        """See Engine."""
        return None

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> ScriptedContext:
        """See Engine."""
        return ScriptedContext(self, [*([] if system is None else [Message.system(system)]), *messages])

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine."""
        contexts = [self.open(messages=messages) for messages in conversations]
        return [context.reply(sampling).result() for context in contexts]


class ScriptedContext(Conversation["ScriptedReply", "ScriptedListening"]):
    """See `vita.engine.protocol.Context`."""

    def __init__(self, engine: ScriptedEngine, messages: list[Message]) -> None:
        super().__init__(messages)
        self._engine = engine

    def append(self, *parts: Part | str | Message) -> None:
        """See Context."""
        self._check_idle()
        self._messages = extended(self._messages, *parts)

    def listen(self) -> ScriptedListening:
        """See Context."""
        self._check_idle()
        self._open_listening = ScriptedListening(self._engine, self._end_listening)
        return self._open_listening

    def reply(self, sampling: Sampling = GREEDY) -> ScriptedReply:
        """See Context."""
        self._check_idle()
        self._open_reply = ScriptedReply(self._engine.script(self.messages), sampling, self._end_reply)
        return self._open_reply

    def fork(self) -> ScriptedContext:
        """See Context."""
        self._check_idle()
        return ScriptedContext(self._engine, list(self._messages))

    def rewind(self, num_messages: int, *, heard: str | None = None) -> None:
        """See Context."""
        self._check_idle()
        self._messages = self._before(num_messages, heard)

    def _end_reply(self, message: Message) -> None:
        self._open_reply = None
        self._messages.append(message)

    def _end_listening(self, samples: np.ndarray | None) -> None:
        self._open_listening = None
        if samples is not None:
            self.append(Audio(samples))


class ScriptedListening:
    """See `vita.engine.protocol.Listening`. Calls `when_done` once, with the samples or, cancelled, with None."""

    def __init__(self, engine: ScriptedEngine, when_done: Callable[[np.ndarray | None], None]) -> None:
        self._engine, self._when_done = engine, when_done
        self._samples = np.zeros(0, np.float32)
        self._is_open = True

    @property
    def seconds(self) -> float:
        """See Listening."""
        return len(self._samples) / SAMPLE_RATE_HZ

    def push(self, samples: np.ndarray) -> None:
        """See Listening."""
        self._check_open()
        self._samples = np.concatenate([self._samples, check_samples(samples)])

    def probe(self) -> dict[State, float]:
        """See Listening."""
        self._check_open()
        self._check_long_enough()
        found = self._engine.hears(self._samples)
        return {state: found.get(state, 0.0) for state in State}

    def words(self, phrases: Sequence[str] = ()) -> Words | None:
        """See Listening."""
        self._check_open()
        self._check_long_enough()
        text = self._engine.says(self._samples)
        return None if text is None else Words(text, {phrase: float(phrase == text) for phrase in phrases})

    def close(self) -> None:
        """See Listening."""
        self._check_open()
        try:
            self._check_long_enough()
        except MediaError:
            self.cancel()
            raise
        self._is_open = False
        self._when_done(self._samples)

    def cancel(self) -> None:
        """See Listening."""
        if self._is_open:
            self._is_open = False
            self._when_done(None)

    def _check_open(self) -> None:
        if not self._is_open:
            raise PromptError("this sound has ended", fix="listen to a new one")

    def _check_long_enough(self) -> None:
        if self.seconds < SHORTEST_SECONDS:
            raise MediaError("sound is too short", got=f"{1000 * self.seconds:.1f} ms", expected="at least 25 ms")


class ScriptedReply:
    """See `vita.engine.protocol.Reply`. One piece counts as one token."""

    def __init__(self, line: Line, sampling: Sampling, when_done: Callable[[Message], None]) -> None:
        self.state = line.state
        self.probabilities = {state: float(state is line.state) for state in State}
        self._line, self._sampling, self._when_done = line, sampling, when_done
        self._text, self._aborted = "", False
        self._result: Result | None = None
        self._pieces = self._write()

    def __iter__(self) -> Iterator[str]:
        """See Reply."""
        return self._pieces

    @property
    def is_aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._aborted

    def abort(self) -> None:
        """See Reply."""
        self._aborted = True

    def result(self) -> Result:
        """See Reply."""
        for _ in self._pieces:
            pass
        assert self._result is not None
        return self._result

    def _write(self) -> Iterator[str]:
        pieces = () if self.state is State.NOISE else self._line.pieces[: self._sampling.max_new_tokens]
        num_written = 0
        for piece in pieces:
            if self._aborted:
                break
            num_written += 1
            self._text += piece
            yield piece
        self._finish(num_written)

    def _finish(self, num_written: int) -> None:
        ending: Ending = "stop" if num_written == len(self._line.pieces) else "length"
        if self._aborted:
            ending = "aborted"
        elif self.state is State.NOISE:
            ending = "noise"
        self._result = Result(
            state=self.state,
            probabilities=self.probabilities,
            text=self._text,
            ending=ending,
            usage=Usage(prompt_tokens=0, image_tokens=0, audio_tokens=0, completion_tokens=1 + num_written),
            timing=Timing(prefill_ms=0, first_token_ms=0, total_ms=0),
        )
        self._when_done(Message.assistant(self._text, self.state))

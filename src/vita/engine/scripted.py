"""An engine that says what it is told to: for tests of everything that stands on engines, without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vita.chat.messages import Message, Part, Text
from vita.engine.protocol import GREEDY, Ending, Result, Sampling, Timing, Usage
from vita.tokens import State


@dataclass(frozen=True)
class Line:
    """One scripted reply: its state and its pieces of text, as they will come."""

    state: State
    pieces: tuple[str, ...] = ()


Script = Callable[[tuple[Message, ...]], Line]
"""The conversation up to the reply -> the reply."""


class ScriptedEngine:
    """See `vita.engine.protocol.Engine`.

    Args:
        script: decides on each reply; or the replies themselves, in order, for all contexts together.
    """

    def __init__(self, script: Script | Sequence[Line]) -> None:
        lines = iter(()) if callable(script) else iter(script)
        self._script: Script = script if callable(script) else lambda messages: next(lines)

    def open(self, system: str | None = None, *, messages: Sequence[Message] = ()) -> ScriptedContext:
        """See Engine."""
        return ScriptedContext(self._script, [*([] if system is None else [Message.system(system)]), *messages])

    def batch(self, conversations: Sequence[Sequence[Message]], sampling: Sampling = GREEDY) -> list[Result]:
        """See Engine."""
        contexts = [self.open(messages=messages) for messages in conversations]
        return [context.reply(sampling).result() for context in contexts]


class ScriptedContext:
    """See `vita.engine.protocol.Context`."""

    def __init__(self, script: Script, messages: list[Message]) -> None:
        self._script, self._messages = script, messages

    @property
    def messages(self) -> tuple[Message, ...]:
        """See Context."""
        return tuple(self._messages)

    def append(self, *parts: Part | str | Message) -> None:
        """See Context."""
        for part in parts:
            if isinstance(part, Message):
                self._messages.append(part)
            elif self._messages and self._messages[-1].role == "user":
                piece = Text(part) if isinstance(part, str) else part
                self._messages[-1] = Message("user", (*self._messages[-1].parts, piece))
            else:
                self._messages.append(Message.user(part))

    def reply(self, sampling: Sampling = GREEDY) -> ScriptedReply:
        """See Context."""
        line = self._script(self.messages)
        return ScriptedReply(line, sampling, self._messages.append)

    def fork(self) -> ScriptedContext:
        """See Context."""
        return ScriptedContext(self._script, list(self._messages))

    def rewind(self, num_messages: int, *, heard: str | None = None) -> None:
        """See Context."""
        later = self._messages[num_messages:]
        del self._messages[num_messages:]
        if heard is not None:
            self._messages.append(Message.assistant(heard, later[0].state))


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

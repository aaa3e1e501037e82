"""The generator at work: begins answers, writes, speaks and plays them, cuts them, and closes them into the history.

Used by `session.py`, whose commands to the generator are carried out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from vita.chat.messages import Message, Text
from vita.clock import Clock
from vita.duplex import events as ev
from vita.duplex.answering import AnswerRun
from vita.duplex.contexts import Contexts
from vita.duplex.history import catch_up
from vita.duplex.listening import Ear
from vita.duplex.options import LiveOptions
from vita.duplex.player import Sink
from vita.duplex.state import Live
from vita.duplex.views import Views
from vita.engine.protocol import Reply
from vita.errors import VitaError
from vita.speech.voices import Voice
from vita.tokens import State


class TellSession(Protocol):
    """Writes to the log of events, at a time (seconds; None: now)."""

    def __call__(self, command: ev.Tell, at_s: float | None = None) -> None:
        """One event."""
        ...


class Generator:
    """Carries out what the state machine wants of the generator; at most one answer goes on.

    Args:
        contexts, views, options, clock: the session's.
        voice: speaks.
        sink: where the sound goes.
        happen: takes events to the state machine.
        live: where the state machine stands.
        tell: writes the log.
        on_text: told of an answer's text as it is written: the turn, and a piece.
    """

    def __init__(
        self,
        *,
        contexts: Contexts,
        views: Views,
        options: LiveOptions,
        clock: Clock,
        voice: Voice,
        sink: Sink,
        happen: Callable[..., None],
        live: Callable[[], Live],
        tell: TellSession,
        on_text: Callable[[int, str], None],
    ) -> None:
        self._contexts, self._views, self._options, self._clock = contexts, views, options, clock
        self._voice, self._sink = voice, sink
        self._happen, self._live, self._tell, self._on_text = happen, live, tell, on_text
        self._run: AnswerRun | None = None
        self._runs: list[AnswerRun] = []  # those of which something may still run
        self._prompt_tokens = 0  # of the last answer that was written

    def set_options(self, options: LiveOptions) -> None:
        """Other settings, for the next answer on."""
        self._options = options

    @property
    def said(self) -> tuple[Message, ...]:
        """The conversation up to now, with what was heard so far of the answer that goes on."""
        run, history = self._run, self._contexts.history
        if run is None:
            return history.messages
        return history.with_partial(run.heard, run.state, run.after)

    def check(self) -> None:
        """Raise what has gone wrong in an answer, if it was a fault of ours; then let go of those that are over."""
        for run in self._runs:
            run.check()
        self._runs = [run for run in self._runs if not run.is_gone]

    async def gone(self) -> None:
        """Wait until nothing of any answer runs any more."""
        for run in self._runs:
            await run.gone()

    def answer(self, ear: Ear) -> None:
        """Answer a spoken turn, whose reply was begun when it was decided."""
        message, reply = ear.message, ear.reply
        assert message is not None
        assert reply is not None
        self._contexts.history.add_heard(message, ("question", ear.turn))
        if not self._options.answers:
            return self._contexts.submit(ear.name, ear.turn, lambda: self._leave(ear, reply))
        run = self._new_run(ear.turn, ear.name, reply)
        self._contexts.submit(ear.name, ear.turn, lambda: self._write(run, reply))

    def answer_typed(self, command: ev.AnswerTyped) -> None:
        """Answer a typed text, or the conversation as it stands."""
        context = self._contexts[command.context]
        if command.text:
            views = self._views.take(self._clock.now_s())
            self._contexts.history.add(Message("user", (*views, Text(command.text))), ("question", command.turn))
        wanted = self._contexts.history.messages
        run = self._new_run(command.turn, command.context)
        sampling = command.sampling or replace(self._options.sampling, state="answer")

        def read() -> Reply:
            catch_up(context, wanted)
            return context.reply(sampling)

        async def answer() -> None:
            self._contexts.take(command.context)
            try:
                reply = await self._contexts.run("decide", read)
            except VitaError:
                self._contexts.free(command.context)
                raise
            fields = {"state": reply.state, "probabilities": reply.probabilities}
            if not run.is_cut:
                self._tell(ev.Tell("state", command.turn, "generator", command.context, fields))
            await self._write(run, reply)

        self._contexts.submit(command.context, command.turn, answer)

    def interrupt(self, command: ev.Interrupt) -> None:
        """The answer ends here, in sound, in the log and the history; one that is left unwritten has none of them."""
        run = self._run
        if run is None:
            return
        heard = run.cut()
        fields = {"heard": heard, "by": command.by}
        self._tell(ev.Tell("interrupted", command.turn, "generator", command.context, fields))
        self._close(run, Message.assistant(heard, run.state))
        if command.by is None:
            self._contexts.refresh(command.context, command.turn)

    def set_sound(self, command: ev.SetSound) -> None:
        """How the answer is played from now on."""
        if self._run is not None:
            self._run.set_sound(command.sound)

    def shut(self) -> None:
        """Silence, for good."""
        if self._run is not None:
            self._run.cut()

    def _new_run(self, turn: int, name: ev.ContextName, reply: Reply | None = None) -> AnswerRun:
        def tell(at_s: float | None, event: str, **fields: Any) -> None:
            self._tell(ev.Tell(event, turn, "generator", name, fields), at_s)

        run = AnswerRun(
            turn, name, clock=self._clock, voice=self._voice, sink=self._sink, sound=self._live().sound,
            sample_rate_hz=self._options.sample_rate_hz, lead_s=self._options.lead_ms / 1000, tell=tell,
            on_text=lambda piece: self._on_text(turn, piece), on_end=lambda error: self._ended(run, error),
            on_first_sound=self._refresh_monitor, after=self._contexts.history.last, reply=reply,
        )  # fmt: skip
        self._run = run
        self._runs.append(run)
        return run

    async def _leave(self, ear: Ear, reply: Reply) -> None:
        """The reply that was begun is not wanted: somebody else says when the turn is answered."""
        try:
            reply.abort()
            await self._contexts.run("token", reply.result)
        finally:
            self._contexts.free(ear.name)
        self._happen(ev.AnswerEnded(ear.turn))
        self._contexts.refresh_all(ear.turn)

    async def _write(self, run: AnswerRun, reply: Reply) -> None:
        try:
            await run.write(self._contexts[run.name], reply)
            self._prompt_tokens = run.prompt_tokens
        finally:
            self._contexts.free(run.name)

    def _refresh_monitor(self) -> None:
        """Let the monitor read what was asked; not before the answer is heard, which would wait for it."""
        live = self._live()
        self._contexts.refresh(live.monitor, live.num_turns)

    def _ended(self, run: AnswerRun, error: VitaError | None) -> None:
        """All of an answer was played, or it could not be spoken."""
        if error is not None:
            return self._happen(ev.Failed(run.turn, str(error)))
        assert run.message is not None
        self._close(run, run.message)
        self._happen(ev.AnswerEnded(run.turn))
        self._contexts.refresh_all(run.turn)

    def _close(self, run: AnswerRun, message: Message) -> None:
        """The answer is over: what of it was heard belongs to the history; of noise, not even the sound."""
        self._run = None
        if message.state is State.NOISE:
            return self._contexts.history.drop(run.after)
        self._contexts.history.add(message, ("answer", run.turn), after=run.after)
        forgotten = self._contexts.history.forget_oldest(self._prompt_tokens)
        if forgotten is not None:
            self._tell(ev.Tell("forgotten", run.turn, fields={"question": forgotten.text or "(spoken)"}))

"""Drives a live conversation: sound, text and pictures in; an answer's sound and a log of events out.

Made by `vita live` and by the server. Everything that decides is in `machine.py` and `turns.py`; here their commands
are carried out with an engine, a voice and a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vita.chat.messages import Message, Text
from vita.clock import Clock
from vita.duplex import events as ev
from vita.duplex.answering import AnswerRun, fields_of
from vita.duplex.contexts import Contexts
from vita.duplex.history import catch_up
from vita.duplex.machine import Live, step
from vita.duplex.microphone import Microphone
from vita.duplex.monitor import Monitor
from vita.duplex.options import LiveOptions
from vita.duplex.player import Sink
from vita.duplex.views import Views
from vita.duplex.voice_activity import VoiceActivity
from vita.engine.protocol import Engine, Reply
from vita.errors import VitaError
from vita.speech.voices import Voice
from vita.tokens import State

if TYPE_CHECKING:
    import PIL.Image

LiveEvent = dict[str, Any]
"""As in EVENTS.jsonl: t (seconds of input), turn, event, role, context, and what belongs to the event."""
STOP_WORDS = frozenset({"stop", "stop it", "停", "停下", "别说了"})


class Session:
    """One user. Use it as `async with Session(...) as session`, in one event loop; at its end, or after `close`,
    nothing of it runs on, and its contexts hold nothing.

    Args:
        engine: answers; two contexts of it are opened.
        voice: speaks.
        activity: hears whether somebody speaks.
        clock: the time; not closed here.
        sink: gets the sound of the answers.
        on_event: gets the log, in order.
        options: all settings.
    """

    def __init__(
        self,
        engine: Engine,
        voice: Voice,
        activity: VoiceActivity,
        *,
        clock: Clock,
        sink: Sink,
        on_event: Callable[[LiveEvent], None],
        options: LiveOptions | None = None,
    ) -> None:
        self.options = options = options or LiveOptions()
        self._voice, self._clock, self._sink, self._on_event = voice, clock, sink, on_event
        self._live = Live(policy=options.policy)
        self._contexts = Contexts(engine, options.system, options.history_tokens, clock)
        self._microphone = Microphone(activity, options.start, options.stop)
        self._views = Views(options.video_s, options.max_frames)
        self._monitor = Monitor(
            contexts=self._contexts, microphone=self._microphone, views=self._views, options=options, clock=clock,
            happen=self._happen, live=lambda: self._live, said=self._said,
        )  # fmt: skip
        self._run: AnswerRun | None = None
        self._prompt_tokens = 0  # of the last answer that was written
        self._runs: list[AnswerRun] = []  # those of which something may still run
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Session:
        self._contexts.start(lambda turn, error: self._happen(ev.Failed(turn, str(error))))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """The user is gone: silence now, and soon nothing is computed or kept any more. Whoever waits for it may be
        cancelled: it goes on. Raises what was a fault of ours.
        """
        if self._closing is None:
            self._happen(ev.Disconnected())
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        try:
            await self._contexts.finish()
        finally:
            for run in self._runs:
                await run.gone()
            self._monitor.let_go()
            self._contexts.free_all()

    @property
    def history(self) -> tuple[Message, ...]:
        """The conversation as it really was: answers as far as they were heard, without noise."""
        return self._contexts.history.messages

    @property
    def is_idle(self) -> bool:
        """Nobody speaks, and nothing is to be read, answered or played."""
        return self._live.is_idle and self._contexts.is_idle

    def feed(self, samples: np.ndarray) -> None:
        """What the microphone heard next: float32 [num_samples], mono, 16 kHz, of any length. Nothing after `close`."""
        if self._closing is not None:
            return
        self._contexts.check()
        for run in self._runs:
            run.check()
        self._runs = [run for run in self._runs if not run.is_gone]
        self._happen(*self._microphone.feed(samples))
        for turn in self._live.turns[:1]:
            self._monitor.read_on(turn.number)

    def type(self, text: str) -> None:
        """The user has sent text: "stop" ends the answer, anything else is a question."""
        if text.strip(" \n.!?。！？").lower() in STOP_WORDS:
            self.stop()
        elif text.strip():
            self._happen(ev.Typed(text))

    def stop(self, *, is_spoken: bool = False) -> None:
        """The answer is to end: by a button, a typed word, or a word spotted in the turn that goes on (`is_spoken`),
        which then needs no answer either.
        """
        self._happen(ev.StopWord(is_typed=not is_spoken))

    def show(self, picture: PIL.Image.Image) -> None:
        """A still picture, for the next question; RGB."""
        self._views.add_picture(picture)

    def look(self, frame: PIL.Image.Image) -> None:
        """What the camera sees now, once or twice a second; RGB."""
        self._views.add_frame(self._clock.now_s(), frame)

    def _happen(self, *events: ev.Event) -> None:
        for event in events:
            self._live, commands = step(self._live, event)
            for command in commands:
                _CARRY_OUT[type(command)](self, command)

    def _tell(self, command: ev.Tell, at_s: float | None = None) -> None:
        event: LiveEvent = {"t": round(self._clock.now_s() if at_s is None else at_s, 3), "turn": command.turn}
        event |= {"event": command.event, "role": command.role, "context": command.context}
        self._on_event(fields_of(**event, **command.fields))

    def _said(self) -> tuple[Message, ...]:
        """The conversation up to now, with what was heard so far of the answer that goes on."""
        run = self._run
        return self._contexts.history.with_partial(run.heard if run else None, run.state if run else State.NOISE)

    def _answer(self, command: ev.Answer) -> None:
        ear = self._monitor.take(command.turn)
        message, reply = ear.message, ear.reply
        assert message is not None
        assert reply is not None
        self._contexts.history.add(message)
        run = self._new_run(ear.turn, ear.name, reply)
        self._contexts.submit(ear.name, ear.turn, lambda: self._write(run, reply))
        self._contexts.refresh(self._live.monitor, ear.turn)

    def _answer_typed(self, command: ev.AnswerTyped) -> None:
        context = self._contexts[command.context]
        views = self._views.take(self._clock.now_s())
        self._contexts.history.add(Message("user", (*views, Text(command.text))))
        wanted = self._contexts.history.messages
        run = self._new_run(command.turn, command.context)
        sampling = replace(self.options.sampling, state="answer")

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
        self._contexts.refresh(self._live.monitor, command.turn)

    async def _write(self, run: AnswerRun, reply: Reply) -> None:
        try:
            await run.write(self._contexts[run.name], reply)
            self._prompt_tokens = run.prompt_tokens
        finally:
            self._contexts.free(run.name)

    def _new_run(self, turn: int, name: ev.ContextName, reply: Reply | None = None) -> AnswerRun:
        def tell(at_s: float | None, event: str, **fields: Any) -> None:
            self._tell(ev.Tell(event, turn, "generator", name, fields), at_s)

        def on_end(error: VitaError | None) -> None:
            if error is not None:
                return self._happen(ev.Failed(turn, str(error)))
            assert run.message is not None
            self._close_answer(run, run.message)
            self._happen(ev.AnswerEnded(turn))

        run = AnswerRun(
            turn, name, clock=self._clock, voice=self._voice, sink=self._sink, sound=self._live.sound,
            sample_rate_hz=self.options.sample_rate_hz, tell=tell, on_end=on_end, reply=reply,
        )  # fmt: skip
        self._run = run
        self._runs.append(run)
        return run

    def _interrupt(self, command: ev.Interrupt) -> None:
        run = self._run
        assert run is not None
        heard = run.cut()
        self._tell(
            ev.Tell("interrupted", command.turn, "generator", command.context, {"heard": heard, "by": command.by})
        )
        self._close_answer(run, Message.assistant(heard, run.state))
        if command.by is None:
            self._contexts.refresh(command.context, command.turn)

    def _close_answer(self, run: AnswerRun, message: Message) -> None:
        """The answer is over: what of it was heard belongs to the history."""
        self._run = None
        self._contexts.history.add(message)
        forgotten = self._contexts.history.forget_oldest(self._prompt_tokens)
        if forgotten is not None:
            self._tell(ev.Tell("forgotten", run.turn, fields={"question": forgotten.text or "(spoken)"}))

    def _set_sound(self, command: ev.SetSound) -> None:
        if self._run is not None:
            self._run.set_sound(command.sound)

    def _shut(self, command: ev.Shut) -> None:
        if self._run is not None:
            self._run.cut()


_CARRY_OUT: dict[type, Callable[[Session, Any], None]] = {
    ev.Listen: lambda session, command: session._monitor.listen(command),
    ev.Probe: lambda session, command: session._monitor.probe(command),
    ev.Decide: lambda session, command: session._monitor.decide(command),
    ev.Forget: lambda session, command: session._monitor.forget(command),
    ev.Answer: Session._answer,
    ev.AnswerTyped: Session._answer_typed,
    ev.Interrupt: Session._interrupt,
    ev.SetSound: Session._set_sound,
    ev.Tell: Session._tell,
    ev.Shut: Session._shut,
}

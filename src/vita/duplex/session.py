"""Drives a live conversation: sound, text and pictures in; an answer's sound and a log of events out.

Made by `vita live` and by the server. Everything that decides is in `machine.py` and `turns.py`; here their commands
are carried out with an engine, a voice and a clock. Models run on one lane per context, off the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vita.chat.messages import Message, Text
from vita.clock import Clock
from vita.duplex import events as ev
from vita.duplex import turns
from vita.duplex.answering import AnswerRun, fields_of
from vita.duplex.history import History, catch_up
from vita.duplex.lane import Lane
from vita.duplex.listening import Ear, InputSound
from vita.duplex.machine import Live, step
from vita.duplex.options import LiveOptions
from vita.duplex.player import Sink
from vita.duplex.views import Views
from vita.duplex.voice_activity import WINDOW_S, WINDOW_SAMPLES, VoiceActivity
from vita.engine.protocol import Context, Engine, Reply
from vita.errors import VitaError
from vita.media.audio import SAMPLE_RATE_HZ, check_samples
from vita.speech.voices import Voice
from vita.tokens import State

if TYPE_CHECKING:
    import PIL.Image

LiveEvent = dict[str, Any]
"""As in EVENTS.jsonl: t (seconds of input), turn, event, role, context, and what belongs to the event."""
STOP_WORDS = frozenset({"stop", "stop it", "stop!", "停", "停下", "停！", "别说了"})


class Session:
    """One user. Use it as `async with Session(...) as session`, in one event loop; at its end nothing of it runs on.

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
        self.options = options or LiveOptions()
        self._voice, self._activity, self._clock, self._sink, self._on_event = voice, activity, clock, sink, on_event
        self._live = Live(policy=self.options.policy)
        self._contexts: dict[str, Context] = {name: engine.open(self.options.system) for name in ("a", "b")}
        self._history = History(self._contexts["a"].messages, self.options.history_tokens)
        self._views = Views(self.options.video_s, self.options.max_frames)
        self._sound = InputSound(keep_s=2 * self.options.stop.max_turn_s)
        self._hearing = turns.QUIET
        self._heard_to = 0  # samples that voice activity has judged
        self._ears: dict[int, Ear] = {}
        self._run: AnswerRun | None = None
        self._runs: list[AnswerRun] = []  # those of which something may still run
        self._replying: set[ev.ContextName] = set()  # contexts whose reply has not ended

    async def __aenter__(self) -> Session:
        self._lanes = {name: Lane(self._on_error) for name in self._contexts}
        for sample in ("a", "一"):  # the voice's processes start now, not with the first answer
            await self._clock.run("warm", lambda text=sample: self._voice.speak(text))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._happen(ev.Disconnected())
        for lane in self._lanes.values():
            await lane.close()
        for run in self._runs:
            await run.gone()
        for ear in self._ears.values():
            ear.let_go()

    @property
    def is_idle(self) -> bool:
        """Nobody speaks, and nothing is to be read, answered or played."""
        return self._live.is_idle and all(lane.is_idle for lane in self._lanes.values())

    def feed(self, samples: np.ndarray) -> None:
        """What the microphone heard next: float32 [num_samples], mono, 16 kHz, of any length."""
        for lane in self._lanes.values():
            lane.check()
        for run in self._runs:
            run.check()
        self._runs = [run for run in self._runs if not run.is_gone]
        self._sound.add(check_samples(samples))
        while self._sound.end - self._heard_to >= WINDOW_SAMPLES:
            window = self._sound.between(self._heard_to, self._heard_to + WINDOW_SAMPLES)
            self._heard_to += WINDOW_SAMPLES
            judged = turns.Window(self._heard_to / SAMPLE_RATE_HZ, WINDOW_S, self._activity.probability(window))
            self._hearing, signals = turns.hear(self._hearing, judged, self.options.start, self.options.stop)
            self._signal(signals)
        for turn in self._live.turns[:1]:
            self._read_on(turn.number)

    def type(self, text: str) -> None:
        """The user has sent text: "stop" ends the answer, anything else is a question."""
        if text.strip().lower() in STOP_WORDS:
            self._happen(ev.StopWord(is_typed=True))
        elif text.strip():
            self._happen(ev.Typed(text))

    def show(self, picture: PIL.Image.Image) -> None:
        """A still picture, for the next question; RGB."""
        self._views.add_picture(picture)

    def look(self, frame: PIL.Image.Image) -> None:
        """What the camera sees now, once or twice a second; RGB."""
        self._views.add_frame(self._clock.now_s(), frame)

    def _signal(self, signals: tuple[turns.Signal, ...]) -> None:
        for signal in signals:
            if isinstance(signal, turns.VoiceHeard):
                self._happen(ev.Voice(is_heard=True))
            elif isinstance(signal, turns.VoiceGone):
                self._happen(ev.Voice(is_heard=False))
            elif isinstance(signal, turns.TurnStarted):
                self._happen(ev.SpeechStarted(signal.voice_s, signal.from_s))
            elif isinstance(signal, turns.MayBeComplete):
                self._happen(ev.SpeechPaused())
            else:
                self._happen(ev.SpeechEnded(signal.voice_s, signal.voiced_ms))

    def _happen(self, event: ev.Event) -> None:
        self._live, commands = step(self._live, event)
        for command in commands:
            _CARRY_OUT[type(command)](self, command)

    def _on_error(self, turn: int, error: VitaError) -> None:
        self._happen(ev.Failed(turn, str(error)))

    def _tell(self, command: ev.Tell, at_s: float | None = None) -> None:
        event: LiveEvent = {"t": round(self._clock.now_s() if at_s is None else at_s, 3), "turn": command.turn}
        event |= {"event": command.event, "role": command.role, "context": command.context}
        self._on_event(fields_of(**event, **command.fields))

    # The monitor's side.

    def _listen(self, command: ev.Listen) -> None:
        ear = Ear(command.turn, command.context, int(command.from_s * SAMPLE_RATE_HZ))
        ear.views = self._views.take(self._clock.now_s())
        self._ears[ear.turn] = ear

        async def begin() -> None:
            run = self._run
            heard = self._history.with_partial(run.heard if run else None, run.state if run else State.NOISE)
            await self._clock.run("listen", lambda: ear.begin(self._contexts[ear.name], heard))
            self._read_on(ear.turn)

        self._lanes[ear.name].submit(ear.turn, begin)

    def _read_on(self, number: int) -> None:
        """Let the monitor read what has arrived of its turn, a chunk or more at a time."""
        ear = self._ears.get(number)
        if ear is None or not ear.is_open or ear.is_busy or self._end_of(number) - ear.position < self._chunk:
            return
        ear.is_busy = True

        async def read() -> None:
            ear.is_busy = False
            if ear.is_open:
                self._happen(ev.Listened(number, await self._read(ear)))

        self._lanes[ear.name].submit(number, read)

    async def _read(self, ear: Ear) -> float:
        samples = self._sound.between(ear.position, self._end_of(ear.turn))
        return await self._clock.run("read", lambda: ear.read(samples))

    @property
    def _chunk(self) -> int:
        return int(self.options.chunk_ms * SAMPLE_RATE_HZ / 1000)

    def _end_of(self, number: int) -> int:
        """Up to which sample a turn is to be read by now: not far into the silence after its last voice."""
        turn = next((turn for turn in self._live.turns if turn.number == number), None)
        if turn is None:
            return 0
        voice_s = turn.ended.voice_s if turn.ended else self._hearing.last_voice_s
        return min(self._sound.end, int((voice_s + self.options.trailing_ms / 1000) * SAMPLE_RATE_HZ))

    def _probe(self, command: ev.Probe) -> None:
        ear = self._ears[command.turn]
        asked_s = self._hearing.last_voice_s

        async def probe() -> None:
            if not ear.is_open:
                return
            await self._read(ear)
            probabilities = await self._clock.run("probe", ear.probe)
            self._happen(ev.Probed(ear.turn, probabilities))
            is_silent = self._hearing.in_turn and self._hearing.last_voice_s == asked_s
            if command.purpose == "end" and is_silent and self.options.stop.is_complete(probabilities):
                self._hearing, signals = turns.end_turn(self._hearing)
                self._signal(signals)

        self._lanes[ear.name].submit(ear.turn, probe)

    def _decide(self, command: ev.Decide) -> None:
        ear = self._ears[command.turn]

        async def decide() -> None:
            await self._read(ear)
            context = self._contexts[ear.name]
            self._replying.add(ear.name)
            reply = await self._clock.run("decide", lambda: ear.decide(context, self.options.sampling))
            self._happen(ev.Decided(ear.turn, reply.state, reply.probabilities))

        self._lanes[ear.name].submit(ear.turn, decide)

    def _forget(self, command: ev.Forget) -> None:
        ear = self._ears.pop(command.turn)
        self._views.give_back(ear.views)

        async def forget() -> None:
            await self._clock.run("forget", lambda: ear.forget(self._contexts[ear.name]))
            self._replying.discard(ear.name)

        self._lanes[ear.name].submit(ear.turn, forget)

    # The generator's side.

    def _answer(self, command: ev.Answer) -> None:
        ear = self._ears.pop(command.turn)
        message, reply = ear.message, ear.reply
        assert message is not None
        assert reply is not None
        self._history.add(message)
        run = self._new_run(ear.turn, ear.name)
        self._lanes[ear.name].submit(ear.turn, lambda: self._write(run, reply))
        self._refresh_monitor(ear.turn)

    def _answer_typed(self, command: ev.AnswerTyped) -> None:
        context = self._contexts[command.context]
        views = self._views.take(self._clock.now_s())
        self._history.add(Message("user", (*views, Text(command.text))))
        wanted = self._history.messages
        run = self._new_run(command.turn, command.context)
        sampling = replace(self.options.sampling, state="answer")

        def read() -> Reply:
            catch_up(context, wanted)
            return context.reply(sampling)

        async def answer() -> None:
            self._replying.add(command.context)
            reply = await self._clock.run("decide", read)
            fields = {"state": reply.state, "probabilities": reply.probabilities}
            if not run.is_cut:
                self._tell(ev.Tell("state", command.turn, "generator", command.context, fields))
            await self._write(run, reply)

        self._lanes[command.context].submit(command.turn, answer)
        self._refresh_monitor(command.turn)

    async def _write(self, run: AnswerRun, reply: Reply) -> None:
        await run.write(self._contexts[run.name], reply)
        self._replying.discard(run.name)

    def _new_run(self, turn: int, name: ev.ContextName) -> AnswerRun:
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
            sample_rate_hz=self.options.sample_rate_hz, tell=tell, on_end=on_end,
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
            self._refresh(command.context, command.turn)

    def _close_answer(self, run: AnswerRun, message: Message) -> None:
        """The answer is over: what of it was heard belongs to the history."""
        self._run = None
        self._history.add(message)
        forgotten = self._history.forget_oldest(run.prompt_tokens)
        if forgotten is not None:
            self._tell(ev.Tell("forgotten", run.turn, fields={"question": forgotten.text or "(spoken)"}))

    def _refresh_monitor(self, turn: int) -> None:
        self._refresh(self._live.monitor, turn)

    def _refresh(self, name: ev.ContextName, turn: int) -> None:
        """Let a context that has nothing to do read what happened at the other one, before it is needed."""

        async def refresh() -> None:
            if name not in self._replying and not any(ear.name == name for ear in self._ears.values()):
                wanted = self._history.messages
                await self._clock.run("refresh", lambda: catch_up(self._contexts[name], wanted))

        self._lanes[name].submit(turn, refresh)

    def _set_sound(self, command: ev.SetSound) -> None:
        if self._run is not None:
            self._run.set_sound(command.sound)

    def _shut(self, command: ev.Shut) -> None:
        if self._run is not None:
            self._run.cut()


_CARRY_OUT: dict[type, Callable[[Session, Any], None]] = {
    ev.Listen: Session._listen,
    ev.Probe: Session._probe,
    ev.Decide: Session._decide,
    ev.Forget: Session._forget,
    ev.Answer: Session._answer,
    ev.AnswerTyped: Session._answer_typed,
    ev.Interrupt: Session._interrupt,
    ev.SetSound: Session._set_sound,
    ev.Tell: Session._tell,
    ev.Shut: Session._shut,
}

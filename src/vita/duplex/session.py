"""Drives a live conversation: sound, text and pictures in; an answer's sound and a log of events out.

Made by `vita live` and by the server. Everything that decides is in `machine.py` and `turns.py`; here their commands
are carried out with an engine, a voice and a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vita.chat.messages import Message
from vita.clock import Clock
from vita.duplex import events as ev
from vita.duplex.answering import fields_of
from vita.duplex.contexts import Contexts
from vita.duplex.echo import EchoCanceller, Loudspeaker
from vita.duplex.generator import Generator
from vita.duplex.history import SYSTEM, Entry
from vita.duplex.machine import step
from vita.duplex.microphone import Microphone
from vita.duplex.monitor import Monitor
from vita.duplex.options import LiveOptions
from vita.duplex.player import Sink
from vita.duplex.state import Live
from vita.duplex.views import Views
from vita.duplex.voice_activity import VoiceActivity
from vita.engine.protocol import Engine, Sampling
from vita.speech.voices import Voice

if TYPE_CHECKING:
    import PIL.Image

LiveEvent = dict[str, Any]
"""As in EVENTS.jsonl: t (seconds of input), turn, event, role, context, and what belongs to the event."""


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
        said: what was said before, see `entries`.
        on_text: told of an answer's text as it is written: the turn, and a piece.
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
        said: Sequence[Entry] = (),
        on_text: Callable[[int, str], None] = lambda turn, piece: None,
    ) -> None:
        self.options = options = options or LiveOptions()
        self._clock, self._on_event = clock, on_event
        self._live = Live(policy=options.policy)
        limits = [limit for limit in (options.history_tokens, engine.history_tokens) if limit is not None]
        self._contexts = Contexts(engine, options.system, said, min(limits, default=None), clock)
        echo = EchoCanceller(options.sample_rate_hz) if options.echo else None
        self._microphone = Microphone(activity, options.start, options.stop, echo)
        if echo is not None:
            sink = Loudspeaker(sink, echo, lambda: self._microphone.fed_s, clock.now_s)
        self._views = Views(options.video_s, options.max_frames)
        self._generator = Generator(
            contexts=self._contexts, views=self._views, options=options, clock=clock, voice=voice, sink=sink,
            happen=self._happen, live=lambda: self._live, tell=self._tell, on_text=on_text,
        )  # fmt: skip
        self._monitor = Monitor(
            contexts=self._contexts, microphone=self._microphone, views=self._views, options=options, clock=clock,
            happen=self._happen, live=lambda: self._live, said=lambda: self._generator.said,
        )  # fmt: skip
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
            await self._generator.gone()
            self._monitor.let_go()
            self._contexts.free_all()

    @property
    def history(self) -> tuple[Message, ...]:
        """The conversation as it really was: answers as far as they were heard, without noise."""
        return self._contexts.history.messages

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The messages of the history without the system prompt, with their keys, see `add`."""
        return tuple(entry for entry in self._contexts.history.entries if entry[0] != SYSTEM)

    @property
    def is_idle(self) -> bool:
        """Nobody speaks, and nothing is to be read, answered or played."""
        return self._live.is_idle and self._contexts.is_idle

    @property
    def next_turn(self) -> int:
        """The number of the turn that comes next."""
        return self._live.num_turns + 1

    def feed(self, samples: np.ndarray) -> None:
        """What the microphone heard next: float32 [num_samples], mono, 16 kHz, of any length. Nothing after `close`."""
        if self._closing is not None:
            return
        self.check()
        self._happen(*self._microphone.feed(samples))
        for turn in self._live.turns[:1]:
            self._monitor.read_on(turn.number)

    def type(self, text: str) -> None:
        """The user has sent text: "stop" ends the answer, anything else is a question."""
        if self.options.spotter.is_stop(text):
            self.stop()
        elif text.strip():
            self._happen(ev.Typed(text))

    def check(self) -> None:
        """Raise what has gone wrong beside the event loop, if it was a fault of ours; `feed` does so, too."""
        self._contexts.check()
        self._generator.check()

    def add(self, key: Hashable, message: Message, *, after: Hashable = None) -> None:
        """Put a message into the conversation; nothing is answered yet.

        Args:
            key: tells the message from others, in `change`. Spoken turns have ("question", turn), answers
                ("answer", turn).
            message: the user's; what was shown before and not looked at yet is put before it. Or an answer of before.
            after: the key of the message that it follows, instead of the last.
        """
        if message.role == "user":
            message = Message("user", (*self._views.take(self._clock.now_s()), *message.parts))
        self._contexts.history.add(message, key, after=after)
        self._contexts.refresh(self._live.monitor, self._live.num_turns)

    def message(self, key: Hashable) -> Message | None:
        """The message with this key, if it is still in the conversation."""
        return self._contexts.history.find(key)

    def change(self, key: Hashable, message: Message | None) -> None:
        """Put another message in the place of one, or take it out; nothing happens if it was forgotten already."""
        if message is None:
            self._contexts.history.drop(key)
        else:
            self._contexts.history.change(key, message)
        self._contexts.refresh(self._live.monitor, self._live.num_turns)

    def answer(self, sampling: Sampling) -> None:
        """Answer the conversation as it stands; an answer that goes on ends."""
        self._happen(ev.Typed("", sampling))

    def end_turn(self) -> bool:
        """What is being said ends here; False if nobody speaks."""
        events = self._microphone.end_turn(self._microphone.last_voice_s)
        self._happen(*events)
        return bool(events)

    def drop_turn(self) -> bool:
        """What is being said was not meant for anybody; False if nobody speaks."""
        if not self._microphone.drop_turn():
            return False
        self._happen(ev.Dropped())
        return True

    def configure(self, options: LiveOptions) -> None:
        """Other settings, from now on; for an answer that goes on the old ones hold."""
        if options.system != self.options.system:
            self._contexts.history.set_system(options.system)
        self.options = options
        self._microphone.set_strategies(options.start, options.stop)
        self._monitor.set_options(options)
        self._generator.set_options(options)

    def stop(self, *, is_spoken: bool = False) -> None:
        """The answer is to end: by a button, a typed word, or a word spotted in the turn that goes on (`is_spoken`),
        which then needs no answer either.
        """
        self._happen(ev.StopWord(is_typed=not is_spoken))

    def show(self, picture: PIL.Image.Image) -> None:
        """A still picture, for the next question; RGB."""
        self._views.add_picture(picture)

    def hide(self, picture: PIL.Image.Image) -> None:
        """The picture is not for the next question after all; nothing happens if it was taken already."""
        self._views.remove_picture(picture)

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


_CARRY_OUT: dict[type, Callable[[Session, Any], None]] = {
    ev.Listen: lambda session, command: session._monitor.listen(command),
    ev.Probe: lambda session, command: session._monitor.probe(command),
    ev.Decide: lambda session, command: session._monitor.decide(command),
    ev.Forget: lambda session, command: session._monitor.forget(command),
    ev.Answer: lambda session, command: session._generator.answer(session._monitor.take(command.turn)),
    ev.AnswerTyped: lambda session, command: session._generator.answer_typed(command),
    ev.Interrupt: lambda session, command: session._generator.interrupt(command),
    ev.SetSound: lambda session, command: session._generator.set_sound(command),
    ev.Tell: Session._tell,
    ev.Shut: lambda session, command: session._generator.shut(),
}

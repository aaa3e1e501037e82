"""The monitor at work: reads every spoken turn while it arrives, is asked about it, decides it or forgets it.

Used by `session.py`, whose commands to the monitor are carried out here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vita.chat.messages import Message
from vita.clock import Clock
from vita.duplex import events as ev
from vita.duplex.contexts import Contexts
from vita.duplex.listening import Ear
from vita.duplex.microphone import Microphone
from vita.duplex.options import LiveOptions
from vita.duplex.state import Live
from vita.duplex.views import Views
from vita.media.audio import SAMPLE_RATE_HZ


class Monitor:
    """Carries out what the state machine wants of the monitor.

    Args:
        contexts, microphone, views, options, clock: the session's.
        happen: takes events to the state machine.
        live: where the state machine stands.
        said: the conversation up to now, with the part that was heard of an answer that goes on.
    """

    def __init__(
        self,
        *,
        contexts: Contexts,
        microphone: Microphone,
        views: Views,
        options: LiveOptions,
        clock: Clock,
        happen: Callable[..., None],
        live: Callable[[], Live],
        said: Callable[[], Sequence[Message]],
    ) -> None:
        self._contexts, self._microphone, self._views = contexts, microphone, views
        self._options, self._clock = options, clock
        self._happen, self._live, self._said = happen, live, said
        self._ears: dict[int, Ear] = {}

    def set_options(self, options: LiveOptions) -> None:
        """Other settings, from now on."""
        self._options = options

    def take(self, turn: int) -> Ear:
        """A turn that was decided; it belongs to the generator now."""
        return self._ears.pop(turn)

    def let_go(self) -> None:
        """The session is over."""
        for ear in self._ears.values():
            ear.let_go()

    def listen(self, command: ev.Listen) -> None:
        """Begin to read a turn."""
        ear = Ear(command.turn, command.context, int(command.from_s * SAMPLE_RATE_HZ))
        ear.views = self._views.take(self._clock.now_s())
        self._ears[ear.turn] = ear

        async def begin() -> None:
            said = self._said()
            self._contexts.take(ear.name)
            await self._contexts.run("listen", lambda: ear.begin(self._contexts[ear.name], said))
            self.read_on(ear.turn)

        self._contexts.submit(ear.name, ear.turn, begin)

    def read_on(self, number: int) -> None:
        """Let the monitor read what has arrived of its turn, a chunk or more at a time."""
        ear = self._ears.get(number)
        if ear is None or not ear.is_open or ear.is_busy or self._end_of(ear) - ear.position < self._chunk:
            return
        ear.is_busy = True

        async def read() -> None:
            ear.is_busy = False
            if ear.is_open:
                self._happen(ev.Listened(number, await self._read(ear)))

        self._contexts.submit(ear.name, number, read)

    async def _read(self, ear: Ear) -> float:
        samples = self._microphone.sound.between(ear.position, self._end_of(ear))
        return await self._contexts.run("read", lambda: ear.read(samples))

    @property
    def _chunk(self) -> int:
        return int(self._options.chunk_ms * SAMPLE_RATE_HZ / 1000)

    @property
    def _silence_ms(self) -> float:
        """Since the last voice."""
        return 1000 * (self._microphone.sound.end / SAMPLE_RATE_HZ - self._microphone.last_voice_s)

    def _end_of(self, ear: Ear) -> int:
        """Up to which sample a turn is to be read by now: not far into the silence after its last voice."""
        if ear.is_complete:
            return ear.position
        turn = next((turn for turn in self._live().turns if turn.number == ear.turn), None)
        if turn is None:
            return 0
        voice_s = turn.ended.voice_s if turn.ended else self._microphone.last_voice_s
        return min(self._microphone.sound.end, int((voice_s + self._options.trailing_ms / 1000) * SAMPLE_RATE_HZ))

    def probe(self, command: ev.Probe) -> None:
        """Ask what a turn would be if it ended now; not for the same purpose as long as the last answer is awaited."""
        ear = self._ears[command.turn]
        if command.purpose in ear.asked_for:
            return
        ear.asked_for.add(command.purpose)
        last_voice_s = self._microphone.last_voice_s

        async def probe() -> None:
            ear.asked_for.discard(command.purpose)
            if not ear.is_open or (ear.is_complete and command.purpose != "word"):
                return
            await self._read(ear)
            probabilities = await self._contexts.run("probe", lambda: ear.probe(self._options.spotter))
            is_silent = command.purpose == "word" or self._silence_ms >= self._options.word_silence_ms
            self._happen(ev.Probed(ear.turn, probabilities, ear.word if is_silent else None))
            if command.purpose == "end" and self._options.stop.is_complete(probabilities):
                events = self._microphone.end_turn(last_voice_s)
                ear.is_complete = bool(events)
                self._happen(*events)

        self._contexts.submit(ear.name, ear.turn, probe)

    def decide(self, command: ev.Decide) -> None:
        """Read a turn to its end, and its state."""
        ear = self._ears[command.turn]

        async def decide() -> None:
            await self._read(ear)
            context = self._contexts[ear.name]
            reply = await self._contexts.run(
                "decide", lambda: ear.decide(context, self._options.sampling, self._options.spotter)
            )
            self._happen(ev.Decided(ear.turn, reply.state, reply.probabilities, ear.word, ear.heard))

        self._contexts.submit(ear.name, ear.turn, decide)

    def forget(self, command: ev.Forget) -> None:
        """Take a turn out of its context."""
        ear = self._ears.pop(command.turn)
        self._views.give_back(ear.views)

        async def forget() -> None:
            await self._contexts.run("forget", lambda: ear.forget(self._contexts[ear.name]))
            self._contexts.free(ear.name)

        self._contexts.submit(ear.name, ear.turn, forget)

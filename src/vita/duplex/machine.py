"""A live conversation as a pure state machine: `step(live, event) -> (live, commands)`. No clock, no torch, no sound.

Two contexts play two roles: the generator answers, the monitor hears all that is said, also while the generator
answers. A turn that the monitor takes for a question ends the old answer, and the two swap roles: the monitor, which
has read the question already, answers it. A turn of noise changes nothing. Driven by `session.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vita.duplex.events import (
    Answer,
    AnswerEnded,
    AnswerTyped,
    Command,
    Decide,
    Decided,
    Disconnected,
    Dropped,
    Event,
    Failed,
    Forget,
    Interrupt,
    Listen,
    Listened,
    Probe,
    Probed,
    SetSound,
    Shut,
    Sound,
    SpeechEnded,
    SpeechPaused,
    SpeechStarted,
    StopWord,
    Tell,
    Typed,
    Voice,
)  # fmt: skip
from vita.duplex.state import Live, Turn
from vita.tokens import State

Commands = tuple[Command, ...]


def step(live: Live, event: Event) -> tuple[Live, Commands]:
    """What an event makes of the conversation, and what is to be done, in this order."""
    if live.is_over:
        return live, ()
    live, commands = _HANDLERS[type(event)](live, event)
    sound = live.sound if live.is_over else _wanted_sound(live)
    if sound != live.sound:
        commands = (*commands, SetSound(sound), Tell("sound", live.answering, fields={"sound": sound}))
    return replace(live, sound=sound), commands


def _wanted_sound(live: Live) -> Sound:
    if live.answering is None:
        return "full"
    leanings = {turn.leaning for turn in live.turns}
    if State.SPOKEN_QUERY in leanings:
        return "held"
    is_speaking = live.has_voice and not live.turns
    return "low" if is_speaking or None in leanings else "full"


def _voice(live: Live, event: Voice) -> tuple[Live, Commands]:
    return replace(live, has_voice=event.is_heard), ()


def _speech_started(live: Live, event: SpeechStarted) -> tuple[Live, Commands]:
    turn = Turn(number=live.num_turns + 1, from_s=event.from_s)
    told = _tell_monitor(live, "speech_start", turn.number, voice_s=event.voice_s)
    listen = () if live.turns else (Listen(turn.number, live.monitor, turn.from_s),)
    live = replace(live, turns=(*live.turns, turn), num_turns=turn.number, has_voice=True)
    return live, (told, *listen)


def _speech_paused(live: Live, event: SpeechPaused) -> tuple[Live, Commands]:
    head = _first(live)
    if head is None or head.ended or head.is_stop:
        return live, ()
    return live, (Probe(head.number, "end"),)


def _speech_ended(live: Live, event: SpeechEnded) -> tuple[Live, Commands]:
    if not live.turns or live.turns[-1].ended:
        return replace(live, has_voice=False), ()  # of a turn that has failed
    turn = replace(live.turns[-1], ended=event)
    told = _tell_monitor(live, "speech_end", turn.number, voice_s=event.voice_s)
    live = replace(live, turns=(*live.turns[:-1], turn), has_voice=False)
    live, commands = _judge(live) if len(live.turns) == 1 else (live, ())
    return live, (told, *commands)


def _listened(live: Live, event: Listened) -> tuple[Live, Commands]:
    head = _first(live)
    if head is None or head.number != event.turn or head.ended or live.answering is None:
        return live, ()
    return live, (Probe(head.number, "early"),) if event.seconds >= live.policy.early_after_s else ()


def _probed(live: Live, event: Probed) -> tuple[Live, Commands]:
    head = _first(live)
    if head is None or head.number != event.turn or head.is_deciding:
        return live, ()
    live, stopped = _stop(live, head) if event.word == "stop" else (live, ())
    if head.ended:
        live, commands = _judge(_with_first(live, replace(live.turns[0], is_spotted=True)))
        return live, (*stopped, *commands)
    if stopped or head.leaning is State.SPOKEN_QUERY:
        return live, stopped
    sure = (state for state, probability in event.probabilities.items() if probability >= live.policy.early_threshold)
    return _with_first(live, replace(head, leaning=next(sure, None))), ()


def _decided(live: Live, event: Decided) -> tuple[Live, Commands]:
    head = _first(live)
    if head is None or head.number != event.turn or not head.is_deciding:
        return live, ()
    reason = event.word if event.word == "stop" or live.answering is not None else None
    state = event.state if reason is None else State.NOISE
    told = _tell_state(live, head, state, probabilities=event.probabilities, heard=event.heard, reason=reason)
    if state is State.NOISE or head.is_stop:
        live, stopped = _stop(live, head) if event.word == "stop" else (live, ())
        live, commands = _forget(live)
        return live, (told, *stopped, *commands)
    stopped = _interrupt(live, by=head.number)
    live = replace(live, generator=live.monitor, answering=head.number)
    live, commands = _next(live)
    return live, (told, *stopped, Answer(head.number), *commands)


def _failed(live: Live, event: Failed) -> tuple[Live, Commands]:
    told = Tell("error", event.turn, fields={"error": event.error})
    head = _first(live)
    if head is not None and head.number == event.turn:
        live, commands = _forget(live)
        return live, (told, *commands)
    if live.answering == event.turn:
        stopped = _interrupt(live, by=None)
        return replace(live, answering=None), (told, *stopped)
    return live, (told,)


def _dropped(live: Live, event: Dropped) -> tuple[Live, Commands]:
    live = replace(live, has_voice=False)
    if len(live.turns) == 1:
        return _forget(live)
    return replace(live, turns=live.turns[:-1]), ()


def _typed(live: Live, event: Typed) -> tuple[Live, Commands]:
    number = live.num_turns + 1
    stopped = _interrupt(live, by=number)
    live = replace(live, num_turns=number, answering=number)
    return live, (*stopped, AnswerTyped(number, live.generator, event.text, event.sampling))


def _stop_word(live: Live, event: StopWord) -> tuple[Live, Commands]:
    return _stop(live, None if event.is_typed or not live.turns else live.turns[-1])


def _answer_ended(live: Live, event: AnswerEnded) -> tuple[Live, Commands]:
    return replace(live, answering=None if live.answering == event.turn else live.answering), ()


def _disconnected(live: Live, event: Disconnected) -> tuple[Live, Commands]:
    return replace(live, is_over=True, turns=(), answering=None, has_voice=False), (Tell("disconnected"), Shut())


def _stop(live: Live, turn: Turn | None) -> tuple[Live, Commands]:
    """The answer ends, and so does the turn that said so, if one did: it needs no answer."""
    if turn is not None and turn.is_stop:
        return live, ()
    stopped = _interrupt(live, by=None)
    turns = tuple(replace(each, is_stop=True) if each is turn else each for each in live.turns)
    return replace(live, answering=None, turns=turns), (Tell("stop", turn.number if turn else None), *stopped)


def _judge(live: Live) -> tuple[Live, Commands]:
    """The first turn has ended: too short to be anything but a stop word, or for the monitor to decide."""
    head = _first(live)
    assert head is not None
    assert head.ended is not None
    reason = None
    if head.is_stop:
        reason = "stop"
    elif head.ended.voiced_ms < live.policy.min_turn_ms:
        reason = "too short"
    elif live.answering is not None and head.ended.voiced_ms < live.policy.backchannel_ms:
        reason = "backchannel"
    if reason is None:
        return _with_first(live, replace(head, is_deciding=True)), (Decide(head.number),)
    if not (head.is_stop or head.is_spotted):
        return live, (Probe(head.number, "word"),)
    told = _tell_state(live, head, State.NOISE, reason=reason)
    live, commands = _forget(live)
    return live, (told, *commands)


def _forget(live: Live) -> tuple[Live, Commands]:
    forgotten = Forget(live.turns[0].number)
    live, commands = _next(live)
    return live, (forgotten, *commands)


def _next(live: Live) -> tuple[Live, Commands]:
    """The first turn is done with; the monitor goes on to the one after it."""
    live = replace(live, turns=live.turns[1:])
    head = _first(live)
    if head is None:
        return live, ()
    listen = Listen(head.number, live.monitor, head.from_s)
    live, commands = _judge(live) if head.ended else (live, ())
    return live, (listen, *commands)


def _interrupt(live: Live, by: int | None) -> Commands:
    return () if live.answering is None else (Interrupt(live.answering, live.generator, by),)


def _first(live: Live) -> Turn | None:
    return live.turns[0] if live.turns else None


def _with_first(live: Live, turn: Turn) -> Live:
    return replace(live, turns=(turn, *live.turns[1:]))


def _tell_monitor(live: Live, event: str, turn: int, **fields: Any) -> Tell:
    return Tell(event, turn, "monitor", live.monitor, fields)


def _tell_state(live: Live, turn: Turn, state: State, **fields: Any) -> Tell:
    assert turn.ended is not None
    return _tell_monitor(live, "state", turn.number, state=state, voice_end_s=turn.ended.voice_s, **fields)


_HANDLERS: dict[type, Callable[[Live, Any], tuple[Live, Commands]]] = {
    Voice: _voice,
    SpeechStarted: _speech_started,
    SpeechPaused: _speech_paused,
    SpeechEnded: _speech_ended,
    Listened: _listened,
    Probed: _probed,
    Decided: _decided,
    Failed: _failed,
    Dropped: _dropped,
    Typed: _typed,
    StopWord: _stop_word,
    AnswerEnded: _answer_ended,
    Disconnected: _disconnected,
}

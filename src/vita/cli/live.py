"""`vita live`: a live conversation, with a microphone and speakers, or from files: a recording is the microphone, and
the answers become a file on the same clock.

Path: here -> vita.media, vita.api -> duplex.files (or duplex.devices) -> duplex.session -> engine, speech -> files.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from vita.cli.live_terminal import Terminal
from vita.cli.model_options import add_model_options, add_placement_options, loading_options
from vita.errors import ConfigError

if TYPE_CHECKING:
    from vita.clock import Clock
    from vita.duplex.files import Recording
    from vita.duplex.options import LiveOptions
    from vita.duplex.player import Sink
    from vita.duplex.session import Session
    from vita.engine.protocol import Engine
    from vita.speech.voices import Voice

T = TypeVar("T")

SUMMARY = "listen all the time, answer only questions, be interrupted"
USAGE = "[--in INPUT.wav --out OUTPUT.wav --events EVENTS.jsonl] [options]"
_FRAMES_PER_SECOND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    files = parser.add_argument_group("files (without --in: the microphone and the speakers, until Ctrl-C)")
    files.add_argument("--in", dest="input", metavar="INPUT.wav", help="what the microphone hears")
    files.add_argument("--video", metavar="CLIP.mp4", help="what the camera sees, from the same moment on")
    files.add_argument("--out", metavar="OUTPUT.wav", help="what the assistant says, on the same clock")
    files.add_argument("--events", metavar="EVENTS.jsonl", help="what happened, one JSON object a line")
    files.add_argument(
        "--speed",
        choices=("real", "max"),
        default="real",
        help="real: the input at its own pace, computing takes the time that it takes (default); "
        "max: on virtual time, on which computing takes none",
    )
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "--voice",
        metavar="VOICE",
        default="espeak",
        help="espeak (default), openai:URL[,voice=NAME,model=NAME], piper:MODEL.onnx, or a plug-in's name; a key for "
        "the endpoint is read from VITA_VOICE_API_KEY",
    )
    sound.add_argument("--sound-device", metavar="NAME", help="microphone and speakers, by number or part of a name")
    sound.add_argument(
        "--headphones",
        action="store_true",
        help="what is played cannot come back through the microphone: do not listen for it",
    )
    turns = parser.add_argument_group("turns")
    turns.add_argument(
        "--stop",
        choices=("semantic", "silence"),
        default="semantic",
        help="a turn ends when the model is sure that a question is complete, or else after a silence (default); "
        "silence: only after a silence",
    )
    turns.add_argument("--silence-ms", metavar="MS", type=float, default=500.0, help="that silence (default: 500)")
    turns.add_argument(
        "--early",
        metavar="P",
        type=float,
        default=0.9,
        help="pause the answer while somebody speaks who asks with at least this probability; above 1: wait for the "
        "end of what they say (default: 0.9)",
    )
    model = parser.add_argument_group("the model")
    add_model_options(model)
    add_placement_options(model)
    model.add_argument("--system", metavar="TEXT", help="system prompt instead of the model's own")
    model.add_argument("--max-new-tokens", metavar="N", type=int, default=256, help="of an answer (default: 256)")


def run(arguments: argparse.Namespace) -> int:
    """Hold the conversation."""
    from vita.memory import bound_heaps

    if arguments.silence_ms < 200:
        raise ConfigError("--silence-ms is too short", got=arguments.silence_ms, expected="200 or more")
    bound_heaps()
    if arguments.input is None:
        return _from_microphone(arguments)
    if arguments.out is None or arguments.events is None:
        raise ConfigError("--in needs --out and --events", fix="or leave --in out, to use the microphone")
    return _from_files(arguments)


def _from_files(arguments: argparse.Namespace) -> int:
    from vita.api import load
    from vita.duplex.files import EventLog, Timeline, play_in

    options = _options(arguments, echo=False)
    recording = _recording(arguments)
    voice = _voice(arguments)
    engine = load(arguments.model, **loading_options(arguments)).engine
    timeline, log = Timeline(options.sample_rate_hz), EventLog(arguments.events, also=Terminal().show)
    try:
        talk = _converse(
            engine, voice, timeline, log, options, lambda session, clock: play_in(session, clock, recording),
            is_virtual=arguments.speed == "max",
        )  # fmt: skip
        if arguments.speed == "max":
            from vita.clock import run_virtual

            seconds = run_virtual(talk)
        else:
            seconds = asyncio.run(talk)
    finally:
        log.close()
    length_s = timeline.save(arguments.out, seconds)
    print(f"heard {recording.seconds:.1f} s; spoken: {arguments.out}, {length_s:.1f} s", file=sys.stderr)
    return 0


def _from_microphone(arguments: argparse.Namespace) -> int:
    given = [f"--{name}" for name in ("out", "video") if getattr(arguments, name) is not None]
    if given or arguments.speed != "real":
        raise ConfigError(f"{' and '.join(given) or '--speed max'} needs --in", fix="give --in INPUT.wav")
    from vita.duplex.devices import Devices
    from vita.duplex.files import EventLog

    options = _options(arguments, echo=not arguments.headphones)
    device = arguments.sound_device
    terminal = Terminal(has_meter=sys.stdout.isatty())

    async def talk() -> None:
        devices = Devices(options.sample_rate_hz, int(device) if device and device.isdigit() else device)
        log = EventLog(arguments.events, also=terminal.show) if arguments.events else None

        async def listen(session: Session, clock: Clock) -> None:
            print("speak; Ctrl-C ends the conversation", file=sys.stderr)
            devices.forget()  # while the model was loaded
            while True:
                samples = await devices.read()
                terminal.meter(samples)
                session.feed(samples)

        try:
            from vita.api import load

            engine = load(arguments.model, **loading_options(arguments)).engine
            await _converse(engine, _voice(arguments), devices, log or terminal.show, options, listen)
        finally:
            devices.close()
            if log is not None:
                log.close()

    with suppress(KeyboardInterrupt):
        asyncio.run(talk())
    return 0


def _voice(arguments: argparse.Namespace) -> Voice:
    from vita.speech.voices import voice_of

    voice = voice_of(arguments.voice, api_key=os.environ.get("VITA_VOICE_API_KEY"))
    voice.speak("a 1 一")  # its processes start now, not with the first answer
    return voice


def _options(arguments: argparse.Namespace, *, echo: bool) -> LiveOptions:
    from vita.duplex.options import LiveOptions
    from vita.duplex.state import Policy
    from vita.duplex.turns import FixedSilence, Semantic
    from vita.engine.protocol import Sampling

    strategy = Semantic if arguments.stop == "semantic" else FixedSilence
    return LiveOptions(
        system=arguments.system,
        stop=strategy(silence_ms=arguments.silence_ms),
        policy=Policy(early_threshold=arguments.early),
        sampling=Sampling(max_new_tokens=arguments.max_new_tokens),
        echo=echo,
    )


def _recording(arguments: argparse.Namespace) -> Recording:
    from vita.duplex.files import Recording
    from vita.media import load_audio, load_video

    samples = load_audio(arguments.input)
    if arguments.video is None:
        return Recording(samples=samples)
    most = max(4, len(samples) // 16_000)
    clip = load_video(arguments.video, max_frames=most, frames_per_second=_FRAMES_PER_SECOND)
    return Recording(samples=samples, clip=clip)


async def _converse(
    engine: Engine,
    voice: Voice,
    sink: Sink,
    on_event: Callable[[dict[str, Any]], None],
    options: LiveOptions,
    listen: Callable[[Session, Clock], Awaitable[T]],
    *,
    is_virtual: bool = False,
) -> T:
    """A session, for as long as `listen` feeds it; what that returns."""
    from vita.clock import RealClock, VirtualClock
    from vita.duplex.session import Session
    from vita.duplex.voice_activity import SileroVoiceActivity

    activity = SileroVoiceActivity()
    clock: Clock = VirtualClock() if is_virtual else RealClock()
    try:
        async with Session(
            engine, voice, activity, clock=clock, sink=sink, on_event=on_event, options=options
        ) as session:
            return await listen(session, clock)
    finally:
        clock.close()

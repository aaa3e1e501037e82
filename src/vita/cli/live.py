"""`vita live`: a live conversation; a recording is the microphone, the answers become a file on the same clock.

Path: here -> vita.media, vita.api -> duplex.files -> duplex.session -> engine, speech -> files.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING, Any

from vita.cli.model_options import add_model_options, add_placement_options, loading_options
from vita.errors import ConfigError

if TYPE_CHECKING:
    from vita.clock import Clock
    from vita.duplex.files import EventLog, Recording, Timeline
    from vita.duplex.options import LiveOptions
    from vita.engine.protocol import Engine

SUMMARY = "listen all the time, answer only questions, be interrupted"
USAGE = "--in INPUT.wav --out OUTPUT.wav --events EVENTS.jsonl [options]"
_FRAMES_PER_SECOND = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    files = parser.add_argument_group("files")
    files.add_argument("--in", dest="input", metavar="INPUT.wav", required=True, help="what the microphone hears")
    files.add_argument("--video", metavar="CLIP.mp4", help="what the camera sees, from the same moment on")
    files.add_argument("--out", metavar="OUTPUT.wav", required=True, help="what the assistant says, on the same clock")
    files.add_argument("--events", metavar="EVENTS.jsonl", required=True, help="what happened, one JSON object a line")
    files.add_argument(
        "--speed",
        choices=("real", "max"),
        default="real",
        help="real: the input at its own pace, computing takes the time that it takes (default); "
        "max: on virtual time, on which computing takes none",
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
    if arguments.silence_ms < 200:
        raise ConfigError("--silence-ms is too short", got=arguments.silence_ms, expected="200 or more")
    from vita.api import load
    from vita.duplex.files import EventLog, Timeline

    options = _options(arguments)
    recording = _recording(arguments)
    engine = load(arguments.model, **loading_options(arguments)).engine
    timeline, log = Timeline(options.sample_rate_hz), EventLog(arguments.events, also=_show)
    try:
        converse = _converse(engine, recording, timeline, log, options, is_virtual=arguments.speed == "max")
        if arguments.speed == "max":
            from vita.clock import run_virtual

            seconds = run_virtual(converse)
        else:
            seconds = asyncio.run(converse)
    finally:
        log.close()
    length_s = timeline.save(arguments.out, seconds)
    print(f"heard {recording.seconds:.1f} s; spoken: {arguments.out}, {length_s:.1f} s", file=sys.stderr)
    return 0


def _options(arguments: argparse.Namespace) -> LiveOptions:
    from vita.duplex.machine import Policy
    from vita.duplex.options import LiveOptions
    from vita.duplex.turns import FixedSilence, Semantic
    from vita.engine.protocol import Sampling

    strategy = Semantic if arguments.stop == "semantic" else FixedSilence
    return LiveOptions(
        system=arguments.system,
        stop=strategy(silence_ms=arguments.silence_ms),
        policy=Policy(early_threshold=arguments.early),
        sampling=Sampling(max_new_tokens=arguments.max_new_tokens),
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
    engine: Engine, recording: Recording, timeline: Timeline, log: EventLog, options: LiveOptions, *, is_virtual: bool
) -> float:
    from vita.clock import RealClock, VirtualClock
    from vita.duplex.files import play_in
    from vita.duplex.session import Session
    from vita.duplex.voice_activity import SileroVoiceActivity
    from vita.speech.voices import get_voice

    activity, voice = SileroVoiceActivity(), get_voice()
    voice.speak("a 一")  # its processes start now, not with the first answer
    clock: Clock = VirtualClock() if is_virtual else RealClock()
    try:
        session = Session(engine, voice, activity, clock=clock, sink=timeline, on_event=log, options=options)
        async with session:
            return await play_in(session, clock, recording)
    finally:
        clock.close()


def _show(event: dict[str, Any]) -> None:
    """The lines that a reader of the terminal wants."""
    name = event["event"]
    if name == "state":
        line = event["state"] + (f" ({event['reason']})" if "reason" in event else "")
    elif name == "reply_end":
        line = f"answer: {event['text']}"
    elif name == "interrupted":
        line = f"interrupted; heard: {event['heard']}"
    elif name in ("error", "forgotten"):
        line = f"{name}: {event.get('error') or event.get('question')}"
    else:
        return
    print(f"{event['t']:8.2f} s  turn {event['turn']}  {line}", flush=True)

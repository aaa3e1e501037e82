"""A voice of one's own: the embedded one, made a robot's. Speaks a sentence, then answers in a live conversation.

    python examples/custom_voice.py --out out

A package makes such a voice known by name (`vita live --voice robot`, requests to the server) with an entry point:

    [project.entry-points."vita.voices"]
    robot = "my_package:Robot"
"""

import argparse
from pathlib import Path

import numpy as np

from vita.api import load
from vita.clock import VirtualClock, run_virtual
from vita.duplex.files import Recording, Timeline, play_in
from vita.duplex.options import LiveOptions
from vita.duplex.session import Session
from vita.duplex.voice_activity import SileroVoiceActivity
from vita.media import load_audio
from vita.speech import write_wav
from vita.speech.voices import EspeakOptions, EspeakVoice, Voice

EXAMPLES = Path(__file__).parent


class Robot:
    """The embedded voice, flat and rung with a tone; everything a voice needs is `speak` and `close`.

    Args:
        ring_hz: the tone.
    """

    def __init__(self, ring_hz: float = 55.0) -> None:
        self.ring_hz = ring_hz
        self._plain = EspeakVoice(EspeakOptions(pitch=30, range=0))

    def speak(self, text: str, lang: str | None = None) -> tuple[np.ndarray, int]:
        """Float32 samples [num_samples] in [-1, 1] and their rate in Hz."""
        samples, rate_hz = self._plain.speak(text, lang)
        ring = np.sin(2 * np.pi * self.ring_hz * np.arange(len(samples)) / rate_hz)
        return (samples * (0.6 + 0.4 * ring)).astype(np.float32), rate_hz

    def close(self) -> None:
        """Ends what speaks."""
        self._plain.close()


async def converse(voice: Voice, path: Path) -> Timeline:
    """The conversation that a recording begins, on virtual time; what was said."""
    options, clock = LiveOptions(), VirtualClock()
    heard = Timeline(options.sample_rate_hz)
    engine, activity = load("pocket").engine, SileroVoiceActivity()
    async with Session(engine, voice, activity, clock=clock, sink=heard, on_event=print, options=options) as session:
        await play_in(session, clock, Recording(samples=load_audio(path)))
    return heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out"))
    out = parser.parse_args().out
    robot = Robot()
    write_wav(out / "robot.wav", *robot.speak("I am a robot. 我是机器人。"))
    run_virtual(converse(robot, EXAMPLES / "capital_en.wav")).save(out / "robot_live.wav", 0.0)
    robot.close()
    print(f"written: {out}/robot.wav, {out}/robot_live.wav")


if __name__ == "__main__":
    main()

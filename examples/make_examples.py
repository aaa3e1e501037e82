"""Makes the media of the examples: pictures, a clip, spoken questions, side talk, a hum. Run by `make examples`.

Everything is drawn and spoken by the package itself, from fixed seeds; the results are committed.
"""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from vita.speech import write_wav
from vita.synth.render import render
from vita.synth.scenes import Scene, Thing
from vita.synth.sounds import SAMPLE_RATE_HZ, mix, sound
from vita.synth.voices import Speaker, say

FOLDER = Path(__file__).parent
SIZE = (320, 240)
FRAMES_PER_SECOND = 12
STYLE = 6
SPEECH = {
    "capital_en": ("en-us+m3", "what is the capital of france"),
    "animal_zh": ("cmn+f2", "世界上最大的动物是什么"),
    "colour_en": ("en-us+f3", "what color is the circle"),
    "direction_zh": ("cmn+m1", "它往哪边移动"),
    "side_talk_en": ("en-us+f1", "mum, dinner is ready"),
    "side_talk_zh": ("cmn+m3", "喂，我在开车呢"),
}
CONVERSATION_S = 21.0
CONVERSATION = (
    (1.0, "en-us+m7", "How many legs does a spider have?"),
    (6.5, "en-gb+Alicia", "I told him that the train was late again yesterday."),
    (12.0, "en-us+m7", "Tell me a story."),
    (16.5, "en-us+m7", "What is the capital of France?"),
)
"""When somebody begins to speak (seconds), the voice, and the words: a question, side talk, a story talked over."""
SHAPES = (
    Thing(shape="circle", colour="red", x=0.2, y=0.22, size=0.3),
    Thing(shape="square", colour="green", x=0.2, y=0.8, size=0.3),
    Thing(shape="star", colour="blue", x=0.8, y=0.5, size=0.3),
)
PICTURES = {
    "shapes.png": Scene(kind="shapes", things=SHAPES),
    "sum.png": Scene(kind="sum", text="3+4"),
    "chart.png": Scene(kind="chart", boxes=("a", "b", "c")),
}


def picture(scene: Scene) -> Image.Image:
    """One picture, always in the same style."""
    return render(scene, random.Random(0), SIZE, style_seed=STYLE)


def write_clip(path: Path) -> None:
    """A yellow circle moves to the right for three seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        num_frames = 3 * FRAMES_PER_SECOND
        for index in range(num_frames):
            x = 0.2 + 0.6 * index / (num_frames - 1)
            circle = Thing(shape="circle", colour="yellow", x=x, y=0.5, size=0.3)
            frame = av.VideoFrame.from_image(picture(Scene(kind="shapes", things=(circle,))))
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_sounds() -> None:
    """The spoken lines, one of them beside a road as well, and a hum."""
    rng = np.random.default_rng(STYLE)
    for name, (voice, text) in SPEECH.items():
        speech = say(text, Speaker(engine="espeak", voice=voice, rate_wpm=165))
        write_wav(FOLDER / f"{name}.wav", speech, SAMPLE_RATE_HZ)
        if name == "capital_en":
            road = sound("traffic", len(speech) / SAMPLE_RATE_HZ, rng)
            write_wav(FOLDER / f"{name}_traffic.wav", mix(speech, road, snr_db=10), SAMPLE_RATE_HZ)
    write_wav(FOLDER / "hum.wav", sound("hum", 2.0, rng), SAMPLE_RATE_HZ)


def write_conversation() -> None:
    """What a microphone hears in a live conversation."""
    room = np.random.default_rng(0).normal(0, 0.0005, int(CONVERSATION_S * SAMPLE_RATE_HZ)).astype(np.float32)
    for start_s, voice, text in CONVERSATION:
        speech = say(text, Speaker(engine="espeak", voice=voice, rate_wpm=165))
        start = int(start_s * SAMPLE_RATE_HZ)
        room[start : start + len(speech)] += 0.5 * speech / np.abs(speech).max()
    write_wav(FOLDER / "conversation.wav", room, SAMPLE_RATE_HZ)


def main() -> None:
    """Write all files beside this one."""
    for name, scene in PICTURES.items():
        picture(scene).save(FOLDER / name, optimize=True)
    write_clip(FOLDER / "moving.mp4")
    write_sounds()
    write_conversation()


if __name__ == "__main__":
    main()

"""Makes the media of the examples: two pictures, a clip, four sounds. Run by `make examples`; the results are committed.

Everything is drawn and spoken by the package itself, from fixed seeds.
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
from vita.synth.sounds import SAMPLE_RATE_HZ, sound
from vita.synth.voices import Speaker, say

FOLDER = Path(__file__).parent
SIZE = (320, 240)
FRAMES_PER_SECOND = 12
SPEECH = {
    "ask_animal.wav": ("en-us+m3", "Which animal is the biggest in the world?"),
    "ask_animal_zh.wav": ("cmn+f2", "世界上最大的动物是什么？"),
    "ask_circle.wav": ("en-us+f3", "What color is the circle?"),
    "side_talk.wav": ("en-us+f1", "Mum, dinner is ready, are you coming?"),
}
SHAPES = (
    Thing(shape="circle", colour="blue", x=0.25, y=0.3, size=0.34),
    Thing(shape="square", colour="red", x=0.72, y=0.66, size=0.32),
    Thing(shape="triangle", colour="green", x=0.76, y=0.22, size=0.24),
)


def picture(scene: Scene, seed: int) -> Image.Image:
    """One picture, without the noise of a poor camera."""
    return render(scene, random.Random(seed), SIZE, style_seed=seed)


def write_clip(path: Path) -> None:
    """A yellow star moves to the right for three seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.bit_rate = 300_000
        num_frames = 3 * FRAMES_PER_SECOND
        for index in range(num_frames):
            x = 0.2 + 0.6 * index / (num_frames - 1)
            star = Thing(shape="star", colour="yellow", x=x, y=0.5, size=0.3)
            frame = av.VideoFrame.from_image(picture(Scene(kind="shapes", things=(star,)), 2))
            frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_SECOND)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Write all files beside this one."""
    picture(Scene(kind="shapes", things=SHAPES), 4).save(FOLDER / "shapes.png", optimize=True)
    picture(Scene(kind="sum", text="3+4"), 5).save(FOLDER / "sum.png", optimize=True)
    write_clip(FOLDER / "star.mp4")
    for name, (voice, text) in SPEECH.items():
        speech = say(text, Speaker(engine="espeak", voice=voice, rate_wpm=165))
        quiet = np.zeros(int(0.2 * SAMPLE_RATE_HZ), np.float32)
        write_wav(FOLDER / name, np.concatenate([quiet, 0.8 * speech, quiet]), SAMPLE_RATE_HZ)
    write_wav(FOLDER / "hum.wav", 0.5 * sound("hum", 2.0, np.random.default_rng(6)), SAMPLE_RATE_HZ)


if __name__ == "__main__":
    main()

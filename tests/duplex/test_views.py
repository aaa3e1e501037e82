"""What the camera sees: the last seconds are the video of a turn; still pictures, at any time; noise returns them."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from tests.duplex.stage import FIXED, QUESTION, SIDE_TALK, Step, perform
from vita.chat.messages import Image, Text, Video
from vita.duplex.views import Views

ASKED = (10.0, 11.0, QUESTION)


def frame(number: int) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (8, 8), (number, 0, 0))


def camera(every_s: float, seconds: float) -> tuple[Step, ...]:
    """Frames numbered from 0."""
    times = np.arange(round(seconds / every_s)) * every_s
    return tuple((float(at_s), lambda session, n=n: session.look(frame(n))) for n, at_s in enumerate(times))


def reds(video: Video) -> list[int]:
    return [picture.getpixel((0, 0))[0] for picture in video.clip.frames]  # type: ignore[index]


@pytest.mark.parametrize(("every_s", "numbers"), [(1.0, range(3, 11)), (0.5, range(5, 21))])
def test_the_last_seconds_of_the_camera_are_the_video_of_a_turn(every_s: float, numbers: range) -> None:
    show = perform(14, ASKED, steps=camera(every_s, 14))
    video, sound = show.session.history[0].parts
    assert isinstance(video, Video)
    assert reds(video) == list(numbers)
    assert len(sound.samples) > 16_000  # type: ignore[union-attr]


def test_a_still_picture_comes_before_the_video_and_is_shown_once() -> None:
    steps = (*camera(1.0, 24), (9.0, lambda session: session.show(frame(200))))
    show = perform(40, ASKED, (24.0, 25.0, QUESTION), steps=steps)
    first, second = (message.parts[0] for message in show.session.history if message.role == "user")
    assert isinstance(first, Image)
    assert isinstance(second, Video)


def test_side_talk_gives_its_picture_back() -> None:
    show = perform(16, (4.0, 5.0, SIDE_TALK), ASKED, steps=((3.0, lambda session: session.show(frame(7))),))
    picture, _ = show.session.history[0].parts
    assert isinstance(picture, Image)
    assert picture.image.getpixel((0, 0)) == (7, 0, 0)  # type: ignore[union-attr]


def test_a_picture_that_comes_while_somebody_speaks_or_listens_is_for_the_next_question() -> None:
    steps = ((10.5, lambda session: session.show(frame(1))), (15.0, lambda session: session.type("What is it?")))
    show = perform(30, ASKED, steps=steps)
    spoken, typed = (message.parts for message in show.session.history if message.role == "user")
    assert [type(part).__name__ for part in spoken] == ["Audio"]
    assert isinstance(typed[0], Image)
    assert typed[1] == Text("What is it?")
    assert FIXED.max_frames == 16


def test_a_camera_that_has_just_begun_gives_four_frames_and_an_old_one_none() -> None:
    views = Views(8.0, 16)
    views.add_frame(1.0, frame(1))
    views.add_frame(1.5, frame(2))
    (video,) = views.take(2.0)
    assert isinstance(video, Video)
    assert reds(video) == [1, 1, 2, 2]
    assert views.take(9.6) == ()

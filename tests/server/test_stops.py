"""Stop sequences: a text in pieces is cut where the whole text would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vita.server.stops import StopCutter

LETTERS = st.text("ab ", max_size=12)


def streamed(pieces: list[str], stops: list[str]) -> str:
    cutter = StopCutter(stops)
    text = "".join(cutter.push(piece) for piece in pieces)
    return text if cutter.hit else text + cutter.finish()


@given(st.lists(LETTERS, max_size=6), st.lists(LETTERS, max_size=3))
def test_pieces_or_whole(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    found = [whole.find(stop) for stop in stops if stop and stop in whole]
    assert streamed(pieces, stops) == whole[: min(found, default=len(whole))]


def test_only_what_is_doubtful_is_held_back() -> None:
    cutter = StopCutter(["abd!", "zz"])
    assert [cutter.push(piece) for piece in ("x", "ya", "b", "c", "ab", "d")] == ["x", "y", "", "abc", "", ""]
    assert cutter.finish() == "abd"


def test_nothing_comes_after_a_stop() -> None:
    cutter = StopCutter(["."])
    assert (cutter.push("one. two"), cutter.hit, cutter.push("three."), cutter.finish()) == ("one", True, "", "")

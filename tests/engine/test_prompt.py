"""Which beginning two prompts share: the rule on which all reuse of the cache rests."""

from __future__ import annotations

import PIL.Image
import pytest

from vita.chat.messages import Image
from vita.engine.prompt import Prompt, Span

RED, BLUE = (Image(PIL.Image.new("RGB", (9, 9), colour)) for colour in ("red", "blue"))


def prompt(ids: list[int], *spans: tuple[int, int, Image]) -> Prompt:
    return Prompt(ids, [Span(*span) for span in spans])


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        (prompt([1, 2, 3]), prompt([1, 2, 4]), 2),
        (prompt([1, 2]), prompt([1, 2, 3]), 2),
        (prompt([]), prompt([1]), 0),
        (prompt([1, 9, 9, 2], (1, 3, RED)), prompt([1, 9, 9, 2], (1, 3, RED)), 4),
        (prompt([1, 9, 9, 2], (1, 3, RED)), prompt([1, 9, 9, 2], (1, 3, BLUE)), 1),
        (prompt([1, 9, 9, 2], (1, 3, RED)), prompt([1, 9, 9, 9, 2], (1, 4, RED)), 1),
        (prompt([1, 9, 9, 2], (1, 3, RED)), prompt([1, 9, 3], (1, 2, RED)), 1),
        (prompt([1, 9, 9, 9, 9], (1, 3, RED), (3, 5, BLUE)), prompt([1, 9, 9, 9, 9], (1, 3, RED), (3, 5, RED)), 3),
        (prompt([1, 9, 9, 9, 9], (1, 3, RED), (3, 5, BLUE)), prompt([1, 9, 9, 2], (1, 3, RED)), 3),
    ],
)
def test_shared_beginning(one: Prompt, other: Prompt, length: int) -> None:
    assert one.common_length(other) == length
    assert other.common_length(one) == length

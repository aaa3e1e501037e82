"""Every placeholder, sentinel and state token, defined once.

The state token is the first thing the model writes in a reply: it says whether the turn was a spoken question
(`<1>`), noise (`<2>`, stay silent) or a typed question (`<3>`). Spellings are configuration, not code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

IMAGE_PLACEHOLDER = "<image>"
VIDEO_PLACEHOLDER = "<video>"
AUDIO_PLACEHOLDER = "<audio>"

IMAGE_SENTINEL = -200
"""Id that stands for an image in the reference's id sequences, before expansion."""
AUDIO_SENTINEL = -500
"""Id that stands for an audio clip in the reference's id sequences, before expansion."""
IGNORE_LABEL = -100
"""Label of a position that is not learned."""


class State(str, Enum):
    """What the model judged the user's turn to be."""

    SPOKEN_QUERY = "spoken_query"
    NOISE = "noise"
    TYPED_QUERY = "typed_query"


@dataclass(frozen=True, kw_only=True)
class StateTokens:
    """The spelling of each state, as the model writes it.

    spoken_query: a spoken question to the model.
    noise: sound that is no question to the model.
    typed_query: a typed question.
    """

    spoken_query: str = "<1>"
    noise: str = "<2>"
    typed_query: str = "<3>"

    def spelling(self, state: State) -> str:
        """The text of `state`."""
        return getattr(self, state.value)

    def items(self) -> list[tuple[State, str]]:
        """All (state, spelling) pairs."""
        return [(state, self.spelling(state)) for state in State]


VITA_1_0_STATES = StateTokens()
VITA_1_5_STATES = StateTokens(spoken_query="☞", noise="☟", typed_query="☜")

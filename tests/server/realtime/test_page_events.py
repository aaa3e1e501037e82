"""Events of ours that the web page shows: the text of an answer before it is spoken, and which context answers."""

from __future__ import annotations

from tests.server.realtime.stage import QUESTION, Show, create, perform, text_item, update


def talk(*, events: bool) -> Show:
    """A typed question, then a spoken one that comes into its answer."""
    steps = [(0.0, update(vita={"events": events})), (0.5, text_item("hello")), (0.6, create())]
    return perform(12.0, (2.5, 4.5, QUESTION), steps=steps)


def test_the_text_of_an_answer_comes_before_it_is_spoken() -> None:
    show = talk(events=True)
    written = "".join(event["delta"] for event in show.all("vita.output_text.delta"))
    assert len(written) > len(show.transcript) > 0  # the first answer was cut
    assert show.time("vita.output_text.delta") <= show.time("response.output_audio_transcript.delta")


def test_an_interruption_swaps_the_roles() -> None:
    roles = [(event["generator"], event["monitor"]) for event in talk(events=True).all("vita.roles")]
    assert roles == [("a", "b"), ("b", "a")]


def test_whoever_did_not_ask_for_them_gets_none() -> None:
    assert not [kind for kind in talk(events=False).kinds() if kind.startswith("vita.")]

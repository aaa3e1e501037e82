"""Conversations whose connection was lost: kept for a minute, once, and not too many. What settings come to mean."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vita.clock import run_virtual
from vita.duplex.turns import FixedSilence
from vita.server.failures import ApiError
from vita.server.realtime.configuration import Configuration, live_options
from vita.server.realtime.items import Items
from vita.server.realtime.parking import Parked, Parking
from vita.server.settings import ServerSettings


def parked(name: str) -> Parked:
    return Parked(name, Configuration(model="pocket"), Items(), ())


def test_for_a_minute_and_once() -> None:
    async def main() -> None:
        parking = Parking(ServerSettings().resume_s, 2)
        for seconds in (59, 61):
            parking.keep(parked("sess_1"))
            await asyncio.sleep(seconds)
            if seconds < 60:
                assert parking.take("sess_1").id == "sess_1"
            with pytest.raises(ApiError, match="begin a new one"):
                parking.take("sess_1")

    run_virtual(main())


def test_the_oldest_of_too_many_is_forgotten() -> None:
    async def main() -> None:
        parking = Parking(60, 2)
        for name in ("sess_1", "sess_2", "sess_3"):
            parking.keep(parked(name))
        with pytest.raises(ApiError):
            parking.take("sess_1")
        assert [parking.take(name).id for name in ("sess_2", "sess_3")] == ["sess_2", "sess_3"]

    run_virtual(main())


def detected(turn_detection: object) -> Any:
    configuration = Configuration(model="pocket").updated({"audio": {"input": {"turn_detection": turn_detection}}})
    return live_options(configuration, ServerSettings()).stop


def test_eagerness() -> None:
    found = [detected({"type": "semantic_vad", "eagerness": name}) for name in ("low", "medium", "auto", "high")]
    low, medium, auto, high = found
    assert medium == auto
    assert [stop.threshold for stop in (low, medium, high)] == [0.97, 0.9, 0.8]
    assert [stop.silence_ms for stop in (low, medium, high)] == [2000.0, 500.0, 400.0]


def test_server_vad() -> None:
    vad = {"type": "server_vad", "threshold": 0.7, "prefix_padding_ms": 100, "silence_duration_ms": 900}
    assert detected(vad) == FixedSilence(silence_ms=900.0)
    configuration = Configuration(model="pocket").updated({"audio": {"input": {"turn_detection": vad}}})
    start = live_options(configuration, ServerSettings()).start
    assert (start.threshold, start.preroll_ms) == (0.7, 100.0)


def test_false_turns_detection_off_as_null_does() -> None:
    for off in (False, None):
        updated = Configuration(model="pocket").updated({"audio": {"input": {"turn_detection": off}}})
        assert updated.audio.input.turn_detection is None

"""Many conversations on one model: whose turn it is, and no sound that waits for a long reply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.conftest import make_model
from vita.chat.messages import Message
from vita.engine.local import LocalEngine
from vita.engine.protocol import Sampling
from vita.engine.turnstile import Turnstile


def until(is_true: Callable[[], bool]) -> None:
    """Wait for another thread, up to 10 s."""
    deadline_s = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline_s
        time.sleep(0.0005)


@contextmanager
def queue(turnstile: Turnstile) -> Iterator[Callable[[str, bool], None]]:
    """Whoever is added waits, in this order, until the block ends; their names go where `passed` says."""
    threads: list[threading.Thread] = []

    def add(name: str, is_urgent: bool) -> None:
        def pass_through() -> None:
            with turnstile.turn(is_urgent=is_urgent):
                passed.append(name)

        threads.append(threading.Thread(target=pass_through))
        before = turnstile.num_waiting
        threads[-1].start()
        until(lambda: turnstile.num_waiting == before + 1)

    with turnstile.turn():
        yield add
    for thread in threads:
        thread.join(10)


passed: list[str] = []


@pytest.fixture(autouse=True)
def nobody_passed() -> None:
    passed.clear()


def test_urgent_first_and_else_as_they_came() -> None:
    turnstile = Turnstile()
    with queue(turnstile) as add:
        for name, is_urgent in (("a", False), ("b", False), ("A", True), ("c", False), ("B", True)):
            add(name, is_urgent)
        assert passed == []
    assert passed == ["A", "B", "a", "b", "c"]
    with turnstile.turn():  # it is free again
        assert turnstile.num_waiting == 0


def test_urgent_passes_do_not_keep_the_others_out() -> None:
    turnstile = Turnstile(urgent_in_a_row=2)
    with queue(turnstile) as add:
        for name, is_urgent in (("a", False), ("b", False), *((name, True) for name in "ABCDE")):
            add(name, is_urgent)
    assert passed == ["A", "B", "a", "C", "D", "b", "E"]


def test_a_turn_within_a_turn_is_part_of_it() -> None:
    turnstile = Turnstile()
    with turnstile.turn(is_urgent=True):
        with turnstile.turn():
            passed.append("inner")
        assert turnstile._owner is not None
    with turnstile.turn():
        assert passed == ["inner"]


def test_a_pass_that_fails_lets_the_next_one_in() -> None:
    turnstile = Turnstile()
    with pytest.raises(KeyError), turnstile.turn():
        raise KeyError
    with turnstile.turn():
        passed.append("next")
    assert passed == ["next"]


def test_who_is_interrupted_while_waiting_does_not_stay_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting:
        """A lock whose second acquiring is interrupted."""

        def __init__(self) -> None:
            self._is_first = True

        def acquire(self) -> None:
            if not self._is_first:
                raise KeyboardInterrupt
            self._is_first = False

    turnstile = Turnstile()
    with turnstile.turn():
        turnstile._owner = 0  # another thread
        monkeypatch.setattr(threading, "Lock", Interrupting)
        with pytest.raises(KeyboardInterrupt), turnstile.turn():
            pass
    assert turnstile.num_waiting == 0
    with turnstile.turn():
        pass


def test_long_replies_delay_a_sound_by_one_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two replies are written, one of them in the middle of a token; a sound is next, whoever else waits."""
    engine = LocalEngine(*make_model(chunk_size=4))
    replies = [
        engine.open(messages=[Message.user(text)]).reply(Sampling(max_new_tokens=400, state="answer"))
        for text in ("count", "sing")
    ]
    listening = engine.open().listen()
    passes: list[str] = []
    in_a_token, may_go = threading.Event(), threading.Event()
    original = engine.model.forward

    def forward(**inputs: Any) -> Any:
        passes.append(threading.current_thread().name)
        if len(passes) == 1:
            in_a_token.set()
            may_go.wait(10)
        return original(**inputs)

    monkeypatch.setattr(engine.model, "forward", forward)
    work = {"first": replies[0].result, "second": replies[1].result}
    work["ear"] = lambda: listening.push(np.full(16_000, 0.1, np.float32))
    threads = {name: threading.Thread(target=function, name=name) for name, function in work.items()}
    threads["first"].start()
    assert in_a_token.wait(10)
    for number, name in enumerate(("second", "ear"), 1):
        threads[name].start()
        until(lambda number=number: engine.turnstile.num_waiting == number)
    may_go.set()
    threads["ear"].join(10)
    before = passes[: passes.index("ear")]
    assert before == ["first"], "encoding the sound and reading it are one turn"
    for reply, name in zip(replies, ("first", "second"), strict=True):
        reply.abort()
        threads[name].join(10)

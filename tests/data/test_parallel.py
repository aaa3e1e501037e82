"""Work in several processes: in order, and though one of them dies. Imports little: every process imports it again."""

from __future__ import annotations

import os

from vita.data.parallel import OrderedMap


def double_or_die(number: int) -> int:
    if number == 20:
        os._exit(3)
    return 2 * number


def crashed(number: int) -> int:
    return -number


def test_results_come_in_order_though_a_process_dies() -> None:
    results = list(OrderedMap(double_or_die, range(40), workers=2, on_crash=crashed))
    assert results == [2 * number if number != 20 else -20 for number in range(40)]


def test_one_worker_is_this_process() -> None:
    assert set(OrderedMap(lambda number: os.getpid(), range(3), workers=1, on_crash=crashed)) == {os.getpid()}

"""The simulation behind the capacity page: what a single user waits, what saturates, what is repeatable."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def capacity() -> Any:
    path = Path(__file__).parents[1] / "benchmarks" / "capacity.py"
    spec = importlib.util.spec_from_file_location("capacity", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["capacity"] = module
    spec.loader.exec_module(module)
    return module


def costs(capacity: Any, **changes: float) -> Any:
    return capacity.Costs(**{"base_ms": 10.0, "read_ms": 0.1, "write_ms": 0.5, "cache_bytes": 1000, **changes})


def test_a_single_user_waits_for_one_pass(capacity: Any) -> None:
    outcome = capacity.Simulation(costs(capacity), capacity.Habits(), 1).run(200)
    assert len(outcome.waits_ms) > 3
    assert outcome.waits_ms == pytest.approx([10 + 0.1 * 12] * len(outcome.waits_ms))
    assert outcome.slowest_reply == pytest.approx(1000 / 10.5, rel=0.02)
    assert 0 < outcome.busy < 0.2


def test_twice_the_cost_carries_about_half(capacity: Any) -> None:
    habits, limits = capacity.Habits(), {"wait_ms": 200.0, "seconds": 40.0}
    one = capacity.most_users(costs(capacity, base_ms=1.0, read_ms=1.0, write_ms=1.0), habits, **limits)
    two = capacity.most_users(costs(capacity, base_ms=2.0, read_ms=2.0, write_ms=2.0), habits, **limits)
    assert 1.6 < one / two < 2.4
    assert capacity.is_carried(costs(capacity, base_ms=1.0, read_ms=1.0, write_ms=1.0), habits, one, **limits)


def test_nobody_is_carried_by_an_engine_slower_than_the_wait(capacity: Any) -> None:
    slow = costs(capacity, base_ms=400.0)
    assert capacity.most_users(slow, capacity.Habits(), wait_ms=300.0, seconds=40.0) == 0


def test_the_same_seed_gives_the_same_outcome(capacity: Any) -> None:
    runs = [capacity.Simulation(costs(capacity), capacity.Habits(), 20, seed=3).run(20) for _ in range(2)]
    assert runs[0] == runs[1]


def test_a_line_through_points(capacity: Any) -> None:
    assert capacity.line([(1, 3.0), (2, 5.0), (4, 9.0)]) == pytest.approx((1.0, 2.0))
    assert capacity.line([(1, 3.0), (2, 2.0)])[1] == 0.0

"""Virtual time is exact and jumps; the real clock waits and computes in threads."""

from __future__ import annotations

import asyncio
import threading

import pytest

from vita.clock import RealClock, VirtualClock, run_virtual


def test_an_hour_passes_at_once_and_to_the_bit() -> None:
    async def main() -> list[tuple[str, float]]:
        clock, seen = VirtualClock(), []

        async def wait(name: str, *times_s: float) -> None:
            for time_s in times_s:
                await clock.sleep_until(time_s)
                seen.append((name, clock.now_s()))

        await asyncio.gather(wait("a", 0.1, 3600.3), wait("b", 0.2, 0.1, 7.7))
        return seen

    assert run_virtual(main()) == [("a", 0.1), ("b", 0.2), ("b", 0.2), ("b", 7.7), ("a", 3600.3)]


def test_work_costs_what_it_is_told_to_and_lanes_run_side_by_side() -> None:
    async def main() -> tuple[list[str], float]:
        clock = VirtualClock(cost_s=lambda kind: {"think": 0.5, "speak": 0.25}[kind])
        done = await asyncio.gather(clock.run("think", lambda: "thought"), clock.run("speak", lambda: "spoken"))
        return done, clock.now_s()

    assert run_virtual(main()) == (["thought", "spoken"], 0.5)


def test_waiting_for_ever_is_an_error_on_virtual_time() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="for ever"):
        run_virtual(main())


def test_the_real_clock_waits_and_computes_elsewhere() -> None:
    async def main() -> None:
        clock = RealClock()
        try:
            assert await clock.run("think", threading.current_thread) is not threading.main_thread()
            before_s = clock.now_s()
            await clock.sleep_until(before_s + 0.02)
            assert 0.02 <= clock.now_s() - before_s < 5
            await clock.sleep_until(0.0)
        finally:
            clock.close()

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vita-live")]

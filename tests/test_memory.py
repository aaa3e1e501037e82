"""What is freed goes back to the system (with glibc)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from vita import memory


def resident_kb() -> int:
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not sys.platform.startswith("linux") or memory._glibc() is None, reason="there is no glibc")
def test_freed_memory_is_given_back() -> None:
    blocks = [bytes(20_000) for _ in range(4000)]  # 80 MB in one of the heaps
    full_kb = resident_kb()
    del blocks[1:-1]  # the last one keeps the heap from shrinking by itself
    memory.give_back()
    assert full_kb - resident_kb() > 40_000


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    memory.bound_heaps()
    memory.give_back()


COUNT = """
import ctypes, threading
from vita.memory import bound_heaps

BOUND
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
done = threading.Barrier(5)

def take():
    libc.malloc(1000)
    done.wait()

for _ in range(4):
    threading.Thread(target=take).start()
done.wait()
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or memory._glibc() is None, reason="there is no glibc")
def test_threads_share_heaps() -> None:
    def heaps(bound: str) -> int:
        code = COUNT.replace("BOUND", bound)
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.count(
            "<heap nr="
        )

    assert heaps("bound_heaps()") == 1
    assert heaps("bound_heaps(2)") == 2
    assert heaps("") > 2

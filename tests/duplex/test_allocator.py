"""One arena: what threads take and give back does not pile up in arenas of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import ctypes, threading
from vita.duplex.allocator import use_one_arena

print(use_one_arena())
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


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_threads_share_one_arena() -> None:
    told = run(COUNT)
    if told.startswith("False"):
        pytest.skip("another C library")
    assert told.count("<heap nr=") == 1
    threads_of_their_own = COUNT.replace("print(use_one_arena())", "print(True)")
    told = subprocess.run(
        [sys.executable, "-c", threads_of_their_own], capture_output=True, text=True, check=True
    ).stdout
    assert told.count("<heap nr=") > 1

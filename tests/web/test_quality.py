"""Every state of the page, looked at by `benchmarks/page.py`: axe-core, console, requests, width, weight."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.conftest import CHROMIUM

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.browser


@pytest.mark.skipif(not (REPOSITORY / "web" / "node_modules").is_dir(), reason="npm --prefix web ci has not run")
@pytest.mark.parametrize("look", ["desktop-light", "phone-dark"])
def test_no_state_of_the_page_has_a_fault(look: str) -> None:
    pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium; on Debian and Ubuntu: apt-get install chromium")
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "page.py"), "--check", "--looks", look]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "CHROMIUM": CHROMIUM}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 pages looked at, 0 faults" in done.stdout

"""The committed page is what `make web` makes of `web/`, light, and made of packages from the public registry."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WEB = REPOSITORY / "web"
STATIC = REPOSITORY / "src" / "vita" / "server" / "static"
CODE = (".html", ".js", ".css", ".svg")


def files(folder: Path) -> dict[str, bytes]:
    """Path in the folder -> content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
@pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="npm --prefix web ci has not run")
def test_the_committed_page_is_up_to_date(tmp_path: Path) -> None:
    built = tmp_path / "page"
    environment = {**os.environ, "VITA_PAGE": str(built)}
    command = ["node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "error"]
    subprocess.run(command, cwd=WEB, env=environment, check=True, timeout=300)
    made, committed = files(built), files(STATIC)
    assert sorted(made) == sorted(committed), "run `make web`"
    assert [name for name in made if made[name] != committed[name]] == [], "run `make web`"


def test_all_of_the_code_is_light() -> None:
    sizes = {name: len(gzip.compress(data)) for name, data in files(STATIC).items() if name.endswith(CODE)}
    assert sum(sizes.values()) <= 200_000, sizes


def test_packages_come_from_the_public_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    addresses = [package["resolved"] for package in lock["packages"].values() if "resolved" in package]
    assert [address for address in addresses if not address.startswith("https://registry.npmjs.org/")] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_the_page_names_no_other_address_in_its_code() -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "http" not in text
    assert "<script>" not in text
    assert "style=" not in text

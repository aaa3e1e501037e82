"""What is installed besides the code: types, weights, the page; and that every extra says its licences."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SETTINGS = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def extras() -> dict[str, list[str]]:
    """The packages of each extra, by name."""
    block = SETTINGS.split("[project.optional-dependencies]")[1].split("\n[")[0]
    found = re.findall(r"^(\w+) = \[(.*?)\]$", block.replace("[python]", ""), re.DOTALL | re.MULTILINE)
    return {name: re.findall(r'"([\w-]+)', text) for name, text in found}


def test_types_weights_and_page_are_package_data() -> None:
    """The wheel holds every file of src/vita (hatch); `benchmarks/package.py` looks into a built one."""
    package = importlib.resources.files("vita")
    for name in ("py.typed", "checkpoints/pocket/model.safetensors", "server/static/index.html", "synth/world.json"):
        assert package.joinpath(name).is_file(), name
    assert 'packages = ["src/vita"]' in SETTINGS


def test_every_extra_says_its_licences() -> None:
    licences = (REPOSITORY / "docs" / "licences.md").read_text(encoding="utf-8").lower()
    assert set(extras()) >= {"train", "serve", "large", "vllm", "plot", "mic", "eval", "docs", "dev"}
    missing = {
        f"{extra}: {name}"
        for extra, names in extras().items()
        for name in names
        if name != "vita-omni" and name.lower() not in licences
    }
    assert missing == set()


def test_the_minimum_trains_and_serves_nothing() -> None:
    needed = SETTINGS.split("\ndependencies = [")[1].split("\n]")[0]
    heavy = ("accelerate", "peft", "fastapi", "uvicorn", "vllm", "matplotlib", "bitsandbytes", "lm-eval")
    assert [name for name in heavy if f'"{name}' in needed] == []

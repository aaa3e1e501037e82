"""What test_prompts.py and test_data_tools.py share: the reference's tokenizer and templates, from its own files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from vita.chat import SystemPrompts, Turn, VitaTemplate, load_tokenizer

load_tokenizer = cache(load_tokenizer)
SEPARATOR = "</s>\nuser:"


@cache
def load_json(path: Path) -> dict:
    """A file of the reference; a folder without it (the subset in tests/golden) skips the test."""
    if not path.is_file():
        pytest.skip(f"no {path.name} in {path.parent}")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def templates(prompts_file: Path) -> dict[str, VitaTemplate]:
    """Conversation mode -> template, its system prompts split off the reference's own prompts."""
    found: dict[str, dict[str | None, str]] = {}
    for case in load_json(prompts_file)["prompts"]:
        system = case["prompt"].removeprefix("system:").partition(SEPARATOR)[0]
        assert system not in ("", case["prompt"])
        found.setdefault(case["conv_mode"], {})[case["modality"]] = system
    return {mode: VitaTemplate(prompts=_system_prompts(texts)) for mode, texts in found.items()}


def _system_prompts(texts: dict[str | None, str]) -> SystemPrompts:
    if len(set(texts.values())) == 1:
        return SystemPrompts.single(next(iter(texts.values())))
    return SystemPrompts(neither=texts["lang"], image=texts["image"], video=texts["video"])


def turns_of(messages: list[str | None]) -> tuple[list[Turn], bool]:
    """Turns, and whether the last one is a reply left open (a null message)."""
    open_reply = messages[-1] is None
    kept = messages[:-1] if open_reply else messages
    return [Turn(("user", "assistant")[index % 2], text) for index, text in enumerate(kept)], open_reply


def count_differences(ours: list, theirs: list) -> int:
    """Positions at which two lists differ, and those that only one has."""
    return sum(a != b for a, b in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))

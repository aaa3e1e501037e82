"""System prompts of a released checkpoint: from a JSON file, or from a clone of the reference implementation.

A clone is only parsed, never imported or run. Used by `convert`.
"""

from __future__ import annotations

import ast
from pathlib import Path

from vita.chat.system_prompts import SystemPrompts
from vita.errors import CheckpointError


def read_prompts(path: Path, version: str) -> SystemPrompts:
    """The three system prompts from a JSON file (keys neither, image, video) or from a clone of the reference.

    Args:
        path: the file or the clone.
        version: the prompt format whose prompts are wanted, as the reference names it.
    """
    if path.is_file() and path.suffix == ".json":
        return SystemPrompts.from_json(path)
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted(path.rglob("conversation.py"))
    else:
        raise CheckpointError(f"no system prompts at {path}", expected="a JSON file or a clone of the reference")
    for file in files:
        if prompts := _prompts_in(file, version):
            return prompts
    raise CheckpointError(
        f"no system prompts of {version} found under {path}",
        got=f"{len(files)} files conversation.py",
        expected="a JSON file with neither, image and video, or a clone of the reference",
    )


def _prompts_in(file: Path, wanted: str) -> SystemPrompts | None:
    """The prompts of the call that has the wanted version and a list of three texts: image, video, neither."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        raise CheckpointError(f"{file} cannot be parsed: {error}") from error
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        version, system = given.get("version"), given.get("system")
        if not isinstance(version, ast.Constant) or version.value != wanted or system is None:
            continue
        texts = _literal(system)
        if isinstance(texts, (list, tuple)) and len(texts) == 3 and all(isinstance(text, str) for text in texts):
            return SystemPrompts(image=texts[0], video=texts[1], neither=texts[2])
    return None


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None

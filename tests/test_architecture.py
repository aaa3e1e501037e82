"""The shape of the package: one-way imports between rooms, modules that import cleanly, sizes."""

from __future__ import annotations

import ast
import importlib.util
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vita"
FOUNDATION = {"vita", "errors", "clock", "tokens", "memory"}
MAY_IMPORT: dict[str, set[str]] = {
    "vita": {"api"},  # lazily, for `vita.load`
    "errors": set(),
    "clock": set(),
    "tokens": set(),
    "memory": set(),
    "media": FOUNDATION,
    "chat": FOUNDATION | {"media"},
    "models": FOUNDATION | {"media", "chat"},
    "checkpoints": FOUNDATION | {"media", "chat", "models"},
    "speech": FOUNDATION,
    "engine": FOUNDATION | {"media", "chat", "models"},
    "duplex": FOUNDATION | {"media", "chat", "engine", "speech"},
    "synth": FOUNDATION | {"media", "chat", "models", "speech"},
    "data": FOUNDATION | {"media", "chat", "models", "synth"},
    "api": FOUNDATION | {"media", "chat", "models", "checkpoints", "engine"},
    "train": FOUNDATION | {"media", "chat", "models", "checkpoints", "data", "synth", "speech"},
    "evaluate": FOUNDATION
    | {"media", "chat", "models", "checkpoints", "engine", "api", "data", "synth", "speech", "duplex"},
    "vllm_plugin": FOUNDATION | {"media", "chat", "models"},
    "server": FOUNDATION | {"media", "chat", "engine", "speech", "duplex"},
    "cli": FOUNDATION
    | {"media", "chat", "api", "checkpoints", "data", "engine", "train", "evaluate", "speech", "duplex", "server"},
}
NO_TORCH = {"errors", "clock", "tokens", "memory", "media", "chat", "speech", "duplex", "server", "cli"}
NEEDS_VLLM = {
    f"vita.vllm_plugin.{name}" for name in ("defaults", "model", "processing", "rendering", "states", "video")
}
NEEDS_HARNESS = {f"vita.evaluate.harness.{name}" for name in ("language_model", "vision_model")}
LIGHT = {
    "vita", "vita.cli.main", "vita.clock", "vita.errors", "vita.memory", "vita.tokens", "vita.speech",
    "vita.speech.espeak_process",
}  # fmt: skip


def files() -> Iterator[tuple[Path, str, ast.Module]]:
    """Every source file, its room and its tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        room = "vita" if parts == ("__init__",) else parts[0]
        yield path, room, ast.parse(path.read_text(encoding="utf-8"))


def imported_rooms(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The rooms that a file imports anywhere, and the lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "vita":
                is_room = len(parts) > 1 and ((SOURCE / parts[1]).is_dir() or (SOURCE / f"{parts[1]}.py").is_file())
                yield (parts[1] if is_room else "vita"), node.lineno


def test_every_room_has_its_place() -> None:
    assert {room for _, room, _ in files()} <= set(MAY_IMPORT)


def test_the_order_of_rooms_has_no_cycle() -> None:
    left = {room: allowed - {room} for room, allowed in MAY_IMPORT.items() if room != "vita"}
    while left:
        free = [room for room, allowed in left.items() if not allowed & set(left)]
        assert free, f"rooms in a cycle: {sorted(left)}"
        for room in free:
            del left[room]


def test_rooms_import_one_way() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {imported}"
        for path, room, tree in files()
        for imported, line in imported_rooms(tree)
        if imported != room and imported not in MAY_IMPORT[room]
    ]
    assert wrong == []


def test_rooms_without_torch_never_name_it_at_import() -> None:
    """Deeper in a function or under TYPE_CHECKING it may be named."""
    wrong = []
    for path, room, tree in files():
        if room in NO_TORCH:
            for node in tree.body:
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                wrong += [f"{path.name}: {name}" for name in names if name.split(".")[0] in ("torch", "transformers")]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'transformers', 'numpy', 'PIL', 'av', 'yaml', 'espeakng_loader'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_every_module_imports_without_side_effects(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing printed, argv not looked at, no process left behind. vLLM itself is not so quiet."""
    code = (
        "import importlib, sys, threading\n"
        "sys.argv = ['vita', '--no-such-option']\n"
        "for name in sys.stdin.read().split(): importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    names = [module.name for module in pkgutil.walk_packages([str(SOURCE)], "vita.")]
    names = [name for name in names if name not in NEEDS_VLLM | NEEDS_HARNESS]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=" ".join(names), capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def functions() -> Iterator[tuple[str, int]]:
    """Every function and its length in lines, docstring not counted."""
    for path, _, tree in files():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node):
                    assert node.body[0].end_lineno is not None
                    length -= node.body[0].end_lineno - node.body[0].lineno + 1
                yield f"{path.relative_to(SOURCE)}:{node.name}", length


def test_no_file_over_500_lines_and_no_function_over_60() -> None:
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").split("\n")) for path, _, _ in files()
    }
    assert {name: length for name, length in lengths.items() if length > 500} == {}
    assert {name: length for name, length in functions() if length > 60} == {}


def test_every_module_says_what_it_holds() -> None:
    assert [str(path.relative_to(SOURCE)) for path, _, tree in files() if not ast.get_docstring(tree)] == []


def test_names_of_files_say_something() -> None:
    empty_words = {"utils", "misc", "common", "helpers"}
    assert [path for path, _, _ in files() if path.stem in empty_words or path.parent.name in empty_words] == []


def test_environment_and_argv_are_read_in_the_command_line_only() -> None:
    """`speech.espeak` hands the environment on to its process; it does not read it."""
    wrong = []
    for path, room, _ in files():
        text = path.read_text(encoding="utf-8")
        found = [name for name in ("sys.argv", "os.getenv", "os.environ.get", "os.environ[") if name in text]
        if found and room != "cli" and path.name != "espeak_process.py":
            wrong.append(f"{path.relative_to(SOURCE)}: {found}")
    assert wrong == []


def test_package_is_found_from_here() -> None:
    spec = importlib.util.find_spec("vita")
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).parent == SOURCE

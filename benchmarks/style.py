"""What the code is like: sizes, copies, annotations, imports, tests, dead code. `make style`.

    python benchmarks/style.py [--check] [--out docs/results/style.md]

With --check the exit code is 1 if a bar is missed. Lines are lines of files; a function's length is without its
docstring. Copied lines are those in windows of 8 lines (without blank lines, comments, imports) that occur elsewhere
too. Dead code is what vulture is sure of at 60 % that no source, test, example or benchmark uses, and what it takes for
dead because frameworks call it by name is listed in KNOWN.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SOURCE, TESTS = REPOSITORY / "src" / "vita", REPOSITORY / "tests"
WINDOW = 8
EDGES = ("cli/", "server/", "vllm_plugin/", "espeak_process.py", "clock.py", "api.py")
ASK = ("cli/main.py", "cli/ask.py", "api.py", "chat/messages.py", "engine/local.py", "engine/prefix.py",
       "engine/reply.py", "chat/state.py")  # fmt: skip
KNOWN = ("visit_", "do_GET", "do_POST", "model_config", "forward", "setup", "__getattr__")


@dataclass(frozen=True)
class Measure:
    """One line of the table; `is_met` is None for what has no bar."""

    question: str
    bar: str
    found: str
    is_met: bool | None = None


def trees() -> Iterator[tuple[Path, ast.Module]]:
    """Every source file and its tree."""
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def num_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def function_lengths() -> dict[str, int]:
    """Lines of every function, without its docstring."""
    found = {}
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or 0) - node.lineno + 1
                if ast.get_docstring(node):
                    length -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
                found[f"{path.relative_to(SOURCE)}:{node.name}"] = length
    return found


def annotated() -> tuple[int, int]:
    """Arguments that have a type, and all (self and cls left out)."""
    num, total = 0, 0
    for _, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
            named = [argument for argument in arguments if argument.arg not in ("self", "cls")]
            num += sum(argument.annotation is not None for argument in named)
            total += len(named)
    return num, total


def copied_lines() -> tuple[int, int, list[str]]:
    """Lines in copied windows, all lines that count, and the files with most of them."""
    windows: dict[tuple[str, ...], list[tuple[Path, int]]] = defaultdict(list)
    total = 0
    for path, _ in trees():
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [line for line in lines if line and not line.startswith(("#", "import ", "from "))]
        total += len(lines)
        for start in range(len(lines) - WINDOW + 1):
            window = tuple(lines[start : start + WINDOW])
            if sum(len(line) > 3 for line in window) > WINDOW // 2:
                windows[window].append((path, start))
    copied: dict[Path, set[int]] = defaultdict(set)
    for places in windows.values():
        if len(places) > 1:
            for path, start in places:
                copied[path].update(range(start, start + WINDOW))
    most = sorted(copied, key=lambda path: -len(copied[path]))[:4]
    return (
        sum(map(len, copied.values())),
        total,
        [f"{path.relative_to(SOURCE)} ({len(copied[path])})" for path in most],
    )


def broad_excepts() -> list[str]:
    """Handlers of Exception or of everything that do not end by raising."""
    found = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
                name = node.type.id if isinstance(node.type, ast.Name) else ""
                if node.type is None or name in ("Exception", "BaseException"):
                    found.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    return found


def cycles() -> list[str]:
    """Rooms that import each other, directly or around corners, imports for types left out."""
    imports: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees():
        room = path.relative_to(SOURCE).with_suffix("").parts[0]
        skipped = {id(child) for node in ast.walk(tree) if _is_for_types(node) for child in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and id(node) not in skipped and (node.module or "").startswith("vita."):
                imports[room].add((node.module or "").split(".")[1])
    return sorted(room for room in list(imports) if room in _reached(room, imports))


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _reached(room: str, imports: dict[str, set[str]]) -> set[str]:
    """All rooms that `room` imports, directly or through others."""
    reached: set[str] = set()
    waiting = list(imports[room] - {room})
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imports[name] - {name}
    return reached


def dead_code() -> list[str]:
    """What vulture finds unused in src, with everything that may use it beside it."""
    command = [sys.executable, "-m", "vulture", "src", "tests", "examples", "benchmarks", "--min-confidence", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    lines = [line.removeprefix("src/vita/") for line in done.stdout.splitlines() if line.startswith("src/vita/")]
    return [line for line in lines if not any(f"'{name}" in line for name in KNOWN)]


def measure() -> tuple[list[Measure], list[str]]:
    """The table, and what vulture finds."""
    sizes = {str(path.relative_to(SOURCE)): num_lines(path) for path, _ in trees()}
    lengths = function_lengths()
    longest, slowest = max(sizes, key=lambda name: sizes[name]), max(lengths, key=lambda name: lengths[name])
    num, total = annotated()
    copies, counted, most = copied_lines()
    ratio = sum(num_lines(path) for path in TESTS.rglob("*.py")) / sum(sizes.values())
    broad = broad_excepts()
    inside = [place for place in broad if not place.startswith(EDGES) and not any(edge in place for edge in EDGES)]
    around, dead = cycles(), dead_code()
    share = 100 * copies / counted
    over = [name for name, length in lengths.items() if length > 60]
    return [
        Measure("files, lines", "-", f"{len(sizes)}, {sum(sizes.values())}"),
        Measure("median file", "<= 150 lines", f"{statistics.median(sizes.values()):.0f}",
                statistics.median(sizes.values()) <= 150),
        Measure("longest file", "<= 500 lines", f"{sizes[longest]} ({longest})", sizes[longest] <= 500),
        Measure("median, longest function", "<= 60 lines",
                f"{statistics.median(lengths.values()):.0f}, {lengths[slowest]} ({slowest})", not over),
        Measure("functions over 60 lines", "0", str(len(over)), not over),
        Measure(f"copied lines (windows of {WINDOW})", "<= 2 %", f"{share:.1f} %: {', '.join(most)}", share <= 2),
        Measure("rooms in import cycles", "0", ", ".join(around) or "0", not around),
        Measure("arguments annotated", ">= 95 %", f"{100 * num / total:.1f} %", num >= 0.95 * total),
        Measure("test lines per source line", ">= 0.7", f"{ratio:.2f}", ratio >= 0.7),
        Measure("broad excepts that do not raise", "each at an edge",
                f"{len(broad)}, of them elsewhere: {', '.join(inside) or 'none'}",
                not inside),
        Measure("files to read to understand `vita ask`", "<= 8", f"{len(ASK)}: {', '.join(ASK)}", len(ASK) <= 8),
        Measure("unused code (vulture)", "-", str(len(dead))),
    ], dead  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit code 1 if a bar is missed")
    parser.add_argument("--out", type=Path, help="also write the table there, as Markdown")
    options = parser.parse_args()
    table, dead = measure()
    words = {True: "yes", False: "no", None: ""}
    rows = [f"| {row.question} | {row.bar} | {row.found} | {words[row.is_met]} |" for row in table]
    text = "\n".join(["| question | bar | found | met |", "|---|---|---|---|", *rows])
    print(text)
    print("\n".join(["", "unused, says vulture:", *dead]))
    if options.out:
        head = "# The code, measured\n\n`make style` (`benchmarks/style.py`) counts this.\n\n"
        options.out.write_text(head + text + "\n", encoding="utf-8")
    if options.check and any(row.is_met is False for row in table):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Mutation testing: small faults are put into a module, one at a time; each should fail a test.

    python benchmarks/mutation.py duplex [--sample N]
    python benchmarks/mutation.py labels

A mutant is one change: a comparison or `and` turned round, a condition negated, a number, truth or text changed, an
element of a tuple or a keyword of `replace` left out. Its tests run in a fork of this process, in which the module's
code has been replaced; all else has been imported before, by a run without a mutant. Printed are those that no test
noticed, and the score.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import os
import random
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TIME_LIMIT_S = 60
SWAPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What is mutated: a module, of it only `functions` if any are named; and the tests that should notice."""

    module: str
    tests: tuple[str, ...]
    functions: tuple[str, ...] = ()


TARGETS = {
    "duplex": Target("vita.duplex.machine", ("tests/duplex/test_machine_log.py", "tests/duplex/test_machine.py")),
    "labels": Target(
        "vita.data.sample",
        ("tests/data/test_samples.py",),
        ("text_sample", "reply_turns", "_state", "_without_end", "_labels", "_in_order", "_check_turns"),
    ),
}


@dataclass(frozen=True)
class Mutant:
    """The changed tree, the line, and what was changed."""

    tree: ast.Module
    line: int
    change: str


def mutants(source: str, functions: tuple[str, ...] = ()) -> Iterator[Mutant]:
    """All mutants of a module's source; docstrings, annotations and messages of errors are left alone."""
    tree = ast.parse(source)
    inside = set(_inside(tree, functions))
    for number, node in enumerate(ast.walk(tree)):
        if id(node) not in inside:
            continue
        for changed in _changes(node):
            other = copy.deepcopy(tree)
            target = next(found for index, found in enumerate(ast.walk(other)) if index == number)
            target.__dict__.update(copy.deepcopy(changed).__dict__)
            target.__class__ = type(changed)
            after = ast.unparse(changed)
            yield Mutant(
                ast.fix_missing_locations(other), getattr(node, "lineno", 0), f"{ast.unparse(node)} -> {after}"
            )


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPPED:
        yield ast.Compare(node.left, [SWAPPED[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        yield from (value for value in node.values if len(node.values) > 1)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield ast.Constant(node.value + "?")
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) != 2:
        for index in range(len(node.elts)):
            yield ast.Tuple([*node.elts[:index], *node.elts[index + 1 :]], ast.Load())
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "replace":
        for index in range(len(node.keywords)):
            yield ast.Call(node.func, node.args, [*node.keywords[:index], *node.keywords[index + 1 :]])


def _inside(tree: ast.Module, functions: tuple[str, ...]) -> Iterator[int]:
    """The ids of nodes that are code of a function that is mutated, and not of what is raised or asserted."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and (not functions or function.name in functions):
            for statement in function.body[bool(ast.get_docstring(function)) :]:
                yield from _code(statement)


def _code(node: ast.AST) -> Iterator[int]:
    if not isinstance(node, (ast.Raise, ast.Assert)):
        yield id(node)
        for child in ast.iter_child_nodes(node):
            yield from _code(child)


def run_tests(target: Target) -> int:
    """Pytest's exit code, in this process."""
    import pytest

    tests = [str(REPOSITORY / name) for name in target.tests]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(REPOSITORY), *tests]))


def is_noticed(mutant: Mutant, target: Target) -> bool:
    """Whether a test fails (or takes too long) with the mutant."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT_S, TIME_LIMIT_S))
        signal.alarm(20 * TIME_LIMIT_S)
        module = importlib.import_module(target.module)
        exec(compile(mutant.tree, str(module.__file__), "exec"), module.__dict__)
        os._exit(run_tests(target))
    _, status = os.waitpid(child, 0)
    return status != 0


def forget_tests() -> None:
    """The next run imports the tests again: they hold functions of the module as it was."""
    tests = str(REPOSITORY / "tests")
    for name in [
        name for name, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(tests)
    ]:
        del sys.modules[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--sample", type=int, help="so many of the mutants, drawn with a fixed seed (default: all)")
    options = parser.parse_args()
    sys.path.insert(0, str(REPOSITORY))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    target = TARGETS[options.target]
    module = importlib.import_module(target.module)
    if run_tests(target):
        raise SystemExit("the tests fail without any mutant")
    forget_tests()
    assert module.__file__ is not None
    found = list(mutants(Path(module.__file__).read_text(encoding="utf-8"), target.functions))
    if options.sample is not None and options.sample < len(found):
        found = sorted(random.Random(0).sample(found, options.sample), key=lambda mutant: mutant.line)
    survivors = []
    for number, mutant in enumerate(found, start=1):
        if number % 20 == 0:
            print(f"{number} of {len(found)}", flush=True)
        if not is_noticed(mutant, target):
            survivors.append(mutant)
            print(f"{number} of {len(found)}: survived, line {mutant.line}: {mutant.change}", flush=True)
    killed = len(found) - len(survivors)
    print(f"{target.module}: {killed} of {len(found)} mutants noticed, {100 * killed / len(found):.0f} %")


if __name__ == "__main__":
    main()

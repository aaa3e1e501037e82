"""What the README claims, measured by one command: `make bench`. Each figure comes from another script of this folder.

    python benchmarks/bench.py [--only NAME ...] [--out docs/results/bench] [--check]

Settings are small: minutes on a quiet core; the scripts themselves measure at length. Written are bench.json, plots and
report.md. Every figure is compared with the last committed run (`git show HEAD:OUT/bench.json`): one that is worse by
more than 20 % is marked, and with --check the exit code is 1. Times are CPU times of one thread wherever a script has
them, so that other load on the machine matters little; memory is the largest resident set of a process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORSE = 0.2
Figures = dict[str, float]


@dataclass(frozen=True)
class Unit:
    """How figures with this ending of their name are shown; whether more is better."""

    text: str
    more_is_better: bool = False


UNITS = {"_ms": Unit("ms"), "_s": Unit("s"), "_mb": Unit("MB"), "_ratio": Unit("x"),
         "_rate": Unit("a CPU-second", True), "_share": Unit("", True)}  # fmt: skip


def script(name: str, *arguments: str) -> str:
    """What a script of this folder prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / name), *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} {' '.join(arguments)} failed")
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    """The groups of the first match, as numbers. Raises SystemExit if a script prints something else now."""
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"no {pattern!r} in what was printed:\n{text}")
    return [float(group) for group in match.groups()]


def length() -> Figures:
    """From the end of a question to the first token, by its length and by the turns before it."""
    found: Figures = {}
    for options in (("--seconds", "2", "8", "20"), ("--seconds", "2", "--turns", "4", "8", "16")):
        for line in script("listening.py", "--json", "--repeats", "3", *options).splitlines():
            row = json.loads(line)
            where = f"question_{row['seconds']:.0f}s" + (f"_after_{row['turns']}_turns" if row["turns"] else "")
            found |= {f"{where}_appended_ms": row["appended"], f"{where}_heard_ms": row["heard"]}
    return found


def live() -> Figures:
    """From the last sound of a question to the first of its answer, in live conversations on virtual time."""
    text = script("live.py", "latency", "--turns", "6")
    found = dict(zip(("live_p50_ms", "live_p95_ms"), _quantiles("Semantic, from the last sound", text), strict=True))
    text = script("live.py", "sessions", "--num", "4")
    names = ("live_4_sessions_p50_ms", "live_4_sessions_p95_ms")
    found |= zip(names, _quantiles("4 sessions, from the last sound", text), strict=True)
    (ratio,) = numbers(r"ratio ([\d.]+)", script("live.py", "memory"))
    return {**found, "two_roles_memory_ratio": ratio}


def _quantiles(name: str, text: str) -> list[float]:
    return numbers(re.escape(name) + r"\D*?p50 +([\d.]+)\D+?p95 +([\d.]+)", text)


def packing() -> Figures:
    """How full packed rows are, and padded ones."""
    ways = json.loads(script("packing.py", "--samples", "200", "--steps", "2", "--json"))["ways"]
    return {f"rows_full_{way.split(',')[0].replace(' ', '_')}_share": row["efficiency"] for way, row in ways.items()}


def loading() -> Figures:
    """Training samples from files to tensors."""
    found = json.loads(script("loading.py", "--repeats", "5", "--json"))
    return {f"samples_{tiles}_tiles_rate": 1000 / ms["sample"] for tiles, ms in found.items()}


def conversion() -> Figures:
    """`vita convert` of half a gigabyte."""
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "work")
        text = script("conversion.py", "--gb", "0.5", "--shard-gb", "0.125", "--folder", place)
    peak, _, cpu = numbers(r"convert +peak memory ([\d.]+) GB.*?; ([\d.]+) s, ([\d.]+) CPU s", text)
    return {"convert_half_gb_peak_mb": 1000 * peak, "convert_half_gb_s": cpu}


def start() -> Figures:
    """Starting: CPU time, the least of three; and memory of a question that loads the model."""
    calls = {
        "help_s": ["-m", "vita.cli.main", "--help"],
        "import_s": ["-c", "import vita"],
        "first_question_s": ["-m", "vita.cli.main", "ask", "How many legs does a spider have?"],
    }
    found: Figures = {}
    for name, arguments in calls.items():
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        found[name] = min(times)
    code = "import resource\nfrom vita.cli.main import main\nmain(['ask', 'How many legs does a spider have?'])\n"
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True)
    return {**found, "first_question_memory_mb": float(done.stdout.split()[-1])}


BENCHES: dict[str, Callable[[], Figures]] = {
    "start": start, "length": length, "live": live, "packing": packing, "loading": loading, "conversion": conversion,
}  # fmt: skip


def unit_of(name: str) -> Unit:
    return next(unit for ending, unit in UNITS.items() if name.endswith(ending))


def change(name: str, now: float, before: float | None) -> float | None:
    """By which share a figure has become worse (negative: better); None without an earlier one."""
    if not before:
        return None
    return (before - now) / before if unit_of(name).more_is_better else (now - before) / before


def committed(path: Path) -> Figures:
    """The figures of the last commit; none if there are none."""
    found = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, text=True, check=False
    )
    return json.loads(found.stdout)["figures"] if found.returncode == 0 else {}


def machine() -> str:
    """What measured: processor, cores, how busy it was."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8"))
        name = match.group(1) if match else name
    return f"{name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}"


def report(found: dict[str, Any], before: Figures) -> tuple[str, list[str]]:
    """The page, and the names of the figures that became worse."""
    worse, rows = [], []
    for name, value in found["figures"].items():
        by = change(name, value, before.get(name))
        if by is not None and by > WORSE:
            worse.append(name)
        told = "" if by is None else f"{100 * by:+.0f} %" + (" **worse**" if by > WORSE else "")
        title = name[: name.rindex("_")].replace("_", " ")
        rows.append(f"| {title} | {value:.4g} {unit_of(name).text} | {told} |")
    head = ["# Figures of `make bench`", "", f"`python benchmarks/bench.py`, on {found['machine']}.",
            "CPU time of one thread where it is a time; a change is against the last committed run (+: worse).", "",
            "| figure | value | change |", "|---|---|---|"]  # fmt: skip
    pictures = [f"\n![{title}]({name})" for name, title in found["plots"].items()]
    return "\n".join([*head, *rows, *pictures]) + "\n", worse


def draw(figures: Figures, out: Path) -> dict[str, str]:
    """Plots of what depends on a length; file -> what it shows. None without matplotlib, or where nothing was found."""
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    made = {}
    for name, pattern, label, title in (
        ("question.png", r"question_(\d+)s_{way}_ms", "seconds of question", "The wait by the length of the question"),
        ("conversation.png", r"question_2s_after_(\d+)_turns_{way}_ms", "turns before", "The wait by the turns before"),
    ):
        figure, axes = plt.subplots(figsize=(5, 3))
        for way, text in (("appended", "read when it has ended"), ("heard", "read while it is spoken")):
            found = [(re.fullmatch(pattern.replace("{way}", way), key), value) for key, value in figures.items()]
            points = sorted((int(match.group(1)), value) for match, value in found if match)
            axes.plot([x for x, _ in points], [y for _, y in points], marker="o", label=text)
        axes.set(xlabel=label, ylabel="CPU ms to the first token", ylim=(0, None), title=title)
        axes.legend()
        figure.tight_layout()
        if axes.lines[0].get_xdata().size:  # type: ignore[union-attr]
            figure.savefig(out / name, dpi=110)
            made[name] = title
        plt.close(figure)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "results" / "bench")
    parser.add_argument("--check", action="store_true", help="exit code 1 if something became worse by 20 %%")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "bench.json"
    before = committed(path)
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}
    for name in options.only:
        print(f"{name}: {(BENCHES[name].__doc__ or '').strip()}", flush=True)
        found = BENCHES[name]()
        figures |= found
        print("\n".join(f"  {key} {value:.4g}" for key, value in found.items()), flush=True)
        result = {"machine": machine(), "figures": figures, "plots": draw(figures, options.out)}
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text, worse = report(result, before)
    (options.out / "report.md").write_text(text, encoding="utf-8")
    print(f"written: {options.out}/report.md" + (f"; worse by more than 20 %: {', '.join(worse)}" if worse else ""))
    if options.check and worse:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""The wheel as a stranger gets it: built, installed into an empty environment, started; and what each extra adds.

    python benchmarks/package.py [--folder out/package] [--extras train serve ...] [--json FILE]

Needs the `build` package and a package index. Times are CPU seconds of one process, the least of five, so that other
load on the machine matters little. With `--folder` of an earlier run its environment is used again.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
MUST_HOLD = (
    "vita/py.typed", "vita/checkpoints/pocket/model.safetensors", "vita/checkpoints/pocket/tokenizer.json",
    "vita/server/static/index.html", "vita/server/static/licences.txt", "vita/synth/world.json",
)  # fmt: skip
STARTS = {
    "vita --version": ["-m", "vita.cli.main", "--version"],
    "vita --help": ["-m", "vita.cli.main", "--help"],
    "import vita": ["-c", "import vita"],
    "vita ask (typed question)": ["-m", "vita.cli.main", "ask", "How many legs does a spider have?"],
}


def build(folder: Path) -> dict[str, Any]:
    """Builds sdist and wheel; sizes in MB. Raises SystemExit for a wheel that lacks something."""
    shutil.rmtree(folder / "dist", ignore_errors=True)
    command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(REPOSITORY)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wheel, sdist = next((folder / "dist").glob("*.whl")), next((folder / "dist").glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        if missing := [name for name in MUST_HOLD if name not in names]:
            raise SystemExit(f"the wheel lacks {', '.join(missing)}")
    sizes = {"wheel_mb": wheel.stat().st_size / 1e6, "sdist_mb": sdist.stat().st_size / 1e6, "files": len(names)}
    return {name: round(value, 1) for name, value in sizes.items()}


def install(folder: Path) -> Path:
    """An environment with the wheel and what it needs, and nothing else; its Python."""
    python = folder / "environment" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "environment", with_pip=True)
    wheel = next((folder / "dist").glob("*.whl"))
    options = ["--quiet", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", *options, wheel], check=True)
    subprocess.run([python, "-m", "pip", "install", *options, "--no-deps", "--force-reinstall", wheel], check=True)
    return python


def cpu_s(command: list[Any], repeats: int = 5) -> float:
    """The least CPU time of one run of a command, in seconds."""
    times = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return round(min(times), 3)


def extras_of(wheel: Path) -> list[str]:
    """The extras that the wheel's own metadata names."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return [line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")]


def resolve(python: Path, wheel: Path, extra: str) -> dict[str, Any]:
    """What pip would install for an extra, beyond the minimum; nothing is installed."""
    report = wheel.parent / f"{extra}.json"
    command = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--report", report, f"{wheel}[{extra}]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    found = json.loads(report.read_text(encoding="utf-8"))["install"]
    names = sorted(item["metadata"]["name"] for item in found if item["metadata"]["name"] != "vita-omni")
    return {"further_packages": len(names), "names": names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("out/package"))
    parser.add_argument("--extras", nargs="*", help="(default: all)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()

    folder = options.folder.resolve()
    figures: dict[str, Any] = {"build": build(folder)}
    print(figures["build"], flush=True)
    python = install(folder)
    figures["cpu_s"] = {name: cpu_s([python, *arguments]) for name, arguments in STARTS.items()}
    print(figures["cpu_s"], flush=True)
    wheel = next((folder / "dist").glob("*.whl"))
    figures["extras"] = {}
    for extra in extras_of(wheel) if options.extras is None else options.extras:
        figures["extras"][extra] = resolve(python, wheel, extra)
        print(f"[{extra}]", figures["extras"][extra], flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if wrong := [extra for extra, found in figures["extras"].items() if "error" in found]:
        raise SystemExit(f"cannot be resolved: {', '.join(wrong)}")


if __name__ == "__main__":
    main()

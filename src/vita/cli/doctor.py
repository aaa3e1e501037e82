"""`vita doctor`: what is installed, what this machine has, and for each missing piece the command that mends it.

`--model` says instead how much memory a model needs, before anything of it is loaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from vita import __version__

SUMMARY = "check versions, devices and what each feature needs"
USAGE = "[options]"

_CORE = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "av", "soundfile", "soxr",
         "espeakng-loader", "wetext", "silero-vad", "pyyaml", "jinja2", "tqdm", "shtab")  # fmt: skip
_CLONE = Path(__file__).parents[3]
"""The clone, where this is one."""
_BROKEN_BESIDE_TORCH = ("torchvision", "torchaudio", "torchcodec")


@dataclass(frozen=True)
class Feature:
    """Something optional: its modules, and the extra that installs them."""

    name: str
    modules: tuple[str, ...]
    extra: str


FEATURES = (
    Feature("serving (vita serve)", ("fastapi", "uvicorn", "prometheus_client", "cryptography"), "serve"),
    Feature("a microphone (vita live)", ("sounddevice",), "mic"),
    Feature("large models (--quantize)", ("accelerate", "bitsandbytes"), "large"),
    Feature("development (make check)", ("pytest", "xdist", "hypothesis", "ruff", "pyright"), "dev"),
)


@dataclass(frozen=True)
class Finding:
    """One line of the report; `mend` is the command (or word) that mends it, for what is not well.

    needed: without it `vita ask` does not work.
    """

    topic: str
    text: str
    mend: str | None = None
    needed: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--model", metavar="NAME|DIR|HUB-ID", help="say how much memory this model needs; only config.json is read"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 2 if something is missing without which `vita ask` does not work."""
    if arguments.model is not None:
        from vita.cli.doctor_memory import show_memory

        show_memory(arguments.model)
        return 0
    findings = list(examine())
    for finding in findings:
        mark = "ok     " if finding.mend is None else "MISSING" if finding.needed else "-      "
        print(f"{mark} {finding.topic:<26}{finding.text}")
        if finding.mend is not None:
            print(f"{'':<34}-> {finding.mend}")
    broken = [finding.topic for finding in findings if finding.needed and finding.mend is not None]
    print(f"\n`vita ask` cannot work yet: {', '.join(broken)}" if broken else "\n`vita ask` can work here.")
    return 2 if broken else 0


def examine() -> Iterator[Finding]:
    """All findings, the needed ones first."""
    yield Finding("vita", f"{__version__}, Python {platform.python_version()} ({sys.executable})")
    yield Finding("machine", f"{platform.system()} {platform.machine()}, {_cores()} cores, {_memory()}")
    for package in _CORE:
        yield _package(package)
    yield from _unloadable()
    yield _device()
    yield _pocket()
    yield _voice()
    yield _recorded_voices()
    for feature in FEATURES:
        yield _feature(feature)


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", _pip(f"install {name}"), needed=True)


def _unloadable() -> Iterator[Finding]:
    """Packages that transformers imports when it finds them, and that break it when they do not fit this torch."""
    for name in _BROKEN_BESIDE_TORCH:
        if importlib.util.find_spec(name) is None:
            continue
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever goes wrong while it loads is what is to be reported
            text = f"does not load beside this torch: {str(error).splitlines()[0] if str(error) else error!r}"
            yield Finding(name, text, _pip(f"uninstall -y {name}"), needed=True)


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", "unknown: no torch", _pip("install 'torch>=2.6,<2.14'"), needed=True)
    import torch

    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        names = [f"{device.name} ({device.total_memory / 2**30:.0f} GiB)" for device in found]
        return Finding("device", "cuda: " + ", ".join(names))
    if torch.backends.mps.is_available():
        return Finding("device", "mps")
    if Path("/proc/driver/nvidia").exists() and torch.version.cuda is None:
        mend = _pip("install --force-reinstall 'torch>=2.6,<2.14' --index-url https://download.pytorch.org/whl/cu128")
        return Finding("device", "cpu; there is an NVIDIA driver, but this torch is a CPU build", mend)
    return Finding("device", f"cpu, {torch.get_num_threads()} threads (no GPU found; the pocket model needs none)")


def _pocket() -> Finding:
    spec = importlib.util.find_spec("vita.checkpoints")
    folder = Path(spec.origin).parent / "pocket" if spec and spec.origin else Path("pocket")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return Finding("pocket model", f"no weights in {folder}", _restore_pocket(), needed=True)
    return Finding("pocket model", f"{weights.stat().st_size / 2**20:.1f} MiB, embedded")


def _voice() -> Finding:
    from vita.errors import VitaError

    try:
        from vita.speech import speak

        samples, sample_rate_hz = speak("ok 好")
    except VitaError as error:
        return Finding("voice", str(error), _pip("install --force-reinstall espeakng-loader"))
    return Finding("voice", f"espeak-ng speaks English and Mandarin ({len(samples) / sample_rate_hz:.1f} s said)")


def _recorded_voices() -> Finding:
    from vita.speech import programs

    topic, engines = "more training voices", ("flite", "rhvoice", "pico")
    there = [engine for engine in engines if programs.installed(engine)]
    if len(there) == len(engines):
        return Finding(topic, ", ".join(there))
    missing = [engine for engine in engines if engine not in there]
    packages = " ".join(programs.PACKAGES[engine] for engine in missing)
    text = f"no {', '.join(missing)}; in training data espeak-ng speaks for them"
    return Finding(topic, text, f"apt-get install {packages}")


def _feature(feature: Feature) -> Finding:
    missing = [name for name in feature.modules if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding(feature.name, "installed")
    return Finding(feature.name, f"not installed: {', '.join(missing)}", _install(feature.extra))


def _pip(arguments: str) -> str:
    """A pip command for the very Python that runs this."""
    return f"{sys.executable} -m pip {arguments}"


def _install(extra: str) -> str:
    """The command that installs one of our extras, from the clone if this is one."""
    if (_CLONE / "pyproject.toml").is_file():
        return _pip(f"install -e '{_CLONE}[{extra}]'")
    return _pip(f"install 'vita-omni[{extra}]'")


def _restore_pocket() -> str:
    """The command that brings the embedded weights back."""
    if (_CLONE / ".git").exists():
        return f"git -C {_CLONE} checkout -- src/vita/checkpoints/pocket"
    return _pip("install --force-reinstall --no-deps vita-omni")


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _memory() -> str:
    total = total_memory()
    return "memory unknown" if total is None else f"{total / 2**30:.0f} GiB memory"


def total_memory() -> int | None:
    """Bytes of memory that the machine has; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None

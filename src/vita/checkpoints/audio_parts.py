"""The audio tower and connector of a checkpoint alone, for a process that leaves the rest to a vLLM server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from vita.checkpoints.loading import check_folder
from vita.checkpoints.sources import INDEX, SINGLE, read_json
from vita.errors import CheckpointError
from vita.models.audio_connector import AudioConnector
from vita.models.audio_tower import build_audio_tower
from vita.models.configuration_vita import VitaConfig


def load_audio_parts(folder: Path) -> tuple[Any, AudioConnector]:
    """Tower and connector in float32 on the CPU, in evaluation mode; strict. Only their files are opened."""
    check_folder(folder)
    config = VitaConfig.from_pretrained(folder)
    tower, connector = build_audio_tower(config.audio_config), AudioConnector(config.audio_config)
    _fill(tower, _tensors(folder, "audio_tower."), folder)
    _fill(connector, _tensors(folder, "audio_connector."), folder)
    return tower.eval(), connector.eval()


def _tensors(folder: Path, prefix: str) -> dict[str, Tensor]:
    names = [SINGLE]
    if not (folder / SINGLE).is_file():
        places = read_json(folder / INDEX)["weight_map"]
        names = sorted({file for name, file in places.items() if name.startswith(prefix)})
    found: dict[str, Tensor] = {}
    for name in names:
        with safe_open(folder / name, framework="pt") as file:
            found |= {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    return found


def _fill(module: nn.Module, tensors: dict[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"the audio tensors in {folder} do not fit its config.json", got=str(error).splitlines()[-1].strip()
        ) from error

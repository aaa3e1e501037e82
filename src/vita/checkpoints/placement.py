"""Where the weights of a large model go: over several devices, the memory and the disk, and in int8 or int4.

Accelerate places them and bitsandbytes makes them small, both through transformers' `from_pretrained`; the extra
`large` installs them. Used by `load`.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vita.errors import ConfigError, DependencyError
from vita.models.configuration_vita import VitaConfig

DEVICE_MAPS = ("auto", "balanced", "sequential")
QUANTIZATIONS = ("int8", "int4")
NOT_QUANTIZED = ("vision_tower", "vision_connector", "audio_tower", "audio_connector", "lm_head")
INSTALL = "pip install 'vita-omni[large]'"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How weights are placed.

    device_map: "auto", "balanced", "sequential" (accelerate decides), a JSON file or a dict: module names to devices,
        "cpu" or "disk".
    quantize: "int8", or "int4" (NF4), of the language model's matrices.
    offload_dir: where weights go that are on the disk and not in safetensors already.
    """

    device_map: str | dict[str, Any] | None = None
    quantize: str | None = None
    offload_dir: str | Path | None = None

    def __post_init__(self) -> None:
        if self.quantize is not None and self.quantize not in QUANTIZATIONS:
            raise ConfigError("unknown quantization", got=self.quantize, expected=" or ".join(QUANTIZATIONS))
        if self.offload_dir is not None and self.device_map is None:
            raise ConfigError("a folder for weights on the disk needs a device map", fix="--device-map auto")

    def __bool__(self) -> bool:
        """Whether accelerate places the weights."""
        return self.device_map is not None or self.quantize is not None

    def options(self, config: VitaConfig, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
        """What `from_pretrained` is told."""
        _need("accelerate", "placing weights on several devices")
        options: dict[str, Any] = {"device_map": {"": str(device)} if self.device_map is None else self._map()}
        if self.offload_dir is not None:
            options["offload_folder"] = str(self.offload_dir)
        if self.quantize is not None:
            options["quantization_config"] = _quantization(self.quantize, config, dtype)
        return options

    def _map(self) -> str | dict[str, Any]:
        if isinstance(self.device_map, dict) or self.device_map in DEVICE_MAPS:
            return self.device_map
        try:
            found = json.loads(Path(str(self.device_map)).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(
                "unknown device map", got=self.device_map, expected=", ".join((*DEVICE_MAPS, "a JSON file"))
            ) from error
        if not isinstance(found, dict):
            raise ConfigError(f"{self.device_map} is no JSON object of modules and devices")
        return found


def _quantization(kind: str, config: VitaConfig, dtype: torch.dtype) -> Any:
    text = config.text_config
    if getattr(text, "num_local_experts", 0) or getattr(text, "num_experts", 0):
        raise ConfigError(
            "the stacked experts of a mixture are not quantized by the library",
            got=text.model_type,
            fix="use bfloat16, with --device-map auto where it does not fit",
        )
    _need("bitsandbytes", f"{kind} weights")
    from transformers import BitsAndBytesConfig

    skipped = list(NOT_QUANTIZED)
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skipped,
    )


def _need(package: str, purpose: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise DependencyError(f"{purpose} needs {package}", fix=INSTALL)

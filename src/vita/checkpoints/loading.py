"""`load`: a model and its processor from the package, a folder or a hub, or one line that says why not.

Called by vita.api, the server and training. Loading is strict: every tensor of the model must be in the checkpoint,
nothing else may be in it, and it must be safetensors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers.utils import logging as hf_logging

from vita.checkpoints.reference_layout import RELEASES
from vita.checkpoints.sources import INDEX, SINGLE, read_json
from vita.checkpoints.table import describe_misfit
from vita.errors import CheckpointError, ConfigError, DependencyError
from vita.models import register
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

if TYPE_CHECKING:
    from vita.models.processing_vita import VitaProcessor

POCKET = "pocket"
POCKET_DIR = Path(__file__).parent / "pocket"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    name: str | Path, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto"
) -> tuple[VitaForConditionalGeneration, VitaProcessor]:
    """A model ready for use, and its processor.

    Args:
        name: "pocket" (in the package), a folder, or an id on the Hugging Face hub.
        device: "auto" takes the first of cuda, mps, cpu that is there.
        dtype: "auto" is float32 on a CPU, bfloat16 on CUDA, float16 elsewhere.

    Raises:
        CheckpointError: there is no such model, or its tensors are not exactly those of its configuration.
    """
    from vita.models.processing_vita import VitaProcessor

    register()
    folder = find_model(name)
    device = pick_device(device)
    model = load_model(folder, pick_dtype(dtype, device)).eval()
    model.to(device)  # pyright: ignore[reportArgumentType]
    return model, VitaProcessor.from_pretrained(folder)


def load_model(folder: Path, dtype: torch.dtype = torch.float32) -> VitaForConditionalGeneration:
    """The model of a checkpoint folder, on the CPU."""
    check_folder(folder)
    try:
        with quiet():
            loaded: Any = VitaForConditionalGeneration.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder} cannot be read: {error}", fix="fetch the checkpoint again") from error
    model, info = loaded
    found = describe_misfit(
        list(info["missing_keys"]),
        list(info["unexpected_keys"]),
        [f"{name} {list(found)} for {list(expected)}" for name, found, expected in info["mismatched_keys"]],
    )
    if found or info["error_msgs"]:
        raise CheckpointError(
            f"the tensors in {folder} do not make up the model of its config.json",
            got=found or str(info["error_msgs"])[:200],
            fix="fetch or convert the checkpoint again",
        )
    return model


def check_folder(folder: Path) -> None:
    """CheckpointError unless this is a folder that we wrote: config.json of model_type vita, safetensors."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} has no config.json", expected="a model folder")
    kind = read_json(folder / "config.json").get("model_type")
    if kind in RELEASES:
        raise CheckpointError(
            f"{folder} is in the layout of the reference implementation",
            got=f"model_type {kind}",
            fix=f"vita convert {folder} NEW_FOLDER",
        )
    if kind != VitaConfig.model_type:
        raise CheckpointError(f"{folder} holds another kind of model", got=f"model_type {kind}", expected="vita")
    if (folder / SINGLE).is_file() or (folder / INDEX).is_file():
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickles:
        raise CheckpointError(
            f"{folder} holds pickles, which can run code when they are read",
            got=pickles[0],
            expected=SINGLE,
            fix=f"vita convert {folder} NEW_FOLDER",
        )
    raise CheckpointError(f"{folder} has no {SINGLE}")


def find_model(name: str | Path) -> Path:
    """The folder of a model: the embedded one, a folder, or a snapshot fetched from the hub."""
    if str(name) == POCKET and not Path(POCKET).is_dir():
        return POCKET_DIR
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{name} is a file", expected="a model folder")
    if not _HUB_ID.fullmatch(str(name)):
        raise CheckpointError(f"unknown model {name}", expected="pocket, a folder, or an id on the hub (owner/name)")
    return _fetch(str(name))


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["*.json", "*.safetensors", "*.txt", "*.jinja", "tokenizer.model"]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=wanted))
    except Exception as error:  # the hub client raises errors of its own and of the network alike
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"unknown model {hub_id}: neither a folder here nor to be had from the hub ({reason})",
            fix="check the name and the network, or use pocket",
        ) from error


def pick_device(device: str | torch.device) -> torch.device:
    """The device of that name; "auto" takes the first of cuda, mps, cpu."""
    if isinstance(device, torch.device):
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise ConfigError("unknown device", got=device, expected="auto, cpu, cuda or mps") from error
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}.get(picked.type, lambda: True)
    if not there():
        raise DependencyError(f"this machine has no {picked.type} device", fix="use --device auto or cpu")
    return picked


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype of that name; "auto" is float32 on a CPU, bfloat16 on CUDA, float16 elsewhere."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return {"cpu": torch.float32, "cuda": torch.bfloat16}.get(device.type, torch.float16)
    if dtype not in DTYPES:
        raise ConfigError("unknown dtype", got=dtype, expected="auto, " + ", ".join(DTYPES))
    return DTYPES[dtype]


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bar and its table of tensors that do not fit: the error says it in one line."""
    verbosity, bar = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bar:
            hf_logging.enable_progress_bar()

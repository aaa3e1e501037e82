"""What a conversion leaves beside the model: the report of every tensor and file, and the reference's small files.

With them `convert_back` writes the reference's checkpoint again. Used by `convert` and `convert_back`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vita.checkpoints.reference_layout import Checkpoint
from vita.checkpoints.sources import SafetensorsFile
from vita.checkpoints.tensor_file import NAMES

REPORT_FILE = "conversion.json"
KEPT_FOLDER = "reference"
SMALL_FILE_BYTES = 64 * 2**20
_TENSOR_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What `convert` did; also written to conversion.json.

    names: each tensor of the reference and the tensors that it went into.
    num_written: our tensors.
    num_bytes: their bytes.
    copied_files: files of the tokenizer and the processor that were copied.
    prompts: where the system prompts came from; None if the checkpoint gets ours.
    merged: for each tensor that is not the base's alone, the file of the change.
    files: the source files: path, prefix (what their names lack), header (of a safetensors file), tensors (dtype and
        shape of each, in order).
    kept_files: small files of the reference that are kept in the folder reference/.
    resumed_files: source files that an interrupted conversion had already written.
    """

    names: dict[str, list[str]]
    num_written: int
    num_bytes: int
    copied_files: list[str]
    prompts: str | None
    merged: dict[str, str]
    files: list[dict[str, Any]]
    kept_files: list[str]
    resumed_files: int


def describe_files(checkpoint: Checkpoint, src: Path) -> list[dict[str, Any]]:
    """The source files as the report has them; computed tensors have the path None."""
    described = []
    for source in checkpoint.sources:
        dtypes = source.dtypes
        described.append(
            {
                "path": None if source.path is None else _place(source.path, checkpoint, src),
                "prefix": source.prefix,
                "header": source.header if isinstance(source, SafetensorsFile) else None,
                "tensors": {name: [NAMES[dtypes[name]], *shape] for name, shape in source.shapes.items()},
            }
        )
    return described


def keep_small_files(checkpoint: Checkpoint, src: Path, dst: Path) -> list[str]:
    """Copies what is no tensor file and small, from the checkpoint and the folders of its encoders."""
    kept = []
    for folder in (src, *checkpoint.parts.values()):
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.suffix in _TENSOR_SUFFIXES or path.stat().st_size > SMALL_FILE_BYTES:
                continue
            place = _place(path, checkpoint, src)
            (dst / KEPT_FOLDER / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, dst / KEPT_FOLDER / place)
            kept.append(place)
    return kept


def _place(path: Path, checkpoint: Checkpoint, src: Path) -> str:
    """Where a file lies in the checkpoint, its encoders' folders taken as inside it."""
    for name, folder in checkpoint.parts.items():
        if path.is_relative_to(folder):
            return str(Path(name) / path.relative_to(folder))
    return str(path.relative_to(src)) if path.is_relative_to(src) else path.name

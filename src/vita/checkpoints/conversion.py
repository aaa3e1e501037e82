"""`convert`: a checkpoint in the reference's layout to a folder that `load` and transformers read.

A folder of ours whose tensors are pickles becomes one of safetensors by the same call. The names are checked before
the first tensor is read: every tensor must be in the table, and together they must be exactly the tensors of the
model. Then the result's files are laid out, and each tensor is read once and written where it belongs, so that one
tensor and one source file are in memory at most. After each source file a note is made of it; an interrupted conversion
goes on from there when it is called again. Called by `vita convert`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from transformers import GenerationConfig

from vita.chat.formats import default_template
from vita.chat.system_prompts import SystemPrompts
from vita.checkpoints.reference_layout import Checkpoint, read_checkpoint
from vita.checkpoints.reference_prompts import read_prompts
from vita.checkpoints.report import REPORT_FILE, Conversion, describe_files, keep_small_files
from vita.checkpoints.sources import read_json
from vita.checkpoints.table import Step, Table, describe_misfit, first_few
from vita.checkpoints.tensor_file import TensorSpec
from vita.checkpoints.writer import SHARD_BYTES, PlannedShards
from vita.errors import CheckpointError, LimitError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import PROCESSOR_FILE, VitaProcessor

PROGRESS_FILE = "conversion.progress.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    base: str | Path | None = None,
    prompts: str | Path | None = None,
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[str], None] = lambda line: None,
) -> Conversion:
    """Converts a VITA-1.0 or VITA-1.5 checkpoint.

    Args:
        src: folder with config.json (model_type vita-mixtral or vita-Qwen2) and safetensors or pickle files; the
            folders of the vision and the audio encoder that it names lie in it, beside it or where it says. Pickles
            are read with weights_only: no code in them is run.
        dst: folder to write; it must be new or empty, or that of the same conversion, interrupted.
        base: where `src` holds only what was trained (adapters, non_lora_trainables.bin, mm_projector.bin): the
            checkpoint it was trained from. It is merged.
        prompts: JSON file with the system prompts (keys neither, image, video), or a clone of the reference, which is
            parsed for them. Without it the model is used with our own.
        shard_bytes: most bytes of a file.
        progress: is told each source file that is done.

    Returns:
        The report, which is also in the folder.

    Raises:
        CheckpointError: a tensor that the table does not know, that is missing, superfluous or misshapen, or a file
            that cannot be read. Nothing is left at `dst` then.
        LimitError: the disk has no room for the result.
    """
    src, dst = Path(src), Path(dst)
    _check_folders([src] if base is None else [src, Path(base)], dst)
    checkpoint = read_checkpoint(src, None if base is None else Path(base))
    system_prompts = None if prompts is None else read_prompts(Path(prompts), checkpoint.config.template)
    steps, specs = plan(checkpoint)
    partial = dst.with_name(dst.name + ".partial")
    try:
        num_resumed = _write_tensors(checkpoint, steps, specs, partial, shard_bytes, progress)
        copied = [name for name in (*TOKENIZER_FILES, PROCESSOR_FILE) if (src / name).is_file()]
        for name in copied:
            shutil.copyfile(src / name, partial / name)
        _write_config(checkpoint.config, system_prompts, partial)
    except CheckpointError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    report = Conversion(
        names={name: list(step.targets) for name, step in sorted(steps.items())},
        num_written=len(specs),
        num_bytes=sum(spec.num_bytes for spec in specs.values()),
        copied_files=copied,
        prompts=None if prompts is None else Path(prompts).name,
        merged=checkpoint.merged,
        files=describe_files(checkpoint, src),
        kept_files=[] if checkpoint.is_ours or base is not None else keep_small_files(checkpoint, src, partial),
        resumed_files=num_resumed,
    )
    _write_json(partial / REPORT_FILE, asdict(report))
    _finish(partial, dst)
    return report


def _check_folders(read: Sequence[Path], dst: Path) -> None:
    """Those that are read are there, the one that is written is not."""
    for folder in read:
        if not folder.is_dir():
            raise CheckpointError(f"no folder {folder} to convert", expected="a VITA-1.0 or VITA-1.5 checkpoint folder")
    if dst.exists() and (not dst.is_dir() or any(dst.iterdir())):
        raise CheckpointError(f"{dst} is there already", fix="name a new folder")


def _finish(partial: Path, dst: Path) -> None:
    """The folder is whole: it gets its name."""
    (partial / PROGRESS_FILE).unlink()
    if dst.exists():
        dst.rmdir()
    partial.rename(dst)


def _write_tensors(
    checkpoint: Checkpoint,
    steps: Mapping[str, Step],
    specs: Mapping[str, TensorSpec],
    folder: Path,
    shard_bytes: int,
    progress: Callable[[str], None],
) -> int:
    """Writes all tensors, or those that are left of an interrupted conversion; how many source files were done."""
    digest = _digest(checkpoint, shard_bytes)
    done = _sources_done(folder, digest)
    if not done:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _check_room(folder, sum(spec.num_bytes for spec in specs.values()))
    num_resumed = len(done)
    with PlannedShards(folder, specs, shard_bytes) as shards:
        for number, source in enumerate(checkpoint.sources):
            if number in done:
                continue
            for name, tensor in source.read():
                for target, part, num_parts, values in steps[name].pieces(tensor):
                    shards.write(target, values, part=part, num_parts=num_parts)
            shards.sync()
            done.append(number)
            _write_json(folder / PROGRESS_FILE, {"digest": digest, "done": done})
            name = "computed statistics" if source.path is None else source.path.name
            progress(f"{len(done)} of {len(checkpoint.sources)}: {name}")
    return num_resumed


def _sources_done(folder: Path, digest: str) -> list[int]:
    """The numbers of the sources that an interrupted conversion of the same files has written."""
    path = folder / PROGRESS_FILE
    if not path.is_file():
        return []
    try:
        noted = read_json(path)
    except CheckpointError:  # interrupted while it was written
        return []
    return list(noted["done"]) if noted.get("digest") == digest else []


def _digest(checkpoint: Checkpoint, shard_bytes: int) -> str:
    """Changes with whatever the conversion is made of."""
    parts = [str(shard_bytes), checkpoint.config.to_json_string(use_diff=False), json.dumps(checkpoint.merged)]
    for source in checkpoint.sources:
        stat = None if source.path is None else source.path.stat()
        parts.append(f"{source.path} {stat and (stat.st_size, stat.st_mtime_ns)} {sorted(source.shapes)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_room(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        shutil.rmtree(folder, ignore_errors=True)
        raise LimitError(
            "the disk has no room for the converted model",
            got=f"{free / 1e9:.1f} GB free",
            expected=f"{num_bytes / 1e9:.1f} GB",
            fix="name a folder on a larger disk",
        )


def plan(checkpoint: Checkpoint) -> tuple[dict[str, Step], dict[str, TensorSpec]]:
    """The step for each tensor, by its name, and the tensors that result, after checking that they are the model's."""
    given: dict[str, TensorSpec] = {}
    for source in checkpoint.sources:
        if double := given.keys() & source.shapes.keys():
            raise CheckpointError(f"{len(double)} tensors are there twice", got=first_few(list(double)))
        dtypes = source.dtypes
        given |= {name: TensorSpec(dtypes[name], shape) for name, shape in source.shapes.items()}
    if checkpoint.is_ours:
        steps = {name: Step(source=name, targets=(name,)) for name in given}
    else:
        steps = Table(checkpoint.config).steps(list(given))
    specs = _results(given, steps)
    check_model(checkpoint.config, {name: spec.shape for name, spec in specs.items()})
    return steps, specs


def check_model(config: VitaConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """CheckpointError unless these are exactly the tensors of the model that `config` describes."""
    with torch.device("meta"):
        model = VitaForConditionalGeneration(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(model.all_tied_weights_keys)
    common = shapes.keys() & expected.keys()
    found = describe_misfit(
        [name for name in expected if name not in shapes and name not in tied],
        [name for name in shapes if name not in expected],
        [
            f"{name} {list(shapes[name])} for {list(expected[name])}"
            for name in common
            if shapes[name] != expected[name]
        ],
    )
    if found:
        raise CheckpointError("the tensors do not make up the model of config.json", got=found)


def _results(given: Mapping[str, TensorSpec], steps: Mapping[str, Step]) -> dict[str, TensorSpec]:
    """Our tensors, by doing the conversion with tensors that have no values."""
    parts: dict[tuple[str, ...], dict[int, Tensor]] = {}
    results: dict[str, TensorSpec] = {}
    for name, step in steps.items():
        collected = parts.setdefault(step.targets, {})
        collected[step.part] = torch.empty(given[name].shape, dtype=given[name].dtype, device="meta")
        if len(collected) == step.num_parts:
            results |= _joined(step, [collected[part] for part in range(step.num_parts)])
    return results


def _joined(step: Step, parts: list[Tensor]) -> dict[str, TensorSpec]:
    kinds = {(part.dtype, tuple(part.shape[1:])) for part in parts}
    try:
        if len(kinds) > 1 or len({part.numel() for part in parts}) > 1:
            raise ValueError("they differ in shape or number format")
        joined = step.join(parts)
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"the parts of {step.targets[0]} do not fit together: {error}", got=step.source
        ) from error
    return {target: TensorSpec(tensor.dtype, tuple(tensor.shape)) for target, tensor in joined.items()}


def _write_config(config: VitaConfig, prompts: SystemPrompts | None, folder: Path) -> None:
    config.architectures = [VitaForConditionalGeneration.__name__]
    config.save_pretrained(folder)
    text = config.text_config
    pad = text.pad_token_id if text.pad_token_id is not None else 0
    generation = GenerationConfig(bos_token_id=text.bos_token_id, eos_token_id=text.eos_token_id, pad_token_id=pad)
    generation.save_pretrained(folder)
    path = folder / PROCESSOR_FILE
    saved = read_json(path) if path.is_file() else {"processor_class": VitaProcessor.__name__}
    if prompts is not None or "system_prompts" not in saved:
        saved |= default_template(config.template, config.states, prompts).to_dict()
    _write_json(path, saved)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

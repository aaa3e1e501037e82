"""`convert`: a checkpoint in the reference's layout to a folder that `load` and transformers read.

A folder of ours whose tensors are pickles becomes one of safetensors by the same call. The names are checked before
the first tensor is read: every tensor must be in the table, and together they must be exactly the tensors of the
model. Then the files are read one tensor at a time. Called by `vita convert`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import GenerationConfig

from vita.chat.formats import VitaTemplate
from vita.chat.system_prompts import SystemPrompts
from vita.checkpoints.reference_layout import Checkpoint, read_checkpoint
from vita.checkpoints.reference_prompts import read_prompts
from vita.checkpoints.sources import Source, read_json
from vita.checkpoints.table import Step, Table, describe_misfit, first_few
from vita.checkpoints.writer import SHARD_BYTES, ShardWriter
from vita.errors import CheckpointError
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import PROCESSOR_FILE, VitaProcessor

REPORT_FILE = "conversion.json"
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


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What `convert` did; also written to conversion.json.

    names: each tensor of the reference and the tensors that it went into.
    num_written: our tensors.
    num_bytes: their bytes.
    copied_files: files of the tokenizer and the processor that were copied.
    prompts: where the system prompts came from; None if the checkpoint gets ours.
    """

    names: dict[str, list[str]]
    num_written: int
    num_bytes: int
    copied_files: list[str]
    prompts: str | None


def convert(
    src: str | Path, dst: str | Path, *, prompts: str | Path | None = None, shard_bytes: int = SHARD_BYTES
) -> Conversion:
    """Converts a VITA-1.0 checkpoint.

    Args:
        src: folder with config.json (model_type vita-mixtral) and safetensors or pickle files; the folders of the
            vision and the audio encoder that it names lie in it, beside it or where it says. Pickles are read with
            weights_only: no code in them is run.
        dst: folder to write; it must be new or empty.
        prompts: JSON file with the system prompts (keys neither, image, video), or a clone of the reference, which is
            parsed for them. Without it the model is used with our own.
        shard_bytes: most bytes of a file.

    Returns:
        The report, which is also in the folder.

    Raises:
        CheckpointError: a tensor that the table does not know, that is missing, superfluous or misshapen, or a file
            that cannot be read. Nothing is left at `dst` then.
    """
    src, dst = Path(src), Path(dst)
    if not src.is_dir():
        raise CheckpointError(f"no folder {src} to convert", expected="a VITA-1.0 checkpoint folder")
    if dst.exists() and (not dst.is_dir() or any(dst.iterdir())):
        raise CheckpointError(f"{dst} is there already", fix="name a new folder")
    system_prompts = None if prompts is None else read_prompts(Path(prompts))
    checkpoint = read_checkpoint(src)
    steps = plan(checkpoint)
    partial = dst.with_name(dst.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        writer = ShardWriter(partial, shard_bytes)
        for name, tensor in converted(checkpoint.sources, steps):
            writer.add(name, tensor)
        writer.close()
        copied = [name for name in (*TOKENIZER_FILES, PROCESSOR_FILE) if (src / name).is_file()]
        for name in copied:
            shutil.copyfile(src / name, partial / name)
        _write_config(checkpoint.config, system_prompts, partial)
        report = Conversion(
            names={name: list(step.targets) for name, step in sorted(steps.items())},
            num_written=len({target for step in steps.values() for target in step.targets}),
            num_bytes=writer.total_bytes,
            copied_files=copied,
            prompts=None if prompts is None else Path(prompts).name,
        )
        _write_json(partial / REPORT_FILE, asdict(report))
        if dst.exists():
            dst.rmdir()
        partial.rename(dst)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def plan(checkpoint: Checkpoint) -> dict[str, Step]:
    """The step for each tensor, by its name, after checking that together they make up the whole model."""
    shapes: dict[str, tuple[int, ...]] = {}
    for source in checkpoint.sources:
        if double := shapes.keys() & source.shapes.keys():
            raise CheckpointError(f"{len(double)} tensors are there twice", got=first_few(list(double)))
        shapes |= source.shapes
    if checkpoint.is_ours:
        steps = {name: Step(source=name, targets=(name,)) for name in shapes}
    else:
        steps = Table(checkpoint.config).steps(list(shapes))
    check_model(checkpoint.config, _result_shapes(shapes, steps))
    return steps


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


def _result_shapes(shapes: Mapping[str, tuple[int, ...]], steps: Mapping[str, Step]) -> dict[str, tuple[int, ...]]:
    """The shapes of our tensors, by doing the conversion with tensors that have no values."""
    parts: dict[tuple[str, ...], dict[int, Tensor]] = {}
    results: dict[str, tuple[int, ...]] = {}
    for name, step in steps.items():
        collected = parts.setdefault(step.targets, {})
        collected[step.part] = torch.empty(shapes[name], device="meta")
        if len(collected) == step.num_parts:
            try:
                joined = step.join([collected[part] for part in range(step.num_parts)])
            except (RuntimeError, ValueError) as error:
                raise CheckpointError(
                    f"the parts of {step.targets[0]} do not fit together: {error}", got=f"{name} {list(shapes[name])}"
                ) from error
            results |= {target: tuple(tensor.shape) for target, tensor in joined.items()}
    return results


def converted(sources: Iterable[Source], steps: Mapping[str, Step]) -> Iterable[tuple[str, Tensor]]:
    """Our tensors, each as soon as all of its parts have been read."""
    waiting: dict[tuple[str, ...], dict[int, Tensor]] = {}
    for source in sources:
        for name, tensor in source.read():
            step = steps[name]
            parts = waiting.setdefault(step.targets, {})
            parts[step.part] = tensor
            if len(parts) == step.num_parts:
                del waiting[step.targets]
                yield from step.join([parts[part] for part in range(step.num_parts)]).items()


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
        saved |= VitaTemplate(prompts=prompts or SystemPrompts(), states=config.states).to_dict()
    _write_json(path, saved)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

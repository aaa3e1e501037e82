"""Memory and time of `vita convert` on a synthetic checkpoint in VITA-1.0's layout, interrupted and resumed, and back.

    python benchmarks/conversion.py --gb 5 --shard-gb 1 --folder /tmp/conversion-benchmark

The checkpoint is made shard by shard of random bytes and deleted afterwards, as is all that is made of it; it takes up
to three times its size on the disk. Peak memory is that of a process that does nothing else; what its imports take is
told apart.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from transformers import MixtralConfig

from vita.checkpoints.conversion import PROGRESS_FILE
from vita.checkpoints.sources import INDEX
from vita.checkpoints.table import AUDIO_PREFIX, VISION_PREFIX, Table
from vita.checkpoints.tensor_file import TensorFile, TensorSpec, make_header
from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

GB = 10**9
PAIRS = ("weight", "bias")
SMALL = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 1024}
CHILD = (
    "import resource, sys, time\n"
    "from vita.checkpoints import {function}\n"
    "from vita.checkpoints import conversion, back\n"
    "before = resource.getrusage(resource.RUSAGE_SELF)\n"
    "started = time.perf_counter()\n"
    "{function}(sys.argv[1], sys.argv[2])\n"
    "after = resource.getrusage(resource.RUSAGE_SELF)\n"
    "cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime\n"
    "print(before.ru_maxrss * 1024, after.ru_maxrss * 1024, time.perf_counter() - started, cpu)\n"
)


def main() -> None:
    """Makes the checkpoint, converts it in three ways, prints the figures, deletes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=5.0)
    parser.add_argument("--shard-gb", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path("conversion-benchmark"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    try:
        measure(arguments.folder, arguments.gb, arguments.shard_gb)
    finally:
        shutil.rmtree(arguments.folder)


def measure(folder: Path, size_gb: float, shard_gb: float) -> None:
    """All of it, in `folder`."""
    source, whole, resumed = folder / "source", folder / "whole", folder / "resumed"
    config = benchmark_config(size_gb)
    shards = write_checkpoint(source, config, round(shard_gb * GB))
    total = sum(path.stat().st_size for path in shards)
    print(f"checkpoint: {total / GB:.2f} GB in {len(shards)} shards of at most {shard_gb} GB, bfloat16")
    show("convert", *run_child("convert", source, whole))
    killed_after = kill_in_the_middle(source, resumed, len(shards))
    baseline, peak, wall, cpu = run_child("convert", source, resumed)
    done = json.loads((resumed / "conversion.json").read_text())["resumed_files"]
    print(f"killed (SIGKILL) after {killed_after:.1f} s; called again: {done} of {len(shards)} source files were done")
    show("resumed", baseline, peak, wall, cpu)
    print(f"the same files as without interruption: {same_files(whole, resumed, '*.safetensors')}")
    shutil.rmtree(resumed)
    show("back", *run_child("convert_back", whole, folder / "back"))
    print(f"the same files as the source, byte for byte: {same_files(source, folder / 'back', '*')}")


def show(name: str, baseline: int, peak: int, wall: float, cpu: float) -> None:
    """One line of figures."""
    print(
        f"{name:<8}peak memory {peak / GB:.2f} GB, of which {baseline / GB:.2f} GB before it began; "
        f"{wall:.1f} s, {cpu:.1f} CPU s",
        flush=True,
    )


def run_child(function: str, source: Path, target: Path) -> tuple[int, int, float, float]:
    """Bytes of memory after the imports, at the peak; seconds of wall clock and of CPU."""
    command = [sys.executable, "-c", CHILD.format(function=function), str(source), str(target)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    baseline, peak, wall, cpu = done.stdout.split()
    return int(baseline), int(peak), float(wall), float(cpu)


def kill_in_the_middle(source: Path, target: Path, num_shards: int) -> float:
    """Starts a conversion and kills it once half of the shards are noted as done; the seconds it ran."""
    note = target.with_name(target.name + ".partial") / PROGRESS_FILE
    command = [sys.executable, "-c", CHILD.format(function="convert"), str(source), str(target)]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        while child.poll() is None:
            try:
                done = len(json.loads(note.read_text())["done"])
            except (OSError, ValueError):
                done = 0
            if done >= num_shards // 2:
                child.kill()
            time.sleep(0.05)
    return time.perf_counter() - started


def same_files(first: Path, second: Path, pattern: str) -> bool:
    """Whether both folders have the same files of that pattern, with the same bytes."""
    names = [sorted(str(p.relative_to(f)) for p in f.rglob(pattern) if p.is_file()) for f in (first, second)]
    return names[0] == names[1] and all(filecmp.cmp(first / n, second / n, shallow=False) for n in names[0])


def benchmark_config(size_gb: float) -> VitaConfig:
    """A mixture of as many layers as make up the size; towers of a few million parameters."""
    layer = 8 * 3 * 2048 * 5632 * 2
    text = MixtralConfig(
        vocab_size=51760,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=max(1, round((size_gb * GB - 2 * 51760 * 2048 * 2) / layer)),
        num_attention_heads=16,
        num_key_value_heads=4,
        num_local_experts=8,
    )
    vision = {**SMALL, "attention_bias": True, "image_size": 448}
    return VitaConfig(
        text_config=text,
        vision_config=vision,
        audio_config={**SMALL, "hidden_size": 512, "subsampling_dim": 64, "output_dim": 2048},
    )


def write_checkpoint(folder: Path, config: VitaConfig, shard_bytes: int) -> list[Path]:
    """The checkpoint, written shard by shard; its shards."""
    folder.mkdir()
    specs = reference_specs(config)
    groups: list[dict[str, TensorSpec]] = [{}]
    for name, spec in specs.items():
        if groups[-1] and sum(other.num_bytes for other in groups[-1].values()) + spec.num_bytes > shard_bytes:
            groups.append({})
        groups[-1][name] = spec
    block = np.random.default_rng(0).integers(0, 2**14, 2**24, np.int16)  # small bfloat16 numbers
    paths, weight_map = [], {}
    for number, group in enumerate(groups):
        path = folder / f"model-{number + 1:05d}-of-{len(groups):05d}.safetensors"
        file = TensorFile(path, make_header(group))
        with file.open() as opened:
            for index, (name, spec) in enumerate(group.items()):
                values = np.resize(np.roll(block, 7919 * (index + 1)), spec.num_bytes // 2)
                tensor = torch.from_numpy(values).view(torch.bfloat16).reshape(spec.shape)
                file.write(opened, name, tensor)
                weight_map[name] = path.name
        paths.append(path)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    write_settings(folder, config)
    return paths


def reference_specs(config: VitaConfig) -> dict[str, TensorSpec]:
    """The tensors of the checkpoint under the reference's names, bfloat16."""
    with torch.device("meta"):
        state = VitaForConditionalGeneration(config).state_dict()
    steps = Table(config).steps(list(reference_names(config)))
    return {name: TensorSpec(torch.bfloat16, tuple(step.pick(state).shape)) for name, step in steps.items()}


def reference_names(config: VitaConfig) -> Iterator[str]:
    """The reference's names, layer by layer."""
    yield "model.embed_tokens.weight"
    for layer in range(config.text_config.num_hidden_layers):
        prefix = f"model.layers.{layer}."
        yield from (f"{prefix}self_attn.{letter}_proj.weight" for letter in "qkvo")
        yield f"{prefix}block_sparse_moe.gate.weight"
        for expert in range(config.text_config.num_local_experts):
            yield from (f"{prefix}block_sparse_moe.experts.{expert}.w{which}.weight" for which in (1, 2, 3))
        yield from (f"{prefix}{norm}_layernorm.weight" for norm in ("input", "post_attention"))
    yield from ("model.norm.weight", "lm_head.weight")
    yield from (f"model.mm_projector.{index}.{kind}" for index in (0, 2) for kind in PAIRS)
    embeddings = ("class_embedding", "position_embedding", "patch_embedding.weight", "patch_embedding.bias")
    yield from (f"{VISION_PREFIX}embeddings.{name}" for name in embeddings)
    for layer in range(config.vision_config.num_hidden_layers):
        prefix = f"{VISION_PREFIX}encoder.layers.{layer}."
        yield from (f"{prefix}ls{number}" for number in (1, 2))
        for part in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2"):
            yield from (f"{prefix}{part}.{kind}" for kind in PAIRS)
    encoder = f"{AUDIO_PREFIX}encoder."
    yield from (f"{encoder}global_cmvn.{name}" for name in ("mean", "istd"))
    parts = ["enc.0.core.conv.0", "enc.0.core.conv.2", "enc.0.core.out.0", "enc.1.embed.0", "enc.1.embed.1"]
    for layer in range(config.audio_config.num_hidden_layers):
        prefix = f"enc.1.encoders.{layer}."
        yield from (f"{encoder}{prefix}self_attn.{n}" for n in ("linear_pos.weight", "pos_bias_u", "pos_bias_v"))
        parts += [f"{prefix}self_attn.linear_{name}" for name in ("q", "k", "v", "out")]
        parts += [f"{prefix}{name}" for name in ("feed_forward.w_1", "feed_forward.w_2", "norm1", "norm2")]
    yield from (f"{encoder}{part}.{kind}" for part in [*parts, "enc.1.after_norm"] for kind in PAIRS)
    yield from (f"{AUDIO_PREFIX}adpter.{part}.{kind}" for part in ("conv1d2", "bn2", "project") for kind in PAIRS)


def write_settings(folder: Path, config: VitaConfig) -> None:
    """config.json, and the folders of the encoders without tensors."""
    text = {**config.text_config.to_dict(), "model_type": "vita-mixtral", "mm_vision_tower": "vision"}
    (folder / "config.json").write_text(json.dumps({**text, "mm_audio_encoder": "audio"}, default=str))
    for part in ("vision", "audio"):
        (folder / part).mkdir()
    vision = {**SMALL, "model_type": "intern_vit_6b", "image_size": 448, "patch_size": 14, "qkv_bias": True}
    (folder / "vision" / "config.json").write_text(json.dumps(vision))
    audio = config.audio_config
    transformer = {
        "transformer-attention-dim": audio.hidden_size,
        "transformer-attention-heads": audio.num_attention_heads,
        "transformer-linear-units": audio.intermediate_size,
        "transformer-num-blocks": audio.num_hidden_layers,
        "transformer-pos-enc-class": "rel-enc",
    }
    settings = {
        "encoder_conf": {
            "overview_conf": {"encoder-layer-config": "subsampling-transformer", "encoder-input-dim": 80},
            "para_conf": {
                "subsampling": {"subsampling-output-dim": audio.subsampling_dim},
                "transformer": transformer,
            },
        },
        "model_conf": {
            "enc_out_dim": audio.hidden_size,
            "llm_embed_dim": audio.output_dim,
            "adpter_type": "subsampling",
            "activation_func": "gelu",
            "norm": "layer",
        },
    }
    (folder / "audio" / "train.yaml").write_text(yaml.safe_dump(settings))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    main()

"""Packing against padding on a mixed set of 2,000 samples: efficiency, and tokens per second of training steps.

The set: text (short questions to long answers), pictures, sounds, pictures with spoken questions, as records whose
media lie on disk. Every sample is made ready once; then a random model of the embedded one's size takes steps (forward
and backward, no optimiser) on batches made in each way. Efficiency is own tokens over all positions of all batches;
tokens/s are own tokens per CPU-second of the steps taken, --steps of each way, the ways in turn. "packed, one mask" is
the same rows with attention over the whole row, masked; training takes it sample by sample, as "packed" does.

    python benchmarks/packing.py [--samples 2000] [--budget 512] [--steps 12] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import Tensor

from vita.checkpoints.loading import find_model
from vita.data.collate import Sample, collate, collate_packs
from vita.data.loading import build_sample, load_media
from vita.data.packing import greedy_groups, packs
from vita.data.records import MediaFolders, Record
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.packed_attention import ARGUMENT, SampleLengths, use_packed_attention
from vita.models.processing_vita import VitaProcessor

WINDOW = 512
MEDIA_FILES = 8
WORDS = ("what", "is", "it", "a", "red", "blue", "green", "circle", "square", "star", "how", "many", "where", "the")


def write_media(folder: Path) -> None:
    """A few pictures of several shapes and sounds of several lengths."""
    rng = np.random.default_rng(0)
    for number in range(MEDIA_FILES):
        width, height = int(rng.integers(80, 300)), int(rng.integers(80, 300))
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.1, int(rng.integers(16_000, 80_000))), 16_000)


def make_record(number: int, rng: random.Random) -> Record:
    """One of four kinds of samples; answers of 3 to 300 words, mostly short."""
    kind = rng.choice(("text", "image", "audio", "both"))
    question = " ".join(rng.choices(WORDS, k=rng.randint(3, 40)))
    answer = " ".join(rng.choices(WORDS, k=min(300, 3 + int(rng.lognormvariate(3.2, 1.1)))))
    value = {"text": question, "image": "<image>\n" + question, "audio": "<audio>", "both": "<image>\n<audio>"}[kind]
    item: dict[str, Any] = {"id": str(number), "conversations": []}
    for speaker, text in (("human", value), ("gpt", answer)):
        item["conversations"].append({"from": speaker, "value": text})
    if "<image>" in value:
        item["image"] = f"{rng.randrange(MEDIA_FILES)}.png"
    if "<audio>" in value:
        item["audio"] = f"{rng.randrange(MEDIA_FILES)}.wav"
    return Record.from_json(item)


def make_samples(count: int, folder: Path, processor: VitaProcessor) -> list[Sample]:
    """The set, made ready."""
    write_media(folder)
    rng, folders = random.Random(0), MediaFolders(default=folder)
    records = [make_record(number, rng) for number in range(count)]
    media: dict[Any, Any] = {}
    for record in records:
        key = (record.images, record.audios)
        media[key] = media.get(key) or load_media(record, folders)
    return [build_sample(record, media[record.images, record.audios], processor) for record in records]


def in_windows(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows packed as the training loader does it: window by window."""
    rows = []
    for start in range(0, len(lengths), WINDOW):
        rows += [[start + index for index in row] for row in packs(lengths[start : start + WINDOW], budget)]
    return rows


def by_length(lengths: Sequence[int]) -> list[int]:
    """Samples sorted by length within each window."""
    windows = range(0, len(lengths), WINDOW)
    return [
        i for start in windows for i in sorted(range(start, min(start + WINDOW, len(lengths))), key=lengths.__getitem__)
    ]


def padded_groups(lengths: Sequence[int], budget: int, order: Sequence[int]) -> list[list[int]]:
    """Batches of samples, one a row, of at most `budget` positions, padding included."""
    groups: list[list[int]] = [[]]
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if groups[-1] and longest * (len(groups[-1]) + 1) > budget:
            groups.append([])
            longest = lengths[index]
        groups[-1].append(index)
    return groups


def ways(samples: list[Sample], budget: int) -> dict[str, list[Callable[[], dict[str, Tensor]]]]:
    """Way to batch -> a maker for each batch; every batch has at most `budget` positions."""
    lengths = [len(sample.input_ids) for sample in samples]
    order = list(range(len(samples)))

    def padded(group: list[int]) -> Callable[[], dict[str, Tensor]]:
        return lambda: collate([samples[index] for index in group], pad_id=0)

    def packed(row: list[int]) -> Callable[[], dict[str, Tensor]]:
        return lambda: collate_packs([[samples[index] for index in row]], pad_id=0, length=budget)

    return {
        "padded": [padded(group) for group in padded_groups(lengths, budget, order)],
        "padded by length": [padded(group) for group in padded_groups(lengths, budget, by_length(lengths))],
        "packed in order": [packed(row) for row in greedy_groups(lengths, budget)],
        "packed, one mask": [packed(row) for row in in_windows(lengths, budget)],
        "packed": [packed(row) for row in in_windows(lengths, budget)],
    }


def step(model: VitaForConditionalGeneration, batch: dict[str, Tensor], *, by_sample: bool = False) -> float:
    """CPU seconds of forward and backward; attention sample by sample, or by one mask over the row."""
    model.zero_grad(set_to_none=True)
    given: dict[str, Any] = dict(batch)
    if by_sample:
        use_packed_attention(model.language_model)
        given[ARGUMENT] = SampleLengths(batch["position_ids"])
    else:
        model.language_model.set_attn_implementation("sdpa")
    start = time.process_time()
    model(**given, use_cache=False).loss.backward()
    return time.process_time() - start


def measure(count: int, budget: int, num_steps: int, folder: Path) -> dict[str, Any]:
    """Figures of every way."""
    name = find_model("pocket")
    processor = VitaProcessor.from_pretrained(name)
    torch.manual_seed(0)
    model = VitaForConditionalGeneration(processor.config).train()
    samples = make_samples(count, folder, processor)
    tokens = sum(len(sample.input_ids) for sample in samples)
    batches = ways(samples, budget)
    found: dict[str, Any] = {"samples": count, "tokens": tokens, "budget": budget, "ways": {}}
    spent = {way: [0, 0.0] for way in batches}
    step(model, batches["padded"][0]())
    rng = random.Random(1)
    chosen = {way: rng.sample(makers, min(num_steps, len(makers))) for way, makers in batches.items()}
    for number in range(num_steps):
        for way, makers in chosen.items():
            if number < len(makers):
                batch = makers[number]()
                own = batch["attention_mask"].sum() if "attention_mask" in batch else packed_tokens(batch)
                spent[way][0] += int(own)
                spent[way][1] += step(model, batch, by_sample=way == "packed")
    for way, makers in batches.items():
        positions = sum(make()["input_ids"].numel() for make in makers)
        found["ways"][way] = {
            "batches": len(makers),
            "efficiency": tokens / positions,
            "tokens_per_s": spent[way][0] / spent[way][1],
        }
    lengths = [len(sample.input_ids) for sample in samples]
    found["median_length"], found["longest"] = statistics.median(lengths), max(lengths)
    return found


def packed_tokens(batch: dict[str, Tensor]) -> int:
    """Own tokens of a packed row: all but the padding, which is its last block if it is not full (pad id 0)."""
    row = batch["input_ids"][0]
    return int((row != 0).nonzero().max()) + 1


def report(found: dict[str, Any]) -> str:
    """The table."""
    lines = [
        f"{found['samples']} samples, {found['tokens']:,} tokens, median {found['median_length']:.0f}, longest "
        f"{found['longest']}; {found['budget']} positions a batch",
        f"{'':18}{'batches':>8}{'efficiency':>12}{'tokens per CPU-second':>24}{'against padding':>17}",
    ]
    base = found["ways"]["padded"]["tokens_per_s"]
    for way, row in found["ways"].items():
        rate = row["tokens_per_s"]
        lines.append(f"{way:18}{row['batches']:>8}{row['efficiency']:>12.1%}{rate:>24,.0f}{rate / base:>16.2f}x")
    return "\n".join(lines)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--budget", type=int, default=512)
    parser.add_argument("--steps", type=int, default=12, help="steps that are timed of each way")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.samples, options.budget, options.steps, Path(folder))
    print(json.dumps(found) if options.json else report(found))


if __name__ == "__main__":
    main()

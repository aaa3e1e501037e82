"""Data loading: samples per CPU-second from files to tensors, one process, in tiles of 448 pixels.

A sample is a JPEG of 640 x 480, a sound of 5 s (WAV, 16 kHz) and two turns of text: read, decoded, tiled, normalised,
mel features computed, tokenised, labelled. Samples are loaded as a loader does, one after another, from sixteen pairs
of files. Each stage is also timed alone, and so is a sample between calls of everything else, which empty the caches.
Beside it stands a plain pipeline made of what others ship: Pillow, transformers' image processor for each tile,
kaldi-native-fbank (where it is installed); it, too, makes one sample after another.

    python benchmarks/loading.py [--repeats 20] [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image

from vita.checkpoints.loading import find_model
from vita.data.loading import build_sample, load_media
from vita.data.records import MediaFolders, Record
from vita.media.audio import load_audio
from vita.media.image import load_image
from vita.models import compiled_tiles
from vita.models.compiled_tiles import compiled_tile_pixels
from vita.models.configuration_vita import VitaConfig
from vita.models.filterbank import mel_features
from vita.models.processing_vita import VitaProcessor
from vita.models.tiling import normalise, tile_image

TILES, FILES = (12, 1), 16
REFERENCE = {12: 10.6, 1: 66.5}
"""Items per CPU-second that were measured of the reference's data loader, on another day."""


def write_files(folder: Path) -> None:
    """Pictures with structure at all scales (about 60 kB each) and sounds: 0.jpg, 0.wav, 1.jpg ..."""
    rng = np.random.default_rng(0)
    for number in range(FILES):
        coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((640, 480), 3)
        grained = np.asarray(coarse) + rng.normal(0, 6, (480, 640, 3))
        Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=80)
        soundfile.write(folder / f"{number}.wav", rng.normal(0, 0.1, 80_000), 16_000)


def processor_of(max_tiles: int) -> VitaProcessor:
    """The embedded tokenizer with tiles and context of the released models."""
    pocket = VitaProcessor.from_pretrained(find_model("pocket"))
    config = VitaConfig(
        template=pocket.config.template,
        vision_config={"image_size": 448, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1},
        image_token_id=pocket.config.image_token_id,
        audio_token_id=pocket.config.audio_token_id,
        max_tiles=max_tiles,
        tokenizer_model_max_length=9100,
    )
    processor = VitaProcessor(pocket.tokenizer, config, pocket.template)
    processor.compiled = compiled_tiles.is_available()
    return processor


def plain(folder: Path, max_tiles: int) -> Callable[[int], Any]:
    """The plain pipeline: picture and sound of a number alone, no text."""
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor(
        do_resize=False, do_center_crop=False, do_convert_rgb=False, image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )  # fmt: skip

    def call(number: int) -> Any:
        image = Image.open(folder / f"{number}.jpg").convert("RGB")
        columns, rows = (4, 3) if max_tiles > 1 else (1, 1)
        whole = image.resize((columns * 448, rows * 448), Image.Resampling.BICUBIC)
        corners = [(448 * column, 448 * row) for row in range(rows) for column in range(columns)]
        tiles = [whole.crop((x, y, x + 448, y + 448)) for x, y in corners]
        tiles += [image.resize((448, 448), Image.Resampling.BICUBIC)] if max_tiles > 1 else []
        pixels = [processor(tile, return_tensors="pt")["pixel_values"][0] for tile in tiles]
        return torch.stack(pixels), plain_mel(soundfile.read(folder / f"{number}.wav", dtype="float32")[0])

    return call


def plain_mel(samples: np.ndarray) -> np.ndarray:
    """Mel features by kaldi-native-fbank."""
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.dither, options.mel_opts.num_bins, options.energy_floor = 0.0, 80, 0.0
    bank = knf.OnlineFbank(options)
    bank.accept_waveform(16_000, (samples * 32768).tolist())
    return np.stack([bank.get_frame(index) for index in range(bank.num_frames_ready)])


def cpu_ms(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median CPU milliseconds of each call, all calls in every round, after one round to warm up."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if number:
                found[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in found.items()}


def row_ms(make: Callable[[int], Any], rounds: int) -> float:
    """CPU milliseconds of a sample when one is made after another: the median of rounds over all files, after one."""
    found = []
    for number in range(rounds + 1):
        start = time.process_time()
        for file in range(FILES):
            make(file)
        if number:
            found.append(1000 * (time.process_time() - start) / FILES)
    return statistics.median(found)


def measure(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Milliseconds of whole samples and of each stage, for each number of tiles."""
    write_files(folder)
    turns = [{"from": "human", "value": "<image>\n<audio>\nwhat is it"}, {"from": "gpt", "value": "a red circle"}]
    names = [{"id": str(n), "image": f"{n}.jpg", "audio": f"{n}.wav"} for n in range(FILES)]
    records = [Record.from_json({**name, "conversations": turns}) for name in names]
    folders, rounds = MediaFolders(default=folder), max(1, repeats // 3)
    image, samples = load_image(folder / "0.jpg"), load_audio(folder / "0.wav")
    compiled = compiled_tiles.is_available()
    found = {}
    for max_tiles in TILES:
        processor, tiles = processor_of(max_tiles), tile_image(image, max_tiles=max_tiles)

        def sample(number: int, processor: VitaProcessor = processor) -> Any:
            return build_sample(records[number], load_media(records[number], folders), processor)

        of_these = {"sample": row_ms(sample, rounds)}
        if importlib.util.find_spec("kaldi_native_fbank"):
            of_these["plain pipeline"] = row_ms(plain(folder, max_tiles), rounds)
        calls: dict[str, Callable[[], Any]] = {
            "sample between other calls": lambda sample=sample: sample(0),
            "jpeg": lambda: load_image(folder / "0.jpg"),
            "wav": lambda: load_audio(folder / "0.wav"),
            "mel": lambda: mel_features(samples, compiled=compiled),
            "compiled tiles": lambda max_tiles=max_tiles: compiled_tile_pixels(image, max_tiles=max_tiles),
            "Pillow's tiling": lambda max_tiles=max_tiles: tile_image(image, max_tiles=max_tiles),
            "its normalising": lambda tiles=tiles: normalise(tiles),
        }
        if not compiled:
            del calls["compiled tiles"]
        found[str(max_tiles)] = of_these | cpu_ms(calls, repeats)
    return found


def report(found: dict[str, dict[str, float]]) -> str:
    """The table."""
    lines = []
    for tiles, ms in found.items():
        rate = 1000 / ms["sample"]
        against = f"{rate / REFERENCE[int(tiles)]:.2f} times the reference's {REFERENCE[int(tiles)]}"
        lines.append(f"{tiles:>2} tiles: {rate:6.1f} samples per CPU-second, {against}")
        if "plain pipeline" in ms:
            lines.append(f"{'':10}{ms['plain pipeline'] / ms['sample']:.2f} times the plain pipeline of this run")
        lines.append(f"{'':10}" + ", ".join(f"{name} {value:.2f} ms" for name, value in ms.items()))
    return "\n".join(lines)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print the milliseconds as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.repeats)
    print(json.dumps(found) if options.json else report(found))


if __name__ == "__main__":
    main()

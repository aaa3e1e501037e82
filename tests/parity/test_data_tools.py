"""Records, packing, statistics and dataset items against the reference (data_tools/).

Known faults of the reference that do not count against us: it computes mel features of resampled clips with the old
rate, and hands a zero tile (a zero clip) to samples without picture (sound).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import soundfile
from PIL import Image
from prompt_cases import count_differences, load_json, load_tokenizer, templates

from vita.chat.template import Turn
from vita.chat.tokenizing import encode
from vita.data.packing import estimated_length, greedy_groups, histogram, join_records, reference_shuffle
from vita.data.records import MediaFolders, Record, read_records
from vita.data.sample import MEDIA_RULES, REFERENCE_TEXT_RULES, text_sample
from vita.media.audio import load_audio
from vita.models.filterbank import SAMPLE_RATE_HZ, mel_features, num_frames
from vita.models.tiling import normalise, num_tiles, tile_image
from vita.tokens import AUDIO_PLACEHOLDER, AUDIO_SENTINEL, IMAGE_PLACEHOLDER, IMAGE_SENTINEL

COUNTED_TILE = 448
MAX_TILES = 12


class Toy:
    """The toy data set of the reference, with what is read off its files."""

    def __init__(self, reference_dir: Path) -> None:
        self.root = reference_dir / "data_tools"
        self.numbers = load_json(self.root / "data_tools.json")
        self.items = load_json(self.root / "dataset_items.json")
        self.records = {record.name: record for record in read_records(self.root / "toy_dataset.json")}
        names = {name for record in self.records.values() for name in record.sets}
        self.folders = MediaFolders(sets=dict.fromkeys(names, self.root / "images"), audio=self.root / "audio")
        self.tokenizer = load_tokenizer(reference_dir / "tokenizer")
        self.templates = templates(reference_dir / "prompts.json")

    def images(self, record: Record) -> list[Image.Image]:
        return [Image.open(path).convert("RGB") for path in self.folders.image_paths(record)]

    def audio_seconds(self, record: Record) -> list[float]:
        return [soundfile.info(path).duration for path in self.folders.audio_paths(record)]

    def num_text_ids(self, record: Record) -> int:
        """Ids of the prompt as the reference's scripts count them: turns as they are, sounds as text."""
        template = self.templates[self.numbers["conversation"].split()[0]]
        turns = [Turn(turn.role, turn.text) for turn in record.turns]
        text = template.render_turns(turns, system=template.prompts.neither)
        runs = [[IMAGE_SENTINEL]] * text.count(IMAGE_PLACEHOLDER)
        return len(encode(self.tokenizer, text, runs, adds_bos=True, placeholders=(IMAGE_PLACEHOLDER,)).ids)

    def length(self, record: Record, tiles: int, tokens_per_tile: int) -> int:
        seconds = self.audio_seconds(record)
        return estimated_length(self.num_text_ids(record), tiles, seconds, tokens_per_tile=tokens_per_tile)

    def tiles(self, record: Record) -> int:
        return sum(num_tiles(*image.size, MAX_TILES, 1, COUNTED_TILE) for image in self.images(record))

    def lengths(self, tokens_per_tile: int) -> dict[str, int]:
        return {name: self.length(r, self.tiles(r), tokens_per_tile) for name, r in self.records.items()}

    def shuffled(self) -> list[str]:
        return reference_shuffle(list(self.records), self.numbers["random_seed_before_script"])


@pytest.fixture
def toy(reference_dir: Path) -> Toy:
    return Toy(reference_dir)


def test_token_counts(toy, record_difference):
    lengths = toy.lengths(toy.numbers["concat_data_patch"]["image_token_num"])
    for item in toy.numbers["items"]:
        record = toy.records[item["id"]]
        seconds = toy.audio_seconds(record)
        assert seconds == pytest.approx(item["audio_seconds"], abs=0.005)
        assert toy.tiles(record) == (item["tiles"] or 0)
        record_difference(f"tokens of {item['id']}", abs(lengths[item["id"]] - item["token_len"]), 0)
    assert lengths == toy.numbers["concat_data_patch"]["token_len"]
    assert lengths == toy.numbers["statistics_token_num_patch"]["token_num"]
    assert histogram(list(lengths.values())) == toy.numbers["statistics_token_num_patch"]["distribution"]


def test_groups_with_tiles(toy):
    expected = toy.numbers["concat_data_patch"]
    order, lengths = toy.shuffled(), toy.lengths(expected["image_token_num"])
    assert order == expected["shuffled_order"]
    for limit, groups in {expected["concat_size"]: expected["groups"], **expected["other_sizes"]}.items():
        ours = greedy_groups([lengths[name] for name in order], int(limit))
        assert [[order[index] for index in group] for group in ours] == groups
        if limit == expected["concat_size"]:
            assert [sum(lengths[order[index]] for index in group) for group in ours] == expected["group_token_len"]


def test_groups_without_tiles(toy):
    expected = toy.numbers["concat_data"]
    order = toy.shuffled()
    records = [toy.records[name] for name in order]
    lengths = [toy.length(record, len(record.images), expected["image_token_num"]) for record in records]
    assert order == expected["shuffled_order"]
    assert lengths == expected["token_len_in_order"]
    ours = greedy_groups(lengths, expected["concat_size"])
    assert [[order[index] for index in group] for group in ours] == expected["groups"]


def test_packed_file(toy):
    limit = toy.numbers["concat_data_patch"]["concat_size"]
    expected = json.loads((toy.root / f"merged_patch_concat{limit}.json").read_text(encoding="utf-8"))
    groups = toy.numbers["concat_data_patch"]["groups"]
    joined = {record.name: record for record in (join_records([toy.records[i] for i in group]) for group in groups)}
    assert len(joined) == len(groups) == len(expected)
    for item in expected:
        theirs = Record.from_json(item)
        assert joined[theirs.name] == theirs
        assert len(theirs.ids) == 1 or joined[theirs.name].to_json() == item


def item_cases(toy: Toy) -> list[tuple[Record, dict]]:
    """Every dataset item of the file with the record that it was made of, single and packed."""
    cases = []
    for key, items in toy.items.items():
        if isinstance(items, dict) and (file := toy.root / f"{key}.json").is_file():
            records = {record.name: record for record in read_records(file)}
            assert records.keys() == items.keys()
            cases += [(records[name], item) for name, item in items.items()]
    return cases


def item_tiles(toy: Toy, record: Record) -> list[list[Image.Image]]:
    """The tiles of each picture of a record, under the file's own options."""
    limits = {"max_tiles": toy.items["max_dynamic_patch"], "min_tiles": toy.items["min_dynamic_patch"]}
    options = {**limits, "tile": toy.items["tile_size"], "thumbnail": toy.items["use_thumbnail"]}
    options["pad"] = toy.items["image_aspect_ratio"] == "pad"
    return [tile_image(image, **options) for image in toy.images(record)]


def test_items_ids_and_labels(toy, record_difference):
    template = toy.templates[toy.items["conversation"]]
    cases = item_cases(toy)
    for record, item in cases:
        assert not item["printed"]
        media_ids = {
            IMAGE_PLACEHOLDER: [[IMAGE_SENTINEL] * len(tiles) for tiles in item_tiles(toy, record)],
            AUDIO_PLACEHOLDER: [[AUDIO_SENTINEL]] * len(record.audios),
        }
        rules = MEDIA_RULES if record.has_media else REFERENCE_TEXT_RULES
        ours = text_sample(record, template, toy.tokenizer, media_ids, rules=rules)
        record_difference(f"{record.name} ids", count_differences(ours.input_ids, item["input_ids"]), 0)
        record_difference(f"{record.name} labels", count_differences(ours.labels, item["labels"]), 0)
        assert ours.input_ids.count(IMAGE_SENTINEL) == item["n_image_tokens"]
        assert ours.input_ids.count(AUDIO_SENTINEL) == item["n_audio_tokens"]
    assert cases


def test_items_pictures(toy, record_difference):
    processor = toy.items["processor"]
    for record, item in item_cases(toy):
        tiles = [tile for tiles in item_tiles(toy, record) for tile in tiles]
        assert len(tiles) == (item["tiles"] if record.images else 0)  # its zero tile is not ours
        if not tiles or "tile_means" not in item:
            continue
        pixels_NCSS = normalise(tiles, processor["image_mean"], processor["image_std"])
        assert list(pixels_NCSS.shape[1:]) == item["tile_shape"]
        for index, mean in enumerate(item["tile_means"]):
            difference = abs(float(pixels_NCSS[index].mean(dtype="float64")) - mean)
            record_difference(f"{record.name} tile {index} mean", difference, 2e-6)


def test_items_sounds(toy, record_difference):
    compared = 0
    for record, item in item_cases(toy):
        if not record.audios:
            assert item["n_audio_tokens"] == 0  # its zero clip is not ours
            continue
        for index, path in enumerate(toy.folders.audio_paths(record)):
            info, features_TF = soundfile.info(path), mel_features(load_audio(path))
            samples, theirs = math.ceil(info.frames * SAMPLE_RATE_HZ / info.samplerate), item["audio_frames"][index]
            name = f"{record.name} {path.name}"
            if info.samplerate == SAMPLE_RATE_HZ:
                record_difference(f"{name} frames", abs(len(features_TF) - theirs), 0)
                mean = float(features_TF.mean(dtype="float64"))
                record_difference(f"{name} mean", abs(mean - item["audio_means"][index]), 1e-3)
            else:  # resampled: the reference's window and shift are those of the old rate, ours of the new one
                assert num_frames(samples, info.samplerate) == theirs
                record_difference(f"{name} frames at 16 kHz", abs(len(features_TF) - num_frames(samples)), 1)
            compared += 1
    assert compared

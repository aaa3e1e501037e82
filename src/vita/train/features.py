"""What the frozen towers really give: features of the spoken turns and of their pictures, cached for stage 3.

Called by `vita.train.stages`, read by `vita.train.multimodal`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vita.models.configuration_vita import VitaConfig
from vita.synth import speech_set
from vita.synth.pictures import turn_images
from vita.synth.scenes import FRAME_SLOTS
from vita.synth.speech_set import SpeechShard, SpokenTurn
from vita.train.frozen import fingerprint
from vita.train.hearing import Hearing
from vita.train.mel_augment import MelAugment, augment
from vita.train.seeing import PictureBatches, Seeing

AUGMENTED_SHARE = 0.6
_BATCH = 32
_ARRAYS = ("heard", "heard_offsets", "seen", "seen_offsets")


@dataclass(frozen=True)
class FeatureShard:
    """Turns of one speech shard with the hidden vectors of tower and connector, float16.

    heard: [sum of tokens, D]; turn i is heard[heard_offsets[i]:heard_offsets[i + 1]].
    seen: [sum of slots, D] of the turns with a picture or clip (all frames); seen_offsets likewise.
    """

    turns: list[SpokenTurn]
    heard: np.ndarray
    heard_offsets: np.ndarray
    seen: np.ndarray
    seen_offsets: np.ndarray

    def sound(self, index: int) -> np.ndarray:
        """[N, D] of the spoken turn."""
        return self.heard[self.heard_offsets[index] : self.heard_offsets[index + 1]]

    def sight(self, index: int) -> np.ndarray:
        """[K, D] of its picture or of all frames of its clip."""
        return self.seen[self.seen_offsets[index] : self.seen_offsets[index + 1]]


@torch.inference_mode()
def hear_shard(model: Hearing, shard: SpeechShard, seed: int, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """(heard, offsets) of a shard; AUGMENTED_SHARE of the clips are heard through noise, rooms and channels."""
    model.eval()
    rng = random.Random(f"hear {seed}")
    order = sorted(range(len(shard.turns)), key=lambda i: len(shard.mel(i)))
    found: dict[int, np.ndarray] = {}
    mild = MelAugment(strength=0.8, mask_rate=0.3)
    for k, start in enumerate(range(0, len(order), _BATCH)):
        chosen = order[start : start + _BATCH]
        clips = [torch.from_numpy(shard.mel(i)) for i in chosen]
        changed = rng.random() < AUGMENTED_SHARE
        mel, lengths = augment(
            clips, mild if changed else MelAugment(strength=0.0), seed=seed * 10_007 + k, device=device
        )
        with torch.autocast(device.type, torch.bfloat16):
            hidden, mask = model.connector.hidden(*model.tower(mel, lengths))
        for row, i in enumerate(chosen):
            found[i] = hidden[row, : int(mask[row].sum())].float().cpu().numpy().astype(np.float16)
    return stack([found[i] for i in range(len(order))])


@torch.inference_mode()
def see_shard(
    model: Seeing, turns: list[SpokenTurn], pictures: PictureBatches, seed: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """(seen, offsets) of the pictures and clips of a shard's turns, drawn and looked at now."""
    model.eval()
    rng = random.Random(f"see {seed}")
    empty = np.zeros((0, model.connector.queries.shape[1]), np.float16)
    seen = [empty] * len(turns)
    waiting: list[tuple[int, list[np.ndarray], bool]] = []

    def look() -> None:
        flat = torch.from_numpy(np.stack([p for _, frames, _ in waiting for p in frames])).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            hidden = model.connector.hidden(model.tower(flat)).float().cpu().numpy().astype(np.float16)
        at = 0
        for index, frames, is_clip in waiting:
            slots = hidden[at : at + len(frames), : FRAME_SLOTS if is_clip else None]
            seen[index], at = slots.reshape(-1, slots.shape[-1]), at + len(frames)
        waiting.clear()

    for index, item in enumerate(turns):
        images = turn_images(item.turn, rng)
        if images:
            waiting.append((index, [pictures.normalise(i) for i in images], item.turn.clip is not None))
        if sum(len(frames) for _, frames, _ in waiting) >= _BATCH:
            look()
    if waiting:
        look()
    return stack(seen)


def stack(arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One array and the offsets of its parts."""
    return np.concatenate(arrays), np.cumsum([0, *(len(a) for a in arrays)])


def silent_shard(turns: list[SpokenTurn]) -> SpeechShard:
    """Turns that nobody says: their pictures alone are learned from."""
    return SpeechShard(turns, np.zeros((0, 80), np.float16), np.zeros(len(turns) + 1, np.int64))


def feature_shard(
    path: Path,
    shard: SpeechShard,
    number: int,
    hearing: Hearing,
    seeing: Seeing,
    config: VitaConfig,
    device: torch.device,
) -> FeatureShard:
    """The features of one shard, computed now unless the file holds those of these very turns and towers."""
    source = f"{speech_set.fingerprint(shard.turns)} {fingerprint(hearing, seeing)}"
    if path.is_file():
        with np.load(path) as stored:
            if "source" in stored and str(stored["source"]) == source:
                return FeatureShard(shard.turns, *(stored[name] for name in _ARRAYS))
    if len(shard.mels):
        heard, heard_offsets = hear_shard(hearing, shard, number, device)
    else:
        heard, heard_offsets = np.zeros((0, config.audio_config.hidden_size), np.float16), shard.offsets
    pictures = PictureBatches(config, seed=0, batch_size=1)
    seen, seen_offsets = see_shard(seeing, shard.turns, pictures, number, device)
    arrays = (heard, heard_offsets, seen, seen_offsets)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, source=np.asarray(source), **dict(zip(_ARRAYS, arrays, strict=True)))
    partial.replace(path)
    return FeatureShard(shard.turns, *arrays)


def indices_with_pictures(shards: list[FeatureShard]) -> Iterator[tuple[int, int]]:
    """(shard, index) of every turn with a picture or clip."""
    for s, shard in enumerate(shards):
        for i, item in enumerate(shard.turns):
            if item.turn.scene is not None or item.turn.clip is not None:
                yield s, i

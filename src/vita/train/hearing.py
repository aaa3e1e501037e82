"""Stage 2b, first half: the audio tower and its connector learn to hear by CTC.

Two heads at once: the connector's own (the language model's vocabulary, 12.5 Hz; it stays in the model) and a phoneme
head on the tower (25 Hz; training only), which carries over to sentences that were never heard.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from vita.models.audio_connector import AudioConnector
from vita.models.audio_tower import AudioTower
from vita.models.configuration_audio import VitaAudioConfig
from vita.models.posterior import PosteriorProjection
from vita.synth.speech_set import SpeechShard, load_shard
from vita.synth.voices import phonemes
from vita.train.ctc_loss import ctc_losses
from vita.train.mel_augment import MelAugment, augment

POOL_BATCHES = 24


class PhonemeLexicon:
    """IPA symbols of words (English) and characters (Chinese), asked of espeak-ng once each and kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.symbols = [
            chr(c) for c in (*range(0x61, 0x7B), *range(0xE6, 0xF9), *range(0x250, 0x2B0), 0x3B8, 0x14B, 0x153, 0x3B2)
        ]

    def ids(self, text: str, lang: str) -> list[int]:
        """Class of each phoneme symbol of `text`; stress, length and tone are left out."""
        units = text.split() if lang == "en" else [c for c in text if c.strip()]
        symbols = "".join(self._of(unit, lang) for unit in units)
        index = {s: i for i, s in enumerate(self.symbols)}
        return [index[c] for c in symbols if c in index]

    def save(self) -> None:
        """Keep what was asked; a crash in the middle leaves the last file intact."""
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.known, ensure_ascii=False), encoding="utf-8")
        partial.replace(self.path)

    def _of(self, unit: str, lang: str) -> str:
        key = f"{lang}:{unit}"
        if key not in self.known:
            self.known[key] = phonemes(unit, lang)
        return self.known[key]


class Hearing(nn.Module):
    """Tower, connector and the phoneme head."""

    def __init__(self, config: VitaAudioConfig, num_phonemes: int) -> None:
        super().__init__()
        self.tower = AudioTower(config)
        self.connector = AudioConnector(config)
        self.phonemes = nn.Linear(config.hidden_size, num_phonemes + 1)

    @property
    def projection(self) -> PosteriorProjection:
        """The connector's own head and table."""
        found = self.connector.projection
        assert isinstance(found, PosteriorProjection), "a connector of type ctc has one"
        return found

    def forward(self, mel_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Log-probabilities of words [B, N, V+1] and phonemes [B, L, P+1], and their lengths."""
        hidden, mask = self.tower(mel_BTF, lengths_B)
        h, token_mask = self.connector.hidden(hidden, mask)
        words = self.projection.logits(h).float().log_softmax(-1)
        sounds = self.phonemes(hidden).float().log_softmax(-1)
        return words, token_mask.sum(1), sounds, mask.sum(1)


class SpeechBatches:
    """Batches of spoken clips by step: the same step gives the same batch. New shards join as training goes on."""

    def __init__(
        self,
        folder: Path,
        tokenizer: PreTrainedTokenizerFast,
        lexicon: PhonemeLexicon,
        *,
        seed: int,
        num_shards: int,
        batch_size: int,
        steps_per_shard: int,
        first_shards: int,
        easy_steps: int,
        load: Callable[[Path, int, int], SpeechShard] = load_shard,
    ) -> None:
        """
        Args:
            folder: where the shards are.
            tokenizer: gives the words' classes.
            lexicon: gives the phonemes' classes.
            seed, num_shards: of the shards.
            batch_size: clips of a step.
            steps_per_shard: after so many steps another shard joins the `first_shards`.
            first_shards: shards that are there at step 0.
            easy_steps: short clean clips until then; from then on longer and changed ones.
            load: gives a shard, by folder, seed and number.
        """
        self.folder, self.tokenizer, self.lexicon, self.seed = folder, tokenizer, lexicon, seed
        self.num_shards, self.batch_size, self.load = num_shards, batch_size, load
        self.steps_per_shard, self.first_shards, self.easy_steps = steps_per_shard, first_shards, easy_steps
        self.shards: list[SpeechShard] = []
        self.targets: list[list[tuple[list[int], list[int]]]] = []
        self._pool: tuple[int, list[list[tuple[int, int]]]] = (-1, [])

    def __call__(self, step: int) -> tuple[Tensor, Tensor, list[list[int]], list[list[int]]]:
        """mel [B, T, 80], lengths, word targets, phoneme targets."""
        pool = step // POOL_BATCHES
        if self._pool[0] != pool:
            self._pool = (pool, self._draw(pool))
        chosen = self._pool[1][step % POOL_BATCHES]
        clips = [torch.from_numpy(self.shards[s].mel(i)) for s, i in chosen]
        strength = min(1.0, max(0.0, (step - self.easy_steps) / max(2.0 * self.easy_steps, 1)))
        mel, lengths = augment(clips, MelAugment(strength=strength), seed=step, device=torch.device("cpu"))
        words, sounds = zip(*(self.targets[s][i] for s, i in chosen), strict=True)
        return mel, lengths, list(words), list(sounds)

    def _draw(self, pool: int) -> list[list[tuple[int, int]]]:
        step = pool * POOL_BATCHES
        self._grow(min(self.num_shards, self.first_shards + step // self.steps_per_shard))
        rng = random.Random(f"speech {self.seed} {pool}")
        shortest = min(int(np.diff(shard.offsets).min()) for shard in self.shards)
        longest = max(160 + 900 * step / max(self.easy_steps, 1), shortest)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < POOL_BATCHES * self.batch_size:
            s = rng.randrange(len(self.shards))
            i = rng.randrange(len(self.shards[s].turns))
            if len(self.shards[s].mel(i)) <= longest:
                chosen.append((s, i))
        chosen.sort(key=lambda si: len(self.shards[si[0]].mel(si[1])))
        batches = [chosen[k : k + self.batch_size] for k in range(0, len(chosen), self.batch_size)]
        rng.shuffle(batches)
        return batches

    def _grow(self, wanted: int) -> None:
        while len(self.shards) < wanted:
            shard = self.load(self.folder, self.seed, len(self.shards))
            self.targets.append([self._target(item.turn.question, item.turn.lang) for item in shard.turns])
            self.shards.append(shard)
            self.lexicon.save()

    def _target(self, text: str, lang: str) -> tuple[list[int], list[int]]:
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        return ids, self.lexicon.ids(text, lang)


def cmvn_statistics(shards: list[SpeechShard]) -> tuple[np.ndarray, np.ndarray]:
    """(mean, inverse standard deviation) of each mel bin, float64."""
    frames = np.concatenate([s.mels.astype(np.float32) for s in shards])
    return frames.mean(0, dtype=np.float64), 1 / np.maximum(frames.std(0, dtype=np.float64), 1e-3)


def hearing_loss(
    model: Hearing, batch: tuple[Tensor, Tensor, list[list[int]], list[list[int]]], device: torch.device
) -> tuple[Tensor, dict[str, float]]:
    """Word CTC + 0.3 x phoneme CTC."""
    mel, lengths, words, sounds = batch
    word_log, word_lengths, sound_log, sound_lengths = model(mel.to(device), lengths.to(device))
    with torch.autocast(device.type, enabled=False):
        word_loss = ctc_losses(word_log, word_lengths, words).mean()
        sound_loss = ctc_losses(sound_log, sound_lengths, sounds).mean()
    return word_loss + 0.3 * sound_loss, {"words": float(word_loss.detach()), "sounds": float(sound_loss.detach())}


def greedy(log_probs_NV: Tensor, length: int) -> list[int]:
    """Best path: repeats joined, blanks dropped."""
    best = log_probs_NV[:length].argmax(-1).tolist()
    blank = log_probs_NV.shape[-1] - 1
    return [b for i, b in enumerate(best) if b != blank and (i == 0 or b != best[i - 1])]


__all__ = [
    "Hearing",
    "PhonemeLexicon",
    "SpeechBatches",
    "cmvn_statistics",
    "greedy",
    "hearing_loss",
]

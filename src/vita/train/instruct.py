"""Stages 1 and 3: the language model learns to answer, first from symbols, then from what the towers really give.

Stage 1 trains the language model together with the connectors' tables (the embeddings of symbols). Stage 3 trains the
language model and the connectors' projections on features of the frozen towers. Loss on replies only.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from vita.models.configuration_vita import VitaConfig
from vita.models.posterior import PosteriorProjection
from vita.tokens import IGNORE_LABEL
from vita.train.samples import Sequence_

POOL_BATCHES = 8
STATE_WEIGHT = 2.0
"""Weight of the state token in the loss."""


class Instructed(nn.Module):
    """The parts that stages 1 and 3 train: the language model and the projections of the two connectors."""

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        # written-out attention: on short sequences the fused kernel's backward makes a CPU step a third slower
        self.language_model = AutoModelForCausalLM.from_config(config.text_config, attn_implementation="eager")
        width = config.text_config.hidden_size
        self.sight = PosteriorProjection(config.vision_width, config.vision_connector["group_sizes"], width)
        self.hearing = PosteriorProjection(
            config.audio_config.hidden_size, [config.audio_config.ctc_vocab_size + 1], width
        )

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Hidden states [B, T, H] of a collated batch."""
        inputs = self.embed(batch)
        return self.language_model.model(inputs_embeds=inputs, use_cache=False).last_hidden_state

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """inputs_embeds [B, T, H]: text by the embedding table, media by the projections."""
        ids = batch["ids"]
        inputs = self.language_model.get_input_embeddings()(ids).flatten(0, 1)
        if "slots" in batch:
            offsets = torch.tensor([0, *self.sight.group_sizes[:-1]], device=ids.device).cumsum(0)
            tokens = F.embedding(batch["slots"] + offsets, self.sight.table).sum(1)
            inputs = inputs.index_copy(0, batch["slot_at"], tokens.to(inputs.dtype))
        if "symbols" in batch:
            tokens = (F.embedding(batch["symbols"], self.hearing.table) * batch["weights"][..., None]).sum(1)
            inputs = inputs.index_copy(0, batch["sound_at"], tokens.to(inputs.dtype))
        for kind, projection in (("seen", self.sight), ("heard", self.hearing)):
            if kind in batch:
                inputs = inputs.index_copy(0, batch[f"{kind}_at"], projection(batch[kind].float()).to(inputs.dtype))
        return inputs.view(*ids.shape, -1)


def collate(sequences: list[Sequence_]) -> dict[str, Tensor]:
    """Right-padded ids and labels, and flat lists of what fills the media positions (row * length + position)."""
    length = max(len(s.ids) for s in sequences)
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    labels = torch.full((len(sequences), length), IGNORE_LABEL)
    slot_at, slot_labels, sound_at, symbols, weights = [], [], [], [], []
    features: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence.ids)] = torch.tensor(sequence.ids)
        labels[row, : len(sequence.ids)] = torch.tensor(sequence.labels)
        for start, slots in sequence.slots:
            slot_at.append(torch.arange(len(slots)) + row * length + start)
            slot_labels.append(torch.from_numpy(slots))
        for start, symbol, weight in sequence.sounds:
            sound_at.append(torch.arange(len(symbol)) + row * length + start)
            symbols.append(torch.from_numpy(symbol))
            weights.append(torch.from_numpy(weight))
        for start, kind, array in sequence.features:
            places, values = features.setdefault(kind, ([], []))
            places.append(torch.arange(len(array)) + row * length + start)
            values.append(torch.from_numpy(array))
    batch = {"ids": ids, "labels": labels}
    if slot_at:
        batch |= {"slot_at": torch.cat(slot_at), "slots": torch.cat(slot_labels)}
    if sound_at:
        batch |= {"sound_at": torch.cat(sound_at), "symbols": torch.cat(symbols), "weights": torch.cat(weights)}
    for kind, (places, values) in features.items():
        batch |= {f"{kind}_at": torch.cat(places), kind: torch.cat(values)}
    return batch


class SequenceBatches:
    """Batches by step, lengths alike within a batch."""

    def __init__(self, make: Callable[[random.Random], Sequence_], *, seed: int, name: str, batch_size: int) -> None:
        self.make, self.seed, self.name, self.batch_size = make, seed, name, batch_size
        self._pool: tuple[int, list[list[Sequence_]]] = (-1, [])

    def __call__(self, step: int) -> dict[str, Tensor]:
        pool = step // POOL_BATCHES
        if self._pool[0] != pool:
            rng = random.Random(f"{self.name} {self.seed} {pool}")
            drawn = sorted((self.make(rng) for _ in range(POOL_BATCHES * self.batch_size)), key=lambda s: len(s.ids))
            batches = [drawn[k : k + self.batch_size] for k in range(0, len(drawn), self.batch_size)]
            rng.shuffle(batches)
            self._pool = (pool, batches)
        return collate(self._pool[1][step % POOL_BATCHES])


def instruct_loss(model: Instructed, batch: dict[str, Tensor], device: torch.device) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy of the replies; figures: shares of right state tokens and of right answer tokens."""
    batch = {k: v.to(device) for k, v in batch.items()}
    hidden = model(batch)
    labels = batch["labels"][:, 1:]
    learned = labels != IGNORE_LABEL
    logits = model.language_model.lm_head(hidden[:, :-1][learned]).float()
    targets = labels[learned]
    is_state = (batch["labels"][:, :-1] == IGNORE_LABEL)[learned]
    loss = F.cross_entropy(logits, targets, reduction="none")
    weight = torch.where(is_state, STATE_WEIGHT, 1.0)
    with torch.no_grad():
        right = logits.argmax(-1) == targets
        figures = {"state": float(right[is_state].float().mean()), "answer": float(right[~is_state].float().mean())}
    return (loss * weight).sum() / weight.sum(), figures

"""Batches of sequences and what is put at the positions of media; the loss on replies alone."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vita.models.configuration_vita import VitaConfig
from vita.synth.scenes import GROUP_SIZES
from vita.tokens import IGNORE_LABEL
from vita.train.instruct import POOL_BATCHES, STATE_WEIGHT, Instructed, SequenceBatches, collate, instruct_loss
from vita.train.samples import Sequence_

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(config: VitaConfig) -> Instructed:
    torch.manual_seed(0)
    made = Instructed(config)
    for projection in (made.sight, made.hearing):
        assert projection.residual is not None
        torch.nn.init.normal_(projection.residual.weight, std=0.1)
    return made


def sequence(rng: np.random.Generator, kinds: str) -> Sequence_:
    """Text and the media named by letters: picture labels, Simulated sound, seen and heard Features."""
    made = Sequence_()
    made.add([2])
    for kind in kinds:
        if kind == "p":
            labels = np.stack([rng.integers(0, size, 5) for size in GROUP_SIZES], 1)
            made.slots.append((made.add_media(5), labels))
        elif kind == "s":
            symbols = rng.integers(0, 50, (4, 3))
            made.sounds.append((made.add_media(4), symbols, rng.random((4, 3), np.float32)))
        else:
            width = {"v": 24, "h": 16}[kind]
            vectors = rng.normal(size=(3, width)).astype(np.float16)
            made.features.append((made.add_media(3), {"v": "seen", "h": "heard"}[kind], vectors))
        made.add([300 + ord(kind)])
    made.add([4, 3])
    made.add([8, 400, 4], learn=True)
    return made


def expected(model: Instructed, one: Sequence_) -> torch.Tensor:
    """The embeddings of one sequence, position by position."""
    rows = [model.language_model.get_input_embeddings().weight[i] for i in one.ids]
    for start, labels in one.slots:
        for k, classes in enumerate(labels):
            posterior = torch.cat([F.one_hot(torch.tensor(c), n) for c, n in zip(classes, GROUP_SIZES, strict=True)])
            rows[start + k] = model.sight.embed(posterior.float())
    for start, symbols, weights in one.sounds:
        for k in range(len(symbols)):
            posterior = torch.zeros(model.hearing.table.shape[0])
            for symbol, weight in zip(symbols[k], weights[k], strict=True):
                posterior[symbol] += weight
            rows[start + k] = model.hearing.embed(posterior)
    for start, kind, vectors in one.features:
        projection = model.sight if kind == "seen" else model.hearing
        for k, vector in enumerate(vectors):
            rows[start + k] = projection(torch.from_numpy(vector).float())
    return torch.stack(rows)


@pytest.mark.parametrize("kinds", [("",), ("p",), ("s",), ("v",), ("h",), ("pps", "", "vh"), ("psvh", "hvsp", "p")])
def test_every_medium_lands_at_its_positions(model: Instructed, kinds: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    sequences = [sequence(rng, k) for k in kinds]
    embeds = model.embed(collate(sequences))
    assert embeds.shape == (len(kinds), max(len(s.ids) for s in sequences), 32)
    for row, one in zip(embeds, sequences, strict=True):
        torch.testing.assert_close(row[: len(one.ids)], expected(model, one))


def test_padding_is_on_the_right_and_not_learned() -> None:
    rng = np.random.default_rng(1)
    long, short = sequence(rng, "pp"), sequence(rng, "")
    batch = collate([short, long])
    assert batch["ids"].shape == batch["labels"].shape == (2, len(long.ids))
    assert batch["ids"][0, : len(short.ids)].tolist() == short.ids
    assert batch["labels"][0, : len(short.ids)].tolist() == short.labels
    assert (batch["labels"][0, len(short.ids) :] == IGNORE_LABEL).all()
    assert batch["labels"][1].tolist() == long.labels


def test_a_row_does_not_depend_on_its_neighbours(model: Instructed) -> None:
    rng = np.random.default_rng(2)
    short, long = sequence(rng, "s"), sequence(rng, "psvh")
    alone, together = model(collate([short])), model(collate([short, long]))
    torch.testing.assert_close(alone[0], together[0, : len(short.ids)], atol=1e-5, rtol=1e-5)


def test_the_loss_is_that_of_the_replies_states_counting_more(model: Instructed) -> None:
    rng = np.random.default_rng(3)
    batch = collate([sequence(rng, "p"), sequence(rng, "sh")])
    loss, figures = instruct_loss(model, batch, CPU)
    log_probs = model.language_model.lm_head(model(batch)).log_softmax(-1).detach()
    total = weights = 0.0
    right: dict[bool, list[bool]] = {True: [], False: []}
    for row, position in (batch["labels"] != IGNORE_LABEL).nonzero().tolist():
        target = int(batch["labels"][row, position])
        is_state = target == 8
        weight = STATE_WEIGHT if is_state else 1.0
        total -= weight * float(log_probs[row, position - 1, target])
        weights += weight
        right[is_state].append(int(log_probs[row, position - 1].argmax()) == target)
    assert float(loss.detach()) == pytest.approx(total / weights, rel=1e-5)
    assert figures == pytest.approx({"state": np.mean(right[True]), "answer": np.mean(right[False])})
    assert len(right[True]) == 2


def test_a_few_steps_teach_a_reply(config: VitaConfig) -> None:
    torch.manual_seed(0)
    model = Instructed(config)
    batch = collate([sequence(np.random.default_rng(4), "ps")])
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss, _ = instruct_loss(model, batch, CPU)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(config.text_config.vocab_size), rel=0.1)
    assert losses[-1] < 0.5 * losses[0]


def make(rng: random.Random) -> Sequence_:
    """Text of a random length."""
    made = Sequence_()
    made.add([rng.randrange(100) for _ in range(rng.randint(2, 40))])
    made.add([8, 4], learn=True)
    return made


def test_batches_depend_on_seed_and_step_alone() -> None:
    def batches(seed: int = 0, name: str = "n") -> SequenceBatches:
        return SequenceBatches(make, seed=seed, name=name, batch_size=4)

    straight = batches()
    ids = [straight(step)["ids"] for step in range(3 * POOL_BATCHES)]
    for step in (0, 5, POOL_BATCHES, 3 * POOL_BATCHES - 1):
        assert torch.equal(batches()(step)["ids"], ids[step])
    assert not torch.equal(batches(seed=1)(0)["ids"][:, :2], ids[0][:, :2])
    assert not torch.equal(batches(name="m")(0)["ids"][:, :2], ids[0][:, :2])


def test_lengths_within_a_batch_are_alike() -> None:
    batches = SequenceBatches(make, seed=0, name="n", batch_size=8)
    spread = []
    for step in range(POOL_BATCHES):
        lengths = (batches(step)["labels"] == 4).int().argmax(1)
        spread.append(int(lengths.max() - lengths.min()))
    assert np.mean(spread) < 10

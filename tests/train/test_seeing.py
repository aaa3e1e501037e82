"""Learning to see: labels of patches, pictures by step, and the loss that empty slots hardly count in."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vita.chat import messages
from vita.models.configuration_vita import VitaConfig
from vita.models.processing_vita import VitaProcessor
from vita.synth.render import render_marked
from vita.synth.scenes import CHARACTERS, GROUP_SIZES, NUM_SLOTS, Scene, Thing, random_scene
from vita.synth.world import COLOURS, SHAPES
from vita.train import seeing
from vita.train.seeing import PATCH_GROUPS, PictureBatches, Seeing, grouped_loss, patch_labels, seeing_loss

CPU = torch.device("cpu")


def test_patches_of_a_shape_carry_its_shape_colour_and_slot() -> None:
    things = (
        Thing(shape="star", colour="red", x=0.25, y=0.25, size=0.3),
        Thing(shape="cross", colour="blue", x=0.875, y=0.625, size=0.05),
    )
    scene = Scene(kind="shapes", things=things)
    _, marks = render_marked(scene, random.Random(0), (200, 200))
    labels = patch_labels(scene, marks, 8).reshape(8, 8, 4)
    star = [SHAPES.index("star") + 1, COLOURS.index("red") + 1, 0, 1]
    # centres of the patches lie at (k + 0.5) / 8; the star reaches from 0.1 to 0.4
    assert (labels[1:3, 1:3] == star).all()
    # smaller than a patch: the one that it lies in
    assert labels[5, 7].tolist() == [SHAPES.index("cross") + 1, COLOURS.index("blue") + 1, 0, 6]
    assert (labels.any(-1)).sum() == 5


def test_patches_of_print_carry_their_character() -> None:
    scene = Scene(kind="text", text="go 4")
    marks = [(k / 4, 0.3, (k + 1) / 4, 0.7, k) for k in range(4)]
    labels = patch_labels(scene, marks, 4).reshape(4, 4, 4)
    assert [CHARACTERS[c - 1] for c in labels[2, :, 2]] == list("go 4") == [CHARACTERS[c - 1] for c in labels[1, :, 2]]
    assert labels[2, :, 3].tolist() == [1, 2, 3, 4]
    assert not labels[[0, 3]].any()


def test_what_has_no_slot_has_no_patch() -> None:
    scene = Scene(kind="text", text="a" * 30)
    marks = [(k / 30, 0.0, (k + 1) / 30, 1.0, k) for k in range(30)]
    labels = patch_labels(scene, marks, 30).reshape(30, 30, 4)
    assert labels[0, :, 3].tolist() == [*range(1, NUM_SLOTS + 1), *[0] * 6]


def test_a_long_label_is_marked_where_it_has_slots() -> None:
    scene = Scene(kind="chart", boxes=("hedgehog", "ab"))
    _, marks = render_marked(scene, random.Random(0), (400, 400))
    assert [mark[4] for mark in marks] == [0, 1, 2, 3, 4, 5, 6, 7]
    seen = patch_labels(scene, marks, 100)
    pairs = {(CHARACTERS[c - 1], slot - 1) for c, slot in seen[:, 2:].tolist() if slot}
    assert pairs == set(zip("hedgehab", range(8), strict=True))


def test_the_first_steps_see_small_pictures(config: VitaConfig) -> None:
    batches = PictureBatches(config, seed=0, batch_size=2, small_steps=1)
    (small, _, of_small), (whole, _, of_whole) = batches(0), batches(1)
    edge = config.tile_size // config.patch_size
    few = round(seeing.SMALL * edge)
    assert few < edge
    assert (small.shape[-1], of_small.shape[1]) == (few * config.patch_size, few**2)
    assert (whole.shape[-1], of_whole.shape[1]) == (config.tile_size, edge**2)
    losses = [seeing_loss(Seeing(config), batch, CPU)[0] for batch in (batches(0), batches(1))]
    assert all(math.isfinite(float(loss.detach())) for loss in losses)


def test_most_charts_that_are_seen_have_words(config: VitaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "PRINT_SHARES", {"chart": 1.0})
    _, slots, _ = PictureBatches(config, seed=0, batch_size=60, print_share=1.0)(0)
    worded = (slots[:, 1, 6] > 0).float().mean()
    assert seeing.WORDED_CHARTS - 0.15 < worded < seeing.WORDED_CHARTS + 0.3


def test_labels_of_drawn_pictures_are_classes() -> None:
    rng = random.Random(1)
    for _ in range(60):
        scene = random_scene(rng)
        labels = patch_labels(scene, render_marked(scene, rng)[1], 14)
        assert labels.shape == (196, len(PATCH_GROUPS))
        assert (labels >= 0).all()
        assert (labels.max(0) < np.asarray(PATCH_GROUPS)).all()
        assert labels.any()


def test_batches_depend_on_seed_and_step_alone(config: VitaConfig) -> None:
    one, two = (PictureBatches(config, seed=0, batch_size=4) for _ in range(2))
    two(0)
    assert all(torch.equal(a, b) for a, b in zip(one(3), two(3), strict=True))
    assert not torch.equal(one(3)[0], one(4)[0])
    assert not torch.equal(one(3)[0], PictureBatches(config, seed=1, batch_size=4)(3)[0])
    pixels, slots, patches = one(3)
    assert (pixels.shape, pixels.dtype) == ((4, 3, 64, 64), torch.float32)
    assert slots.shape == (4, NUM_SLOTS, len(GROUP_SIZES))
    assert patches.shape == (4, (64 // config.patch_size) ** 2, len(PATCH_GROUPS))


@pytest.mark.parametrize("size", [(64, 64), (300, 120), (90, 400), (33, 57)])
def test_pictures_are_normalised_as_the_processor_does(tokenizer, config: VitaConfig, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    ours = PictureBatches(config, seed=0, batch_size=1).normalise(smooth)
    used = VitaProcessor(tokenizer, config).encode_medium(messages.Image(smooth)).pixel_values
    assert used is not None
    assert np.abs(ours - used[0]).max() < 2.1 / 255 / min(config.image_std)


def test_the_grouped_loss_is_a_weighted_mean_of_each_group() -> None:
    torch.manual_seed(0)
    groups, logits = (3, 2), torch.randn(2, 4, 5)
    labels = torch.tensor([[[0, 0], [1, 0], [2, 1], [0, 0]], [[0, 1], [0, 0], [0, 0], [1, 1]]])
    wanted = 0.0
    for start, size, factor in ((0, 3, 0), (3, 2, 1)):
        total = weights = 0.0
        for row, slot in itertools.product(range(2), range(4)):
            label = int(labels[row, slot, factor])
            weight = 1.0 if label else seeing.RARE_WEIGHT
            log_probs = logits[row, slot, start : start + size].log_softmax(-1)
            total, weights = total - weight * float(log_probs[label]), weights + weight
        wanted += total / weights
    assert float(grouped_loss(logits, labels, groups)) == pytest.approx(wanted, rel=1e-5)


def test_what_is_ignored_is_not_learned_from() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 5, requires_grad=True), torch.tensor([[[0], [1], [-1]], [[-1], [2], [-1]]])
    grouped_loss(logits, labels, (5,)).backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(-1) > 0).tolist() == [[True, True, False], [False, True, False]]
    assert float(grouped_loss(logits, torch.full_like(labels, -1), (5,)).detach()) == 0.0


def test_a_sheet_teaches_characters_and_no_slots(config: VitaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "PRINT_SHARES", {"sheet": 1.0})
    _, slots, patches = PictureBatches(config, seed=0, batch_size=3, print_share=1.0)(0)
    assert (slots == seeing.IGNORED).all()
    assert (patches[..., 3] == seeing.IGNORED).all()
    assert not patches[..., :2].any()
    assert ((patches[..., 2] > 0).sum(1) >= 4).all()


def test_right_guesses_are_counted(config: VitaConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows every label is always right; one that is wrong in one factor of one shape is not."""
    monkeypatch.setattr(seeing, "PRINT_SHARES", {"text": 1.0})
    halves = [PictureBatches(config, seed=0, batch_size=4, print_share=share)(0) for share in (0.0, 1.0)]
    batch = torch.cat([h[0] for h in halves]), torch.cat([h[1] for h in halves]), torch.cat([h[2] for h in halves])

    def figures(slots: torch.Tensor) -> dict[str, float]:
        sure = slots.clamp(min=0), batch[2].clamp(min=0)  # an ignored label is no class
        logits = torch.cat([F.one_hot(sure[0][..., k], n) * 30.0 for k, n in enumerate(GROUP_SIZES)], -1)
        patches = torch.cat([F.one_hot(sure[1][..., k], n) * 30.0 for k, n in enumerate(PATCH_GROUPS)], -1)
        monkeypatch.setattr(Seeing, "forward", lambda self, pixels: (logits, patches))
        loss, told = seeing_loss(Seeing(config), batch, CPU)
        assert (float(loss) < 1e-3) == torch.equal(slots, batch[1])
        return told

    assert figures(batch[1]) == pytest.approx(
        {"patch_loss": 0.0, "shapes_right": 1.0, "print_right": 1.0, "empty_right": 1.0}, abs=1e-3
    )
    wrong = batch[1].clone()
    row, slot = (wrong[..., 1] > 0).nonzero()[0].tolist()
    wrong[row, slot, 2] = wrong[row, slot, 2] % len(COLOURS) + 1
    filled = int((batch[1][..., 1] > 0).sum())
    assert figures(wrong)["shapes_right"] == pytest.approx(1 - 1 / filled)


def test_a_batch_without_shapes_has_finite_figures(config: VitaConfig) -> None:
    pixels, slots, patches = PictureBatches(config, seed=0, batch_size=2)(0)
    loss, figures = seeing_loss(Seeing(config), (pixels, torch.zeros_like(slots), torch.zeros_like(patches)), CPU)
    assert math.isfinite(float(loss.detach()))
    assert all(math.isfinite(value) for value in figures.values())


def test_a_few_steps_lower_the_loss(config: VitaConfig) -> None:
    torch.manual_seed(0)
    model = Seeing(config)
    batch = PictureBatches(config, seed=0, batch_size=4)(0)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        loss, _ = seeing_loss(model, batch, CPU)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]
    assert [name for name, p in model.named_parameters() if p.grad is None] == [
        f"connector.projection.{name}" for name in ("table", "residual.weight", "residual.bias")
    ]

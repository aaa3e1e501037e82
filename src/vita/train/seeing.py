"""Stage 2a for the pocket model: the vision tower and its connector learn to say what is where.

Labels are dense: every slot of the connector (its own posteriors), and every patch of the tower (training only).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from vita.models.configuration_vita import VitaConfig
from vita.models.slots import SlotsConnector
from vita.models.vision_tower import VisionTower
from vita.synth.render import Mark, render_marked
from vita.synth.scenes import (
    CHARACTERS,
    COLOURS,
    GROUP_SIZES,
    NUM_SLOTS,
    SHAPES,
    Scene,
    characters,
    random_clip,
    random_scene,
    slot_labels,
    thing_slots,
    worded_boxes,
)
from vita.synth.sheets import CharMark, render_sheet

PATCH_GROUPS = (len(SHAPES) + 1, len(COLOURS) + 1, len(CHARACTERS) + 1, NUM_SLOTS + 1)
PRINT_SHARES = {"text": 0.2, "sum": 0.16, "chart": 0.48, "sheet": 0.16}
"""Of the pictures with print; the characters of a chart are few and small, those of a sheet many."""
WORDED_CHARTS = 0.6
"""Of the charts: boxes of words, whose letters stand side by side; in the world there are fewer of them."""
SMALL = 0.7
"""Edge of the pictures that stage 2a begins with, as a share of the tile's: half the pixels, half the time."""
IGNORED = -1
"""A label that is not learned from: a sheet's characters have no slots."""
RARE_WEIGHT = 0.1
"""Weight of "none" classes: most slots and patches are empty."""


class Seeing(nn.Module):
    """Tower, connector and the patch head."""

    def __init__(self, config: VitaConfig) -> None:
        super().__init__()
        self.tower = VisionTower(config.vision_config, config.patch_size)
        self.connector = SlotsConnector(config)
        self.patches = nn.Linear(config.vision_width, sum(PATCH_GROUPS))

    def forward(self, pixels_NCSS: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the slots [N, K, sum(GROUP_SIZES)] and of the patches [N, P, sum(PATCH_GROUPS)]."""
        patches = self.connector.place(self.tower(pixels_NCSS))
        slots = self.connector.projection.logits(self.connector.read(patches))
        return slots.float(), self.patches(patches).float()


def patch_labels(scene: Scene, marks: Sequence[Mark], edge: int) -> np.ndarray:
    """[edge * edge, 4] int64: shape, colour, character and slot + 1 drawn in each patch; 0 is none."""
    labels = np.zeros((edge, edge, 4), np.int64)
    things = dict(thing_slots(scene.things))
    letters = {slot: character for slot, *_, character in characters(scene)} if scene.kind != "shapes" else {}
    for left, top, right, bottom, slot in marks:
        if slot >= NUM_SLOTS:
            continue
        columns, rows = _span(left, right, edge), _span(top, bottom, edge)
        if scene.kind == "shapes":
            label = (SHAPES.index(things[slot].shape) + 1, COLOURS.index(things[slot].colour) + 1, 0, slot + 1)
        else:
            label = (0, 0, CHARACTERS.index(letters[slot]) + 1, slot + 1)
        labels[rows, columns] = label
    return labels.reshape(edge * edge, 4)


def sheet_labels(marks: Sequence[CharMark], edge: int) -> np.ndarray:
    """[edge * edge, 4] int64 as `patch_labels`, of a sheet: its slots are not learned from."""
    labels = np.zeros((edge, edge, 4), np.int64)
    for left, top, right, bottom, character in marks:
        labels[_span(top, bottom, edge), _span(left, right, edge), 2] = CHARACTERS.index(character) + 1
    labels[..., 3] = IGNORED
    return labels.reshape(edge * edge, 4)


def _span(low: float, high: float, edge: int) -> slice:
    """Patches whose centre lies between two fractions, at least the one in the middle."""
    first, last = int(np.ceil(low * edge - 0.5)), int(np.floor(high * edge - 0.5))
    if last < first:
        first = last = int((low + high) / 2 * edge)
    return slice(max(first, 0), min(last, edge - 1) + 1)


class PictureBatches:
    """Pictures (and single frames of clips) with their labels, by step."""

    def __init__(
        self, config: VitaConfig, *, seed: int, batch_size: int, print_share: float = 0.5, small_steps: int = 0
    ) -> None:
        """
        Args:
            config: of the model: sizes, normalisation.
            seed, batch_size: of the batches.
            print_share: share of words, sums and charts; the others are shapes, of which one in four is a clip's frame.
            small_steps: the first steps, whose pictures are SMALL.
        """
        self.seed, self.batch_size, self.print_share = seed, batch_size, print_share
        self.small_steps, self.patch_size = small_steps, config.patch_size
        self.edge = config.tile_size // config.patch_size
        self.mean = np.asarray(config.image_mean, np.float32) * 255
        self.std = np.asarray(config.image_std, np.float32) * 255

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """pixels [N, 3, S, S], slot labels [N, K, 7], patch labels [N, P, 4]."""
        rng = random.Random(f"pictures {self.seed} {step}")
        edge = round(self.edge * SMALL) if step < self.small_steps else self.edge
        pixels, slots, patches = [], [], []
        for _ in range(self.batch_size):
            image, of_slots, of_patches = self._picture(rng, edge)
            pixels.append(self.normalise(image, edge))
            slots.append(of_slots)
            patches.append(of_patches)
        return (
            torch.from_numpy(np.stack(pixels)),
            torch.from_numpy(np.stack(slots)),
            torch.from_numpy(np.stack(patches)),
        )

    def _picture(self, rng: random.Random, edge: int) -> tuple[Image.Image, np.ndarray, np.ndarray]:
        """A picture, the labels of its slots and of its edge x edge patches."""
        kind = "shapes"
        if rng.random() < self.print_share:
            kind = rng.choices(list(PRINT_SHARES), list(PRINT_SHARES.values()))[0]
        if kind == "sheet":
            image, characters_at = render_sheet(rng)
            return image, np.full((NUM_SLOTS, len(GROUP_SIZES)), IGNORED), sheet_labels(characters_at, edge)
        clip = kind == "shapes" and rng.random() < 0.25
        scene = rng.choice(random_clip(rng).frames) if clip else random_scene(rng, kind)
        if kind == "chart" and rng.random() < WORDED_CHARTS:
            scene = Scene(kind="chart", boxes=worded_boxes(rng))
        image, marks = render_marked(scene, rng)
        return image, slot_labels(scene), patch_labels(scene, marks, edge)

    def normalise(self, image: Image.Image, edge: int | None = None) -> np.ndarray:
        """[3, S, S] float32, resized as the processor does to a square of edge x edge patches, by default a tile."""
        size = (edge or self.edge) * self.patch_size
        resized = image.resize((size, size), Image.Resampling.BICUBIC)
        return ((np.asarray(resized, np.float32) - self.mean) / self.std).transpose(2, 0, 1)


def grouped_loss(logits: Tensor, labels: Tensor, groups: Sequence[int]) -> Tensor:
    """Sum over groups of the cross entropy, "none" classes counting RARE_WEIGHT, IGNORED ones nothing."""
    total = logits.new_zeros(())
    for part, label in zip(logits.split(list(groups), -1), labels.unbind(-1), strict=True):
        label = label.flatten()
        loss = F.cross_entropy(part.flatten(0, -2), label, reduction="none", ignore_index=IGNORED)
        weight = torch.where(label > 0, 1.0, RARE_WEIGHT) * (label != IGNORED)
        total = total + (loss * weight).sum() / weight.sum().clamp(min=1e-6)
    return total


def seeing_loss(
    model: Seeing, batch: tuple[Tensor, Tensor, Tensor], device: torch.device
) -> tuple[Tensor, dict[str, float]]:
    """Slots + 0.5 x patches; figures: share of filled slots that are right in every factor."""
    pixels, slots, patches = (x.to(device) for x in batch)
    slot_logits, patch_logits = model(pixels)
    slot_loss = grouped_loss(slot_logits, slots, GROUP_SIZES)
    patch_loss = grouped_loss(patch_logits, patches, PATCH_GROUPS)
    with torch.no_grad():
        guesses = torch.stack([g.argmax(-1) for g in slot_logits.split(list(GROUP_SIZES), -1)], -1)
        right = (guesses[..., [0, 1, 2, 3, 6]] == slots[..., [0, 1, 2, 3, 6]]).all(-1)
        filled, print_, empty = slots[..., 0] > 0, slots[..., 6] > 0, slots[..., 0] == 0
        shape = filled & ~print_
        figures = {
            "patch_loss": float(patch_loss),
            "shapes_right": _share(right, shape),
            "print_right": _share(right, print_),
            "empty_right": _share(right, empty),
        }
    return slot_loss + 0.5 * patch_loss, figures


def _share(right: Tensor, chosen: Tensor) -> float:
    """Share of the chosen slots that are right; 0 where there are none."""
    return float(right[chosen].float().mean()) if chosen.any() else 0.0

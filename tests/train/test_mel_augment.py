"""Augmentation of mel frames: lengths, ratios, what is left alone, and the same change for the same seed."""

from __future__ import annotations

import math

import pytest
import torch

from vita.train import mel_augment
from vita.train.mel_augment import DB, MelAugment, augment, stretch, warp_tract

CPU = torch.device("cpu")
FLOOR = -15.942385


def clips(*lengths: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 80, generator=generator) * 2 - 6 for n in lengths]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_strength_zero_leaves_clips_alone() -> None:
    given = clips(50, 9, 120)
    mel, lengths = augment(given, MelAugment(strength=0.0), seed=3, device=CPU)
    assert lengths.tolist() == [50, 9, 120]
    assert mel.shape == (3, 120, 80)
    for row, clip in zip(mel, given, strict=True):
        assert torch.equal(row[: len(clip)], clip)
        assert (row[len(clip) :] == torch.tensor(FLOOR)).all()


def test_half_precision_clips_become_float32() -> None:
    mel, _ = augment([clip.half() for clip in clips(20, 30)], MelAugment(), seed=0, device=CPU)
    assert mel.dtype == torch.float32


def test_the_same_seed_makes_the_same_change() -> None:
    given = clips(60, 90, 75)
    first, again, other = (augment(given, MelAugment(), seed=seed, device=CPU) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])


def test_full_strength_changes_every_clip_and_stays_finite() -> None:
    for seed in range(20):
        given = clips(*range(40, 80, 5), seed=seed)
        mel, lengths = augment(given, MelAugment(), seed=seed, device=CPU)
        assert torch.isfinite(mel).all()
        assert mel.shape == (8, int(lengths.max()), 80)
        for row, length, clip in zip(mel, lengths.tolist(), given, strict=True):
            assert 0.85 * len(clip) - 1 <= length <= 1.15 * len(clip)
            same = min(length, len(clip))
            assert (row[:same] - clip[:same]).abs().mean() > 0.1


def test_lengths_vary_by_the_tempo() -> None:
    ratios = []
    for seed in range(30):
        _, lengths = augment(clips(200, 200), MelAugment(tempo=0.15), seed=seed, device=CPU)
        ratios += (lengths / 200).tolist()
    assert min(ratios) < 0.9
    assert max(ratios) > 1.1
    _, lengths = augment(clips(200, 200), MelAugment(tempo=0.0), seed=0, device=CPU)
    assert lengths.tolist() == [200, 200]


def test_stretch() -> None:
    (clip,) = clips(40)
    assert torch.allclose(stretch(clip, 1.0), clip, atol=1e-5)
    double = stretch(clip, 2.0)
    assert len(double) == 80
    assert torch.allclose(double[[0, -1]], clip[[0, -1]], atol=1e-4)
    assert len(stretch(clip, 0.01)) == 8


def test_warp_tract_moves_a_peak() -> None:
    mel = torch.zeros(3, 5, 80)
    mel[:, :, 40] = 1.0
    assert torch.allclose(warp_tract(mel, torch.ones(3)), mel, atol=1e-4)
    warped = warp_tract(mel, torch.tensor([0.8, 1.0, 1.25]))
    assert warped.argmax(-1)[:, 0].tolist() == [50, 40, 32]


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 25.0])
def test_noise_has_the_ratio_asked_for(snr_db: float) -> None:
    """At the ratio over the whole clip; another clip as noise is 8 dB weaker."""
    lengths = torch.tensor([100, 80, 60, 100, 90, 70])
    mel = torch.full((6, 100, 80), FLOOR)
    for row, clip in zip(mel, clips(*lengths.tolist()), strict=True):
        row[: len(clip)] = clip
    chosen = torch.tensor([True, True, True, True, True, False])
    noisy = mel_augment.add_noise(mel, lengths, chosen, torch.full((6,), snr_db), generator(5))
    assert torch.equal(noisy[5], mel[5])
    for row in range(5):
        clean, mixed = (x[row, : lengths[row]].double().exp() for x in (mel, noisy))
        found = 10 * math.log10(clean.sum() / (mixed - clean).sum())
        assert found == pytest.approx(snr_db, abs=0.2) or found == pytest.approx(snr_db + 8, abs=0.2)


def test_a_room_smears_forward_only() -> None:
    mel = torch.full((2, 40, 80), FLOOR)
    mel[:, 10] = 0.0
    wet = mel_augment.reverberate(mel, torch.tensor([True, False]), generator())
    assert torch.equal(wet[1], mel[1])
    assert torch.allclose(wet[0, :10], mel[0, :10], atol=0.2)
    tail = wet[0, 11:30, 0]
    assert (tail > FLOOR + 3).all()
    assert (tail.diff() < 0).all()
    assert wet[0, 10, 0] == pytest.approx(0.0, abs=1e-3)


def test_masks_are_bands_and_spans_of_the_mean() -> None:
    mel = torch.stack(clips(60, 60, 60))
    lengths, chosen = torch.tensor([60, 60, 60]), torch.tensor([True, True, False])
    seen = 0
    for seed in range(10):
        masked = mel_augment.mask_bands(mel, lengths, chosen, generator(seed))
        assert torch.equal(masked[2], mel[2])
        for row in range(2):
            changed = masked[row] != mel[row]
            seen += int(changed.any())
            assert torch.allclose(masked[row][changed], mel[row].mean(), atol=1e-4)
            bands, spans = changed.all(0), changed.all(1)
            assert int(bands.sum()) <= 24
            assert int(spans.sum()) <= 24
            assert torch.equal(changed, bands[None] | spans[:, None])
    assert seen > 15


def test_curves_are_smooth_and_of_their_scale() -> None:
    curves = mel_augment.smooth_curve(400, 80, 2.0, generator())
    assert curves.shape == (400, 80)
    assert curves[:, 0].std() == pytest.approx(2.0, abs=0.3)
    assert curves.diff(dim=1).abs().max() < 1.0


def test_a_decibel() -> None:
    assert math.exp(10 * DB) == pytest.approx(10)

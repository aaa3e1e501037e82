"""Augmentation on log-mel frames: tempo, vocal tract length, channel, room, noise, SpecAugment. No waveform is touched.

Shape legend: B clips, T frames, F mel bins. Natural-log power, as `vita.models.filterbank` gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

DB = math.log(10) / 10
"""Natural-log power per decibel."""


@dataclass(frozen=True, kw_only=True)
class MelAugment:
    """How strongly clips are changed; every probability is per clip.

    strength: 0 leaves clips alone, 1 is full.
    tempo: largest relative change of speed.
    tract: largest relative change of the frequency axis.
    noise_rate, reverb_rate, mask_rate: share of clips with noise, room, masks.
    low_snr_db, high_snr_db: range of the signal-to-noise ratio.
    """

    strength: float = 1.0
    tempo: float = 0.15
    tract: float = 0.13
    noise_rate: float = 0.5
    reverb_rate: float = 0.2
    mask_rate: float = 0.7
    low_snr_db: float = 2.0
    high_snr_db: float = 30.0


def stretch(mel_TF: Tensor, factor: float) -> Tensor:
    """A clip at `factor` times its duration (linear interpolation over time)."""
    frames = max(8, int(mel_TF.shape[0] * factor))
    return F.interpolate(mel_TF.T[None], size=frames, mode="linear", align_corners=True)[0].T


def warp_tract(mel_BTF: Tensor, factor_B: Tensor) -> Tensor:
    """Scale the mel axis: a longer or shorter vocal tract."""
    bins = mel_BTF.shape[-1]
    source = (torch.arange(bins, device=mel_BTF.device) * factor_B[:, None]).clamp(0, bins - 1.001)
    low = source.floor().long()
    weight = (source - low)[:, None, :]
    low = low[:, None, :].expand(mel_BTF.shape)
    return mel_BTF.gather(2, low) * (1 - weight) + mel_BTF.gather(2, low + 1) * weight


def smooth_curve(count: int, bins: int, scale: float, generator: torch.Generator) -> Tensor:
    """[count, bins] random smooth curves over the mel axis, standard deviation about `scale`."""
    coarse = torch.randn(count, 1, 6, generator=generator) * scale
    return F.interpolate(coarse, size=bins, mode="linear", align_corners=True)[:, 0]


def add_noise(
    mel_BTF: Tensor, lengths_B: Tensor, chosen_B: Tensor, snr_db_B: Tensor, generator: torch.Generator
) -> Tensor:
    """Stationary coloured noise, or another clip of the batch, at a given signal-to-noise ratio over the whole clip."""
    count, frames, bins = mel_BTF.shape
    device = mel_BTF.device
    colour = smooth_curve(count, bins, 1.6, generator).to(device)[:, None, :]
    colour = colour + torch.linspace(0, -1, bins, device=device) * (
        torch.rand(count, 1, 1, generator=generator).to(device) * 5
    )
    grain = -torch.empty(count, frames, bins).exponential_(3.0, generator=generator).to(device)
    slow = F.interpolate(torch.randn(count, 1, 8, generator=generator), size=frames, mode="linear")[:, 0, :, None].to(
        device
    )
    noise = colour + grain + slow * (torch.rand(count, 1, 1, generator=generator).to(device))
    others = mel_BTF[torch.randperm(count, generator=generator).to(device)]
    use_other = (torch.rand(count, generator=generator) < 0.2).to(device)[:, None, None]
    noise = torch.where(use_other & (others > -15.0), others, noise)
    valid = (torch.arange(frames, device=device) < lengths_B[:, None])[..., None]
    signal_power = (mel_BTF.exp() * valid).sum((1, 2))
    noise_power = (noise.exp() * valid).sum((1, 2)) + 1e-9
    snr = torch.where(use_other[:, 0, 0], snr_db_B + 8, snr_db_B)
    gain = (signal_power / noise_power).clamp_min(1e-12).log() - snr * DB
    noisy = torch.logaddexp(mel_BTF, noise + gain[:, None, None])
    return torch.where(chosen_B[:, None, None], noisy, mel_BTF)


def reverberate(mel_BTF: Tensor, chosen_B: Tensor, generator: torch.Generator) -> Tensor:
    """Smear the power of a clip over time: an exponentially dying room of 0.1-0.5 s."""
    count, taps = len(mel_BTF), 24
    decay = 0.01 * 13.8 / (0.1 + 0.4 * torch.rand(count, generator=generator))
    level = 0.02 + 0.25 * torch.rand(count, generator=generator)
    kernel = torch.exp(-decay[:, None] * torch.arange(taps)) * level[:, None]
    kernel[:, 0] = 1.0
    power = mel_BTF.exp().transpose(1, 2)
    kernel = kernel.flip(1).to(mel_BTF.device)
    smeared = F.conv1d(F.pad(power, (taps - 1, 0)).transpose(0, 1), kernel[:, None], groups=count).transpose(0, 1)
    wet = smeared.clamp_min(1e-7).log().transpose(1, 2)
    return torch.where(chosen_B[:, None, None], wet, mel_BTF)


def mask_bands(mel_BTF: Tensor, lengths_B: Tensor, chosen_B: Tensor, generator: torch.Generator) -> Tensor:
    """SpecAugment: two bands of up to 12 bins and two spans of up to 12 frames become the clip's mean."""
    count, frames, bins = mel_BTF.shape
    device = mel_BTF.device
    masked = torch.zeros(count, frames, bins, dtype=torch.bool, device=device)
    for _ in range(2):
        width = torch.randint(0, 13, (count,), generator=generator)
        start = (torch.rand(count, generator=generator) * (bins - width)).long()
        axis = torch.arange(bins)
        band = (axis >= start[:, None]) & (axis < (start + width)[:, None])
        masked |= band[:, None, :].to(device)
        span = torch.randint(0, 13, (count,), generator=generator)
        begin = (torch.rand(count, generator=generator) * (lengths_B.cpu() - span).clamp_min(1)).long()
        time = torch.arange(frames)
        hole = (time >= begin[:, None]) & (time < (begin + span)[:, None])
        masked |= hole[:, :, None].to(device)
    return torch.where(masked & chosen_B[:, None, None], mel_BTF.mean((1, 2), keepdim=True), mel_BTF)


def augment(clips: list[Tensor], settings: MelAugment, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Changed clips as one padded batch.

    Args:
        clips: [T, F] float tensors of any length.
        settings: how strongly.
        seed: the same seed changes the same clips in the same way.

    Returns:
        mel [B, T, F] float32 (padding is -15.94, the floor of the filterbank) and lengths [B].
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(clips), generator=generator)

    strength = settings.strength
    tempo = 1 + uniform(-settings.tempo, settings.tempo) * strength
    if strength > 0:
        clips = [stretch(c.float(), float(f)) for c, f in zip(clips, tempo, strict=True)]
    lengths = torch.tensor([len(c) for c in clips], device=device)
    mel = torch.nn.utils.rnn.pad_sequence([c.float() for c in clips], batch_first=True, padding_value=-15.942385).to(
        device
    )
    if strength <= 0:
        return mel, lengths
    mel = warp_tract(mel, (1 + uniform(-settings.tract, settings.tract) * strength).to(device))
    channel = smooth_curve(len(clips), mel.shape[-1], 0.7 * strength, generator) + uniform(-5, 2)[:, None] * strength
    mel = (mel + channel[:, None].to(device)).clamp_min(-15.942385)
    mel = reverberate(mel, (uniform(0, 1) < settings.reverb_rate * strength).to(device), generator)
    snr = uniform(settings.low_snr_db, settings.high_snr_db).to(device)
    mel = add_noise(mel, lengths, (uniform(0, 1) < settings.noise_rate * strength).to(device), snr, generator)
    return mask_bands(mel, lengths, (uniform(0, 1) < settings.mask_rate * strength).to(device), generator), lengths

"""Filterbank and CMVN against the reference's numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from vita.errors import MediaError
from vita.models.cmvn import Cmvn, read_cmvn
from vita.models.configuration_audio import MIN_FRAMES, VitaAudioConfig
from vita.models.filterbank import SAMPLE_RATE_HZ, MelStream, mel_features, num_frames

LOUD_NATS = 16
LOUD_TOLERANCE = 1e-3
QUIET_TOLERANCE = 2.0
MEAN_TOLERANCE = 1e-2
SILENCE_TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def cases(reference_file: Callable[[str], Path]) -> list[dict]:
    return json.loads(reference_file("fbank.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def tensors(reference_file: Callable[[str], Path]) -> dict[str, np.ndarray]:
    return load_file(reference_file("fbank.safetensors"))


def heard_waveform(case: dict, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """What the reference computes features of: the first channel, resampled to 16 kHz."""
    waveform = tensors[case["name"] + ".waveform"]
    first = waveform[0] if waveform.ndim == 2 else waveform
    return tensors.get(case["name"] + ".resampled", first)


def exact_features(samples: np.ndarray, sample_rate_hz: int, num_bins: int) -> np.ndarray:
    """The same features written down again in float64: how far the reference's own float32 rounding takes it."""
    window, shift = sample_rate_hz * 25 // 1000, sample_rate_hz * 10 // 1000
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64) * 32768, window)[::shift]
    frames = frames - frames.mean(1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / (window - 1))) ** 0.85
    size = 1 << (window - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * povey, size)[:, : size // 2]) ** 2
    mel_of_bin = 1127 * np.log1p(np.arange(size // 2) * sample_rate_hz / size / 700)
    edges = np.linspace(1127 * np.log1p(20 / 700), 1127 * np.log1p(sample_rate_hz / 2 / 700), num_bins + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (mel_of_bin - left) / (centre - left), (right - mel_of_bin) / (right - centre)
    return np.log(np.maximum(power @ np.maximum(np.minimum(rise, fall), 0).T, 1.1920929e-07))


def compare(record: Callable, name: str, ours: np.ndarray, theirs: np.ndarray, exact: np.ndarray) -> None:
    """Loud bins tightly, bins at the noise of the FFT loosely, and the mean over all.

    Where exact arithmetic itself is further from the reference than its tolerance of the mean (chirps whose window has
    the wrong rate: 1.1e-2), twice that distance is allowed.
    """
    assert ours.shape == theirs.shape == exact.shape
    difference = np.abs(ours - theirs)
    loud = theirs > theirs.max(-1, keepdims=True) - LOUD_NATS
    assert np.abs(exact - theirs)[loud].max() <= LOUD_TOLERANCE
    record(f"{name} loud bins", difference[loud].max(), LOUD_TOLERANCE)
    if not loud.all():
        record(f"{name} quiet bins", difference[~loud].max(), QUIET_TOLERANCE)
    record(f"{name} mean", difference.mean(), max(MEAN_TOLERANCE, 2 * np.abs(exact - theirs).mean()))


def test_features(cases: list[dict], tensors: dict[str, np.ndarray], record_difference: Callable) -> None:
    """Ours take 16 kHz; given the file's own rate they are what the reference returns for other rates."""
    compared = set()
    for case in cases:
        if case["error"]:
            continue
        waveform, name = heard_waveform(case, tensors), case["name"]
        for suffix, rate in {"fbank": case["sample_rate"], "fbank_at_16k": SAMPLE_RATE_HZ}.items():
            theirs = tensors.get(f"{name}.{suffix}")
            if theirs is None:
                continue
            compared.add(f"{name}.{suffix}")
            ours = mel_features(waveform, sample_rate_hz=rate, num_bins=theirs.shape[1])
            if waveform.any():
                exact = exact_features(waveform, rate, theirs.shape[1])
                compare(record_difference, f"{name}.{suffix}", ours, theirs, exact)
            else:
                record_difference(f"{name}.{suffix} (silence)", np.abs(ours - theirs).max(), SILENCE_TOLERANCE)
    assert compared == {name for name in tensors if ".fbank" in name}


def test_what_the_reference_cannot_take_is_a_media_error(cases: list[dict], tensors: dict[str, np.ndarray]) -> None:
    for case in cases:
        if case["error"]:
            with pytest.raises(MediaError, match="at least 25 ms"):
                mel_features(heard_waveform(case, tensors))


def test_stream_equals_clip_bit_for_bit(cases: list[dict], tensors: dict[str, np.ndarray]) -> None:
    random = np.random.default_rng(0)
    for case in cases:
        if case["error"]:
            continue
        waveform, stream, pieces = heard_waveform(case, tensors), MelStream(), []
        cuts = np.sort(random.integers(0, len(waveform), 7))
        for piece in np.split(waveform, cuts):
            pieces.append(stream.push(piece))
        np.testing.assert_array_equal(np.concatenate(pieces), mel_features(waveform))


def test_wav_files_hold_the_waveforms(
    cases: list[dict],
    tensors: dict[str, np.ndarray],
    reference_file: Callable[[str], Path],
    record_difference: Callable,
) -> None:
    for case in cases:
        samples, rate = soundfile.read(reference_file(case["wav"]), dtype="float32")
        assert rate == case["sample_rate"]
        record_difference(f"{case['name']}.wav", np.abs(samples.T - tensors[case["name"] + ".waveform"]).max(), 0.0)


def test_lengths(cases: list[dict], tensors: dict[str, np.ndarray], reference_file: Callable[[str], Path]) -> None:
    """Frames and tokens. Sounds of 1-6 frames give the reference no token and us one."""
    config = VitaAudioConfig(connector_type="subsampling")
    table = json.loads(reference_file("fbank.json").read_text(encoding="utf-8"))["audio_for_llm_table"]
    for frames, tokens in table.items():
        assert config.num_audio_tokens(int(frames)) == (tokens if int(frames) >= MIN_FRAMES else 1)
    for case in cases:
        num_samples = len(heard_waveform(case, tensors))
        if case["error"]:
            assert num_frames(num_samples, case["sample_rate"]) == 0
            continue
        assert num_frames(num_samples, case["sample_rate"]) == case["num_frames"]
        if "num_frames_at_16k" in case:
            assert num_frames(num_samples) == case["num_frames_at_16k"]
            assert config.num_audio_tokens(case["num_frames_at_16k"]) == case["audio_for_llm_at_16k"]
        if case["num_frames"] >= MIN_FRAMES:
            assert config.num_audio_tokens(case["num_frames"]) == case["audio_for_llm"]


@pytest.fixture(scope="module")
def cmvn_tensors(reference_file: Callable[[str], Path]) -> dict[str, np.ndarray]:
    return load_file(reference_file("cmvn.safetensors"))


@pytest.fixture(scope="module")
def statistics(reference_file: Callable[[str], Path]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What we read from each statistics file, by the prefix of its tensors: format and number of bins."""
    read = {}
    for path in sorted(reference_file("cmvn").iterdir()):
        mean, istd = read_cmvn(path)
        kind = "json" if path.read_text(encoding="utf-8").lstrip().startswith("{") else "kaldi"
        read[f"{kind}{len(mean)}"] = (mean, istd)
    return read


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference relative to the reference's value."""
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), np.finfo(np.float64).tiny)).max())


def test_cmvn_statistics(
    cmvn_tensors: dict[str, np.ndarray],
    statistics: dict[str, tuple[np.ndarray, np.ndarray]],
    record_difference: Callable,
) -> None:
    prefixes = {name.split(".")[0] for name in cmvn_tensors if name.endswith("_f64")}
    assert prefixes == set(statistics)
    for prefix, (mean, istd) in statistics.items():
        module = Cmvn(len(mean))
        module.load_statistics(mean, istd)
        for name, double, single in (("mean", mean, module.mean), ("istd", istd, module.istd)):
            theirs = cmvn_tensors[f"{prefix}.{name}"]
            record_difference(f"{prefix}.{name}_f64", relative(double, cmvn_tensors[f"{prefix}.{name}_f64"]), 1e-12)
            record_difference(f"{prefix}.{name}", relative(single.numpy(), theirs), 1e-6)


@pytest.mark.parametrize(("output", "normalize_variance"), [("output", True), ("output_no_var", False)])
def test_cmvn_applied(
    cmvn_tensors: dict[str, np.ndarray],
    statistics: dict[str, tuple[np.ndarray, np.ndarray]],
    record_difference: Callable,
    output: str,
    normalize_variance: bool,
) -> None:
    features = torch.from_numpy(cmvn_tensors["apply.input"])
    module = Cmvn(features.shape[1], normalize_variance=normalize_variance)
    module.load_statistics(*statistics[f"json{features.shape[1]}"])
    theirs = cmvn_tensors[f"apply.{output}"]
    record_difference(f"apply.{output}", np.abs(module(features).numpy() - theirs).max(), 1e-5)

"""Sound of every format, rate and channel count comes out as the same mono 16 kHz float32."""

from __future__ import annotations

import numpy as np
import pytest

from vita.errors import LimitError, MediaError
from vita.media import SAMPLE_RATE_HZ, MediaLimits, load_audio, resample_audio
from vita.media import audio as audio_module

from . import make

SNDFILE = {
    "wav-16-bit": ("WAV", "PCM_16"),
    "wav-24-bit": ("WAV", "PCM_24"),
    "wav-32-bit": ("WAV", "PCM_32"),
    "wav-8-bit": ("WAV", "PCM_U8"),
    "wav-float": ("WAV", "FLOAT"),
    "wav-double": ("WAV", "DOUBLE"),
    "wav-mu-law": ("WAV", "ULAW"),
    "flac": ("FLAC", "PCM_16"),
    "flac-24-bit": ("FLAC", "PCM_24"),
    "ogg-vorbis": ("OGG", "VORBIS"),
    "ogg-opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
}
FFMPEG = {
    "m4a-aac": ("aac", "ipod", 44_100),
    "adts-aac": ("aac", "adts", 48_000),
    "webm-opus": ("libopus", "webm", 48_000),
    "mkv-flac": ("flac", "matroska", 44_100),
    "wma": ("wmav2", "asf", 44_100),
    "mov-pcm-u8": ("pcm_u8", "mov", 16_000),
    "mkv-pcm-s16": ("pcm_s16le", "matroska", 22_050),
    "mkv-pcm-s32": ("pcm_s32le", "matroska", 22_050),
    "mkv-pcm-f64": ("pcm_f64le", "matroska", 22_050),
}


def level_and_noise(samples: np.ndarray, hz: float = make.TONE_HZ) -> tuple[float, float]:
    """Amplitude of the tone in the middle of `samples`, and its distance to everything else in dB."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    angle = 2 * np.pi * hz * np.arange(len(middle)) / SAMPLE_RATE_HZ
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    weights = np.linalg.lstsq(basis, middle, rcond=None)[0]
    rest = middle - basis @ weights
    return float(np.hypot(*weights)), float(10 * np.log10((weights @ weights / 2) / np.mean(rest**2)))


def assert_is_tone(samples: np.ndarray, seconds: float, *, snr_db: float = 30.0, slack_s: float = 0.0) -> None:
    """Mono float32 16 kHz of about the right length, with the tone that was written."""
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert abs(len(samples) / SAMPLE_RATE_HZ - seconds) <= slack_s + 1 / SAMPLE_RATE_HZ
    amplitude, measured_db = level_and_noise(samples)
    assert amplitude == pytest.approx(0.5, rel=0.03)
    assert measured_db > snr_db


@pytest.mark.parametrize("name", SNDFILE)
def test_formats_of_libsndfile(name: str) -> None:
    form, subtype = SNDFILE[name]
    data = make.wav(make.tone(0.6, 48_000), 48_000, subtype, form)
    assert_is_tone(load_audio(data), 0.6, slack_s=0.06 if form == "MP3" else 0.0)


@pytest.mark.parametrize("name", FFMPEG)
def test_formats_of_ffmpeg(name: str) -> None:
    codec, container, rate_hz = FFMPEG[name]
    data = make.encoded_audio(codec, container, 0.6, rate_hz)
    assert_is_tone(load_audio(data), 0.6, snr_db=20.0, slack_s=0.12)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_rates_keep_length_and_tone(rate_hz: int) -> None:
    """Resampling is clean: the tone is 80 dB above everything else, and no sample is lost."""
    assert_is_tone(load_audio(make.wav(make.tone(1.0, rate_hz), rate_hz, "FLOAT")), 1.0, snr_db=80.0)


def test_what_16_khz_cannot_hold_is_filtered_out() -> None:
    """A tone of 11 kHz must vanish; without a filter it would come back as one of 5 kHz."""
    loaded = load_audio(make.wav(make.tone(1.0, 44_100, hz=11_000), 44_100, "FLOAT"))
    assert np.abs(loaded[1000:-1000]).max() < 1e-4


def test_16_khz_is_not_touched() -> None:
    samples = make.tone(0.3, 16_000).astype(np.float32)
    assert np.array_equal(load_audio(make.wav(samples, 16_000, "FLOAT")), samples)


@pytest.mark.parametrize("num_channels", [2, 6])
def test_channels_are_averaged(num_channels: int) -> None:
    """Stereo and 5.1: the mean, also where one channel cancels another."""
    samples = np.zeros((8_000, num_channels))
    samples[:, 0], samples[:, 1] = 0.6, -0.3
    loaded = load_audio(make.wav(samples, 16_000, "FLOAT"))
    np.testing.assert_allclose(loaded, 0.3 / num_channels, atol=1e-6)


def test_channels_through_ffmpeg() -> None:
    assert_is_tone(
        load_audio(make.encoded_audio("flac", "matroska", 0.6, 48_000, layout="5.1")), 0.6, snr_db=20, slack_s=0.12
    )


def test_loud_samples_are_clipped() -> None:
    loaded = load_audio(make.wav(np.full(4_000, 3e38), 16_000, "DOUBLE"))
    assert np.array_equal(loaded, np.ones(4_000, np.float32))
    loaded = load_audio(make.wav(np.full(4_000, -3e38), 8_000, "DOUBLE"))
    assert loaded.min() == -1.0
    assert np.isfinite(loaded).all()


def test_sound_track_of_a_video() -> None:
    video = make.encoded_video("libx264", "mp4", num_frames=10, audio="aac")
    assert_is_tone(load_audio(video), 1.0, snr_db=20, slack_s=0.1)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading in small blocks gives the very same samples."""
    data = make.wav(np.stack([make.tone(1.0, 44_100)] * 2, axis=1), 44_100)
    whole = load_audio(data)
    monkeypatch.setattr(audio_module, "_BLOCK_VALUES", 1_234)
    np.testing.assert_allclose(load_audio(data), whole, atol=1e-6)


def test_too_long_is_seen_while_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live WebM has no header that tells its length: reading stops soon after the limit."""
    data = make.encoded_audio("libopus", "webm", 30.0, 16_000, muxer={"live": "1"})
    decoded_s = []
    blocks = audio_module._blocks

    def spy(packet: object):
        for block, rate_hz in blocks(packet):
            decoded_s.append(len(block) / rate_hz)
            yield block, rate_hz

    monkeypatch.setattr(audio_module, "_blocks", spy)
    with pytest.raises(LimitError, match="too long"):
        load_audio(data, limits=MediaLimits(max_audio_s=2))
    assert sum(decoded_s) < 3


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_arrays(dtype: type) -> None:
    """Samples in memory: integers have their own full scale, columns are channels."""
    scale = 1 if np.dtype(dtype).kind == "f" else -np.iinfo(dtype).min
    stereo = np.stack([make.tone(0.5, 24_000)] * 2, axis=1)
    assert_is_tone(resample_audio((stereo * scale).astype(dtype), 24_000), 0.5)
    assert_is_tone(resample_audio((stereo[:, 0] * scale).astype(dtype), 24_000), 0.5)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (np.zeros((2, 2, 2)), 16_000, "not an array of samples"),
        (np.zeros(4, np.uint8), 16_000, "not an array of samples"),
        (np.zeros((4, 0)), 16_000, "not an array of samples"),
        (np.zeros(0), 16_000, "0 samples"),
        (np.zeros(4), 0, "sample rate"),
        (np.zeros(4), 10**9, "sample rate"),
        (np.array([0.0, np.inf]), 16_000, "NaN or infinite"),
    ],
)
def test_bad_arrays(samples: np.ndarray, rate_hz: int, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        resample_audio(samples, rate_hz)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_whose_writer_did_not_know_its_size_is_read_to_its_end(size: int) -> None:
    data = bytearray(make.wav(np.full(1600, 0.25), 16_000))
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    np.testing.assert_allclose(load_audio(bytes(data)), np.full(1600, 0.25), atol=1e-4)

"""Sound that is still arriving: the state of a stream, apart from the weights, and the steps that advance it.

A tower with chunks sees nothing beyond a frame's own chunk, so each chunk is encoded once, when it is complete, over
the keys and values kept of the chunks before it; the result is that of the chunk-masked batch. `AudioTower` and
`AudioConnector` offer these steps as methods; `AudioStream` joins them with the filterbank for the engine, `WholeAudio`
stands in for it where a tower cannot be streamed.
Shape legend: T mel frames, F mel bins, L encoder frames, D encoder width, N tokens, H width of the language model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vita.errors import ConfigError
from vita.models.audio_features import audio_features
from vita.models.audio_layers import LayerPast
from vita.models.configuration_audio import MIN_FRAMES, VitaAudioConfig
from vita.models.ctc_words import WordsHeard
from vita.models.filterbank import MelStream
from vita.models.posterior import PosteriorProjection

if TYPE_CHECKING:
    from vita.models.audio_connector import AudioConnector
    from vita.models.audio_tower import AudioTower
    from vita.models.whisper_tower import WhisperTower


@dataclass
class TowerStream:
    """Where one sound's encoding stands.

    chunk_size: encoder frames encoded together.
    left_chunks: chunks kept to the left, -1 for all.
    num_read: mel frames read so far.
    num_encoded: encoder frames given out so far.
    features: normalised mel frames [T, F] that later encoder frames still need.
    waiting: subsampled frames [L, subsampling_dim] of the incomplete chunk.
    past: what each layer keeps.
    finished: nothing more may come.
    """

    chunk_size: int
    left_chunks: int
    num_read: int = 0
    num_encoded: int = 0
    features: Tensor | None = None
    waiting: Tensor | None = None
    past: list[LayerPast] = field(default_factory=list)
    finished: bool = False


def open_tower_stream(
    config: VitaAudioConfig, training: bool, chunk_size: int | None, left_chunks: int | None
) -> TowerStream:
    """A stream at its start; ConfigError if the tower cannot be streamed exactly."""
    chunk_size = config.chunk_size if chunk_size is None else chunk_size
    left_chunks = config.left_chunks if left_chunks is None else left_chunks
    if chunk_size < 1:
        raise ConfigError(
            "an audio tower with full attention cannot be streamed",
            got=f"chunk_size {chunk_size}",
            expected="at least 1",
            fix="encode the sound when it has ended, or fine-tune the tower with dynamic_chunks and set chunk_size",
        )
    if training:
        raise ConfigError("an audio tower in training mode cannot be streamed", fix="call eval() first")
    return TowerStream(chunk_size=chunk_size, left_chunks=left_chunks)


@torch.no_grad()
def push_features(tower: AudioTower, state: TowerStream, features_TF: Tensor) -> Tensor:
    """Takes raw mel frames [T, F]; gives the encoder frames of the chunks now complete, [L, D]."""
    if state.finished:
        raise ConfigError("this audio stream has been finished", fix="open a new one")
    features_TF = tower.cmvn(features_TF.to(tower.cmvn.mean.device))
    state.num_read += len(features_TF)
    _subsample(tower, state, features_TF)
    return encode_waiting(tower, state, final=False)


@torch.no_grad()
def finish_features(tower: AudioTower, state: TowerStream) -> Tensor:
    """Ends the sound: gives the encoder frames of the incomplete chunk [L, D], none if no sound had come."""
    if not state.finished and 0 < state.num_read < MIN_FRAMES:
        _subsample(tower, state, tower.cmvn.mean.new_zeros(MIN_FRAMES - state.num_read, tower.config.input_dim).float())
    state.finished = True
    return encode_waiting(tower, state, final=True)


def _subsample(tower: AudioTower, state: TowerStream, normalised_TF: Tensor) -> None:
    """Moves mel frames through the convolutions as far as their receptive field is filled."""
    pending = _join(state.features, normalised_TF)
    num_frames = ((len(pending) - 1) // 2 - 1) // 2 if len(pending) >= MIN_FRAMES else 0
    if num_frames:
        state.waiting = _join(state.waiting, tower.subsampling(pending[None])[0])
    state.features = pending[4 * num_frames :]


def encode_waiting(tower: AudioTower, state: TowerStream, final: bool) -> Tensor:
    """Encodes the complete chunks that wait, and the incomplete one if `final`."""
    encoded, start = [], 0
    waiting = tower.subsampling.projection.weight.new_zeros(0, 0) if state.waiting is None else state.waiting
    while len(waiting) - start >= (1 if final else state.chunk_size):
        chunk = waiting[start : start + state.chunk_size]
        encoded.append(_encode_chunk(tower, state, chunk))
        start += len(chunk)
    if not encoded:
        return waiting.new_zeros(0, tower.config.hidden_size)
    state.waiting = waiting[start:]
    return torch.cat(encoded)


def _encode_chunk(tower: AudioTower, state: TowerStream, chunk: Tensor) -> Tensor:
    x = tower.embed(chunk[None], start=state.num_encoded)
    positions = tower.positions(state.num_encoded, len(chunk), x.device)
    past: list[LayerPast | None] = list(state.past) or [None] * len(tower.layers)
    kept = []
    for layer, before in zip(tower.layers, past, strict=True):
        x, after = layer(x, positions, None, before)
        if state.left_chunks >= 0:
            after = LayerPast(after.attention.last(state.left_chunks * state.chunk_size), after.feed_forward)
        kept.append(after)
    state.past = kept
    state.num_encoded += len(chunk)
    return tower.final_norm(x)[0]


@dataclass
class ConnectorStream:
    """Where one sound's way through the connector stands.

    waiting: the encoder frames [L, width] that each convolution still needs; it starts with its zeros.
    words: what was heard, where the connector has words.
    finished: nothing more may come.
    """

    waiting: list[Tensor]
    words: WordsHeard | None = None
    finished: bool = False


@torch.no_grad()
def push_hidden(connector: AudioConnector, state: ConnectorStream, hidden_LD: Tensor, final: bool = False) -> Tensor:
    """Takes encoder frames [L, D]; gives the tokens now complete [N, H]. `final` adds the zeros after the sound."""
    if state.finished:
        raise ConfigError("this audio stream has been finished", fix="open a new one")
    x = hidden_LD
    for i, conv in enumerate(connector.time_convs()):
        x = _join(state.waiting[i], x)
        if final:
            x = F.pad(x, (0, 0, 0, conv.right))
        num_outputs = max((len(x) - conv.kernel_size) // conv.stride + 1, 0)
        state.waiting[i] = x[num_outputs * conv.stride :]
        x = conv.convolve(x[None])[0] if num_outputs else x.new_zeros(0, conv.out_dim)
    state.finished = final
    if not isinstance(connector.projection, PosteriorProjection):
        return connector.projection(x)
    tokens_NH, posterior_NV = connector.projection.with_posterior(x)
    state.words = (state.words or WordsHeard()).add(posterior_NV)
    return tokens_NH


def _join(before: Tensor | None, after: Tensor) -> Tensor:
    return after if before is None or not len(before) else torch.cat([before.to(after.dtype), after])


class AudioStream:
    """One sound on its way from samples to tokens; what the engine's listening stream holds.

    words: what was heard up to the last call of `rest`; None before, and where the connector has no words.
    """

    words: WordsHeard | None = None

    def __init__(self, tower: AudioTower, connector: AudioConnector) -> None:
        self.tower, self.connector = tower, connector
        self._mel = MelStream(num_bins=tower.config.input_dim)
        self._tower, self._connector = tower.new_stream(), connector.new_stream()

    def push(self, samples: np.ndarray) -> Tensor:
        """Takes mono float samples at 16 kHz; gives the tokens now complete [N, H]."""
        hidden_LD = self.tower.push(self._tower, torch.from_numpy(self._mel.push(samples)))
        return self.connector.push(self._connector, hidden_LD)

    def rest(self) -> Tensor:
        """The tokens that are left if the sound ends now [N, H]; it can go on. A sound under 25 ms gives none."""
        tower = replace(self._tower)
        connector = replace(self._connector, waiting=list(self._connector.waiting))
        tokens_NH = self.connector.finish(connector, self.tower.finish(tower))
        self.words = connector.words
        return tokens_NH


class WholeAudio:
    """The same for a tower with full attention: all tokens are left until the sound has ended. It tells no words."""

    words: WordsHeard | None = None

    def __init__(self, tower: AudioTower | WhisperTower, connector: AudioConnector) -> None:
        self.tower, self.connector = tower, connector
        self._mel = MelStream(num_bins=tower.config.input_dim)
        self._features: list[np.ndarray] = []

    def push(self, samples: np.ndarray) -> Tensor:
        """Takes mono float samples at 16 kHz; gives no tokens, [0, H]."""
        self._features.append(self._mel.push(samples))
        return self._no_tokens()

    @torch.no_grad()
    def rest(self) -> Tensor:
        """The tokens of the sound so far [N, H]; the whole of it is encoded. A sound under 25 ms gives none."""
        features_TF = self._whole()
        if not len(features_TF):
            return self._no_tokens()
        device = self.connector.projection_weight.device
        features_BTF = torch.from_numpy(features_TF)[None].to(device)
        tokens_BNH, mask_BN = self.connector(*self.tower(features_BTF, torch.tensor([len(features_TF)])))
        return tokens_BNH[mask_BN]

    def _whole(self) -> np.ndarray:
        """The mel features of the sound so far [T, F]."""
        return np.concatenate(self._features) if self._features else np.empty((0, 0), np.float32)

    def _no_tokens(self) -> Tensor:
        return self.connector.projection_weight.new_zeros(0, self.connector.config.output_dim)


class WholeSound(WholeAudio):
    """The same for a tower whose features depend on the whole sound, such as Whisper's: the samples are kept."""

    def push(self, samples: np.ndarray) -> Tensor:
        """Takes mono float samples at 16 kHz; gives no tokens, [0, H]."""
        self._features.append(np.array(samples, np.float32))
        return self._no_tokens()

    def _whole(self) -> np.ndarray:
        samples = np.concatenate(self._features) if self._features else np.empty(0, np.float32)
        config = self.connector.config
        return audio_features(samples, config) if config.num_frames(len(samples)) else samples


def open_audio_stream(tower: AudioTower | WhisperTower, connector: AudioConnector) -> AudioStream | WholeAudio:
    """Chunk by chunk where the tower allows it, else at its end; either way the numbers of the batch."""
    if not tower.config.streamable:
        return (WholeSound if tower.config.encoder == "whisper" else WholeAudio)(tower, connector)
    return AudioStream(cast("AudioTower", tower), connector)

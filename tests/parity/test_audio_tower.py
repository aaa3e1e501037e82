"""Audio tower, connectors and streaming against the reference's numbers, driven by what the files list."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vita.checkpoints.audio_names import audio_config_from_reference, rename_audio_key
from vita.models.audio_connector import AudioConnector
from vita.models.audio_layers import EncoderLayer, KeyValues, LayerPast, sinusoids
from vita.models.audio_masks import chunk_mask
from vita.models.audio_stream import encode_waiting
from vita.models.audio_tower import AudioTower
from vita.models.configuration_audio import MIN_FRAMES, VitaAudioConfig

TOLERANCE = 1e-4
STREAM_TOLERANCE = 1e-5
TRANSFORMER = "encoder.enc.1."

pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def no_grad() -> None:
    with torch.no_grad():
        yield


@dataclass(frozen=True)
class Whale:
    """The folder whale/: its table of cases, the inputs and the reference's outputs."""

    find: Callable[[str], Path]
    table: dict
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def weights(self, names: str) -> dict[str, Tensor]:
        """Tensors of an entry's `weights`; what a file of the Transformer alone lacks comes from the base encoder."""
        file = names.split()[0]
        tensors = load_file(self.find(f"whale/{file}"))
        if all(name.startswith(TRANSFORMER) for name in tensors):
            base = load_file(self.find(f"whale/encoder_{file.split('_')[1]}.safetensors"))
            tensors |= {name: tensor for name, tensor in base.items() if not name.startswith(TRANSFORMER)}
        return tensors

    def tower(self, name: str) -> AudioTower:
        """The encoder of that name, loaded strictly."""
        entry = self.table["encoders"][name]
        return load(
            AudioTower, "audio_tower.", audio_config_from_reference(entry["config"]), self.weights(entry["weights"])
        )

    def connector(self, name: str, encoder: str) -> AudioConnector:
        """The adapter of that name behind that encoder, loaded strictly."""
        entry = self.table["adapters"][name]
        config = audio_config_from_reference(self.table["encoders"][encoder]["config"], entry["model_conf"])
        return load(AudioConnector, "audio_connector.", config, self.weights(entry["weights"]))

    def long_rows(self) -> Tensor:
        """Rows whose clip has an encoder frame in the reference; shorter ones we lengthen, the reference drops."""
        return self.inputs["speech_lengths"] >= MIN_FRAMES


def load(kind: type, prefix: str, config: VitaAudioConfig, tensors: dict[str, Tensor]) -> nn.Module:
    module = kind(config).eval()
    renamed = {rename_audio_key(name, config): tensor for name, tensor in tensors.items()}
    assert all(name.startswith(prefix) for name in renamed)
    module.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in renamed.items()}, strict=True)
    return module


def largest(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max()) if ours.numel() else 0.0


@pytest.fixture(scope="module")
def whale(reference_file: Callable[[str], Path]) -> Whale:
    table = json.loads(reference_file("whale/whale.json").read_text(encoding="utf-8"))
    inputs, outputs = (load_file(reference_file(f"whale/{name}.safetensors")) for name in ("inputs", "outputs"))
    return Whale(reference_file, table, inputs, outputs)


def test_encoders_on_the_padded_batch(whale: Whale, record_difference: Callable) -> None:
    """Valid frames; the padded ones too, because the whole model of the reference reads them."""
    rows = whale.long_rows()
    for name in whale.table["encoders"]:
        hidden, mask = whale.tower(name)(whale.inputs["speech"], whale.inputs["speech_lengths"])
        theirs = whale.outputs[f"{name}.encoder_out"]
        valid = mask & rows[:, None]
        record_difference(f"{name} valid frames", largest(hidden[valid], theirs[valid]), TOLERANCE)
        record_difference(f"{name} all frames", largest(hidden[rows], theirs[rows]), TOLERANCE)
        if f"{name}.encoder_mask" in whale.outputs:
            assert torch.equal(mask[rows], whale.outputs[f"{name}.encoder_mask"][:, 0][rows])


def test_encoders_on_single_utterances(whale: Whale, record_difference: Callable) -> None:
    compared = 0
    for name in whale.table["encoders"]:
        tower = whale.tower(name)
        for i, length in enumerate(whale.inputs["speech_lengths"].tolist()):
            theirs = whale.outputs.get(f"{name}.single{i}.encoder_out")
            if theirs is not None:
                hidden, _ = tower(whale.inputs["speech"][i : i + 1, :length], torch.tensor([length]))
                record_difference(f"{name} single {i}", largest(hidden[0], theirs), TOLERANCE)
                compared += 1
    assert compared == sum(".single" in name for name in whale.outputs)


def test_chunk_override_equals_configured_chunks(whale: Whale, record_difference: Callable) -> None:
    """Any tower gives any chunk mode of the same weights when the call names it."""
    encoders = {name: entry for name, entry in whale.table["encoders"].items() if "chunk_size" in entry}
    for name, entry in encoders.items():
        others = [other for other, its in encoders.items() if its["weights"] == entry["weights"] and other != name]
        for other in others:
            hidden, mask = whale.tower(other)(
                whale.inputs["speech"],
                whale.inputs["speech_lengths"],
                chunk_size=entry["chunk_size"],
                left_chunks=entry["left_chunks"],
            )
            theirs = whale.outputs[f"{name}.encoder_out"]
            record_difference(f"{other} called as {name}", largest(hidden[mask], theirs[mask]), TOLERANCE)


def test_intermediate_values(whale: Whale, record_difference: Callable) -> None:
    kinds = {name.split(".")[0]: name for name in whale.table["encoders"]}
    kinds = {kind: name for kind, name in kinds.items() if f"{kind}.subsampling_out" in whale.outputs}
    assert kinds
    for kind, name in kinds.items():
        tower, outputs = whale.tower(name), whale.outputs
        subsampled = tower.subsampling(tower.cmvn(whale.inputs["speech"]))
        lengths = [tower.config.num_encoder_frames(n) for n in whale.inputs["speech_lengths"].tolist()]
        table = tower.positions(0, subsampled.shape[1], subsampled.device)
        if table is None:
            table = sinusoids(0, subsampled.shape[1], tower.config.hidden_size, subsampled.device)
        for value, ours in {
            "subsampling_out": subsampled,
            "embed_out": tower.input_projection(subsampled),
            "pe_x": tower.embed(subsampled),
            "pe_pos_emb": table[None],
        }.items():
            record_difference(f"{kind}.{value}", largest(ours, outputs[f"{kind}.{value}"]), TOLERANCE)
        rows = whale.long_rows()
        assert torch.equal(torch.tensor(lengths)[rows], outputs[f"{kind}.subsampling_lens"][rows])


def test_connectors(whale: Whale, record_difference: Callable) -> None:
    for name, entry in whale.table["adapters"].items():
        for source in entry["inputs"]:
            mask = whale.outputs[f"{source}.encoder_mask"][:, 0]
            tokens, token_mask = whale.connector(name, source)(whale.outputs[f"{source}.encoder_out"], mask)
            theirs = whale.outputs[f"adapter_{name}.{source}.out"]
            record_difference(f"{name} on {source}", largest(tokens, theirs), TOLERANCE)
            assert torch.equal(token_mask, whale.outputs[f"adapter_{name}.mask"][:, 0])


def test_tower_and_connector_together(whale: Whale, record_difference: Callable) -> None:
    rows = whale.long_rows()
    for name, entry in whale.table["full"].items():
        tower, connector = whale.tower(entry["encoder"]), whale.connector(entry["adapter"], entry["encoder"])
        tokens, mask = connector(*tower(whale.inputs["speech"], whale.inputs["speech_lengths"]))
        record_difference(name, largest(tokens[rows], whale.outputs[f"{name}.inputs_embeds"][rows]), TOLERANCE)
        assert torch.equal(mask[rows], whale.outputs[f"{name}.attention_mask"][rows].bool())


def test_short_sounds(whale: Whale) -> None:
    """Below the receptive field the reference raises; we give one frame."""
    name = next(name for name in whale.table["encoders"] if name.endswith(".full") and name.startswith("rel"))
    tower = whale.tower(name)
    for frames, expected in whale.table["short_inputs_rel_full"].items():
        features = torch.randn(1, int(frames), tower.config.input_dim)
        hidden, mask = tower(features, torch.tensor([int(frames)]))
        assert torch.isfinite(hidden).all()
        out_len = 1 if "error" in expected else expected["out_len"]
        assert hidden.shape[1] == out_len == mask.sum()
        assert "error" not in expected or int(frames) < MIN_FRAMES


def stream_tower(whale: Whale) -> AudioTower:
    """The encoder whose Transformer component the streaming numbers come from, with their chunks."""
    streaming = whale.table["streaming"]
    entry = next(
        entry
        for entry in whale.table["encoders"].values()
        if entry["weights"] in streaming["component"]
        and (entry.get("chunk_size"), entry.get("left_chunks")) == (streaming["chunk"], streaming["left"])
    )
    config = audio_config_from_reference(entry["config"])
    return load(AudioTower, "audio_tower.", config, whale.weights(entry["weights"]))


def test_streaming_equals_the_masked_full_forward(whale: Whale, record_difference: Callable) -> None:
    """Ours streams to the numbers of `offline_out`, which the reference's own streaming misses (next test)."""
    tower, theirs = stream_tower(whale), whale.outputs["stream.offline_out"][0]
    state = tower.new_stream()
    state.waiting = whale.inputs["stream_features"][0]
    record_difference(
        "stream.offline_out, chunk by chunk", largest(encode_waiting(tower, state, True), theirs), STREAM_TOLERANCE
    )
    x = tower.embed(whale.inputs["stream_features"])
    visible = chunk_mask(x.shape[1], state.chunk_size, state.left_chunks)[None, None]
    for layer in tower.layers:
        x, _ = layer(x, tower.positions(0, x.shape[1], x.device), visible)
    record_difference("stream.offline_out, masked", largest(tower.final_norm(x)[0], theirs), TOLERANCE)


def reference_step(layer: EncoderLayer, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One chunk through one layer as the reference streams: zero keys count, positions restart at every chunk."""
    attention, buffered, width = layer.attention, keys.shape[2], x.shape[2]
    normed = layer.attention_norm(x)
    raw = [attention.split_heads(projection(normed)) for projection in (attention.k_proj, attention.v_proj)]
    past = attention.place_keys(KeyValues(keys, values, None), sinusoids(0, buffered, width, x.device))
    out, _ = layer(x, sinusoids(buffered, x.shape[1], width, x.device), None, LayerPast(past, None))
    keys, values = (torch.cat(pair, 2)[:, :, -buffered:] for pair in zip((keys, values), raw, strict=True))
    return out, keys, values


def test_streaming_of_the_reference_is_understood(whale: Whale, record_difference: Callable) -> None:
    """Its quirks put into our layers give its output and its buffers; we leave both quirks out."""
    tower, streaming = stream_tower(whale), whale.table["streaming"]
    chunk, buffered = streaming["chunk"], streaming["chunk"] * streaming["left"]
    heads, head_dim = tower.config.num_attention_heads, tower.config.head_dim
    buffers = [(torch.zeros(1, heads, buffered, head_dim),) * 2 for _ in tower.layers]
    outputs = []
    for step, features in enumerate(whale.inputs["stream_features"].split(chunk, dim=1)):
        x = tower.embed(features)
        for i, layer in enumerate(tower.layers):
            x, *buffer = reference_step(layer, x, *buffers[i])
            buffers[i] = tuple(buffer)
        flat = torch.cat([torch.cat(pair, 2).flatten() for pair in buffers])
        record_difference(
            f"stream.buffer {step}", largest(flat, whale.outputs[f"stream.buffer_after_{step}"]), TOLERANCE
        )
        outputs.append(tower.final_norm(x))
    ours = torch.cat(outputs, dim=1)
    record_difference("stream.infer_out", largest(ours, whale.outputs["stream.infer_out"]), TOLERANCE)
    assert largest(ours, whale.outputs["stream.offline_out"]) > 100 * TOLERANCE


def test_streaming_with_features_equals_the_batch(whale: Whale, record_difference: Callable) -> None:
    """On the reference's own weights and speech, every mode with chunks."""
    for name, entry in whale.table["encoders"].items():
        if entry.get("chunk_size", -1) < 1:
            continue
        tower = whale.tower(name)
        for i, length in enumerate(whale.inputs["speech_lengths"].tolist()):
            state, speech = tower.new_stream(), whale.inputs["speech"][i, :length]
            streamed = [tower.push(state, piece) for piece in speech.split(13)]
            ours = torch.cat([*streamed, tower.finish(state)])
            theirs = whale.outputs[f"{name}.single{i}.encoder_out"]
            record_difference(f"{name} single {i}, streamed", largest(ours, theirs), TOLERANCE)
            batch, _ = tower(speech[None], torch.tensor([length]))
            record_difference(f"{name} single {i}, streamed = batch", largest(ours, batch[0]), STREAM_TOLERANCE)


def test_every_audio_name_of_a_released_checkpoint_is_known(reference_file: Callable[[str], Path]) -> None:
    """The demo's table lists the original names of a whole checkpoint's audio side."""
    table = json.loads(reference_file("whale/demo_name_map.json").read_text(encoding="utf-8"))["map"]
    prefix, config = "model.audio_encoder.", VitaAudioConfig()
    ours = {rename_audio_key(name.removeprefix(prefix), config) for name in table}
    assert len(ours) == len(table)
    assert all(name.startswith(("audio_tower.", "audio_connector.")) for name in ours)

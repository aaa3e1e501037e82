"""The reference implementation's tiny checkpoint on vLLM: its greedy ids, and its logits within 1e-3.

Its heads are 16 wide, which vLLM's attention on a CPU refuses. They are widened to 32 by zeros that change no number:
half of them go between the rotated pairs, so that every pair keeps its frequency, and queries are scaled by the square
root of two. The media of the cases are numbers already; here the processor hands them out for pictures and sounds that
only have an index.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.parity.conftest import find_reference_dir
from tests.vllm_plugin.parity import LOG_PROBABILITY as LOGIT
from tests.vllm_plugin.parity import vllm_of
from vita.chat.messages import Audio, Medium
from vita.checkpoints import convert
from vita.checkpoints.loading import load_model
from vita.models.batching import EncodedMedium, stack_media
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.models.processing_vita import VitaProcessor
from vita.tokens import AUDIO_SENTINEL, IMAGE_SENTINEL

pytest.importorskip("vllm", reason="vLLM is not installed: pip install 'vita-omni[vllm]'")
pytestmark = pytest.mark.slow

WIDTH, NEW_WIDTH, NUM_NEW = 16, 32, 16
NARROW = {"q_proj": 0, "k_proj": 0, "v_proj": 0, "o_proj": 1}
"""Matrix -> which of its axes runs over the heads."""
Case = tuple[list[int], list[EncodedMedium]]


@pytest.fixture(scope="module")
def reference() -> Path:
    found = find_reference_dir()
    if found is None or not (found / "whole_model").is_dir():
        pytest.skip("no reference data: set VITA_REFERENCE_DIR")
    return found


@pytest.fixture(scope="module")
def folder(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted, as it is."""
    source = tmp_path_factory.mktemp("reference") / "source"
    shutil.copytree(reference / "whole_model", source)
    for path in (reference / "tokenizer").iterdir():
        shutil.copyfile(path, source / path.name)
    convert(source, source.with_name("converted"))
    return source.with_name("converted")


@pytest.fixture(scope="module")
def widened(folder: Path) -> Path:
    """The same with wide heads."""
    wide = folder.with_name("widened")
    shutil.copytree(folder, wide)
    config = json.loads((wide / "config.json").read_text())
    config["text_config"]["head_dim"] = NEW_WIDTH
    (wide / "config.json").write_text(json.dumps(config))
    for path in wide.glob("*.safetensors"):
        save_file({name: widen(name, value) for name, value in load_file(path).items()}, path, {"format": "pt"})
    return wide


def widen(name: str, value: Tensor) -> Tensor:
    """A tensor of the language model for heads of the new width; all others as they are."""
    part = name.split(".")[-2] if name.startswith("language_model.") else ""
    if part not in NARROW:
        return value
    heads = value.movedim(NARROW[part], 0).unflatten(0, (-1, WIDTH))
    wide = heads.new_zeros(len(heads), NEW_WIDTH, *heads.shape[2:])
    half = WIDTH // 2
    for start in (0, 1):
        wide[:, start * NEW_WIDTH // 2 : (start + 1) * NEW_WIDTH // 2 : 2] = heads[:, start * half : (start + 1) * half]
    scale = (NEW_WIDTH / WIDTH) ** 0.5 if part == "q_proj" else 1.0
    return (scale * wide.flatten(0, 1)).movedim(0, NARROW[part]).contiguous()


@pytest.fixture(scope="module")
def stored(reference: Path) -> dict[str, Tensor]:
    return load_file(reference / "whole_model" / "cases.safetensors")


@pytest.fixture(scope="module")
def described(reference: Path) -> dict[str, Any]:
    return json.loads((reference / "whole_model" / "cases.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def cases(folder: Path, described: dict[str, Any], stored: dict[str, Tensor]) -> dict[str, Case]:
    """Name -> ids with one marker for each medium, and the media that are shown, in order."""
    config = load_model(folder).config
    markers = {IMAGE_SENTINEL: config.image_token_id, AUDIO_SENTINEL: config.audio_token_id}
    found = {}
    for name in described:
        tiles, lengths = iter(stored[f"{name}.images"]), stored[f"{name}.audio_lengths"].tolist()
        clips = iter([row[:length] for row, length in zip(stored[f"{name}.audios"], lengths, strict=True)])
        ids, media = stored[f"{name}.input_ids"].flatten().tolist(), []
        for token in ids:
            if token == IMAGE_SENTINEL:
                count = config.num_image_tokens
                media.append(EncodedMedium(pixel_values=next(tiles)[None].numpy(), tile_token_counts=(count,)))
            elif token == AUDIO_SENTINEL:
                media.append(EncodedMedium(audio_features=next(clips).numpy()))
        found[name] = [markers.get(token, token) for token in ids], media
    return found


@pytest.fixture(scope="module")
def served(widened: Path, cases: dict[str, Case]) -> Iterator[Callable[[list[str]], list[Any]]]:
    """Asks vLLM, in this process, to continue some cases; every logit of every step comes with the ids."""
    shown = [medium for _, media in cases.values() for medium in media]

    def handed_out(self: VitaProcessor, medium: Medium) -> EncodedMedium:
        return shown[int(medium.samples[0]) if isinstance(medium, Audio) else medium.image.getpixel((0, 0))[0]]

    limits = {"image": 4, "video": 0, "audio": 2}
    logits = {"logprobs_mode": "raw_logits", "max_logprobs": -1}
    with vllm_of(widened, limit_mm_per_prompt=limits, **logits) as llm, pytest.MonkeyPatch.context() as patch:
        from vllm import SamplingParams

        patch.setattr(VitaProcessor, "encode_medium", handed_out)

        def prompt(name: str) -> Any:
            ids, media = cases[name]
            data: dict[str, list[Any]] = {}
            for medium in media:
                index = next(i for i, one in enumerate(shown) if one is medium)
                if medium.audio_features is not None:
                    data.setdefault("audio", []).append(np.full(4000, index, np.float32))
                else:
                    data.setdefault("image", []).append(PIL.Image.new("RGB", (56, 56), (index, 0, 0)))
            return {"prompt_token_ids": ids, "multi_modal_data": data} if data else {"prompt_token_ids": ids}

        sampling = SamplingParams(
            temperature=0, max_tokens=NUM_NEW, ignore_eos=True, logprobs=-1, extra_args={"vita_state": "off"}
        )
        yield lambda names: [one.outputs[0] for one in llm.generate([prompt(name) for name in names], sampling)]


@torch.inference_mode()
def logits_of(model: VitaForConditionalGeneration, case: Case, reply_ids: list[int]) -> Tensor:
    """The local model's, at every step of a reply [NUM_NEW, V]."""
    marked, media = case
    config, rest = model.config, iter(media)
    ids: list[int] = []
    for token in marked:
        count = 1
        if token == config.image_token_id:
            count = sum(next(rest).tile_token_counts)
        elif token == config.audio_token_id:
            mel = next(rest).audio_features
            assert mel is not None
            count = config.audio_config.num_audio_tokens(len(mel))
        ids += [token] * count
    found = model(input_ids=torch.tensor([[*ids, *reply_ids]]), **stack_media(media)).logits[0]
    return found[len(ids) - 1 : -1]


def table(output: Any) -> Tensor:
    """vLLM's logits [NUM_NEW, V]."""
    found = torch.full((NUM_NEW, len(output.logprobs[0])), torch.nan)
    for step, row in enumerate(output.logprobs):
        for token, one in row.items():
            found[step, token] = one.logprob
    return found


def greatest(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max())


def test_wide_heads_change_nothing(folder: Path, widened: Path, cases: dict[str, Case]) -> None:
    as_it_is, wide = (load_model(path).eval() for path in (folder, widened))
    assert wide.config.text_config.head_dim == NEW_WIDTH
    for case in cases.values():
        assert greatest(*(logits_of(model, case, [5] * NUM_NEW) for model in (as_it_is, wide))) < 1e-5


def test_every_case(
    served: Callable[[list[str]], list[Any]],
    folder: Path,
    cases: dict[str, Case],
    described: dict[str, Any],
    stored: dict[str, Tensor],
) -> None:
    """Each alone, and all in one batch. Of clips of different length the reference keeps the padding of the shorter."""
    local, names = load_model(folder).eval(), list(cases)
    alone = [served([name])[0] for name in names]
    to_local, to_reference, num_of_reference = [], [], 0
    for name, output in [*zip(names, served(names), strict=True), *zip(names, alone, strict=True)]:
        logits, reply_ids = table(output), list(output.token_ids)
        to_local.append(greatest(logits, logits_of(local, cases[name], reply_ids)))
        lengths = stored[f"{name}.audio_lengths"].tolist()
        if len(set(lengths)) == 1:
            assert reply_ids == described[name]["greedy_16"], name
            to_reference.append(greatest(logits[0], stored[f"{name}.logits"][0, -1]))
            to_reference.append(greatest(logits[-1], stored[f"{name}.greedy_logits_step15"]))
            num_of_reference += 1
        assert reply_ids == logits.argmax(-1).tolist(), name
    print(f"\ngreatest difference of a logit: local {max(to_local):.1e}, reference {max(to_reference):.1e}")
    assert max(*to_local, *to_reference) < LOGIT
    assert num_of_reference >= 2 * (len(names) - 1)

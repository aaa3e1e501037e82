"""What our model adds to its bare language model: prefill and 64 decoded tokens, side by side in one run.

A random model of 79 M parameters (Mixtral with 8 layers of 512, vision and audio encoders with 6 layers of 256) reads
a tile of 448 pixels, 5 s of sound and 50 ids. "bare" is transformers' own generate on the language model alone, given
the finished embeddings; "ours" is the whole model's generate, given the same embeddings, then given pixels and mel
features. Times are CPU seconds of one thread, medians of alternating runs, so that other load on the machine matters
little.

    python benchmarks/midsize.py [--repeats 5] [--tokens 64] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from vita.models.configuration_vita import VitaConfig
from vita.models.modeling_vita import VitaForConditionalGeneration

NUM_TEXT_IDS, NUM_FRAMES, IMAGE_ID, AUDIO_ID = 50, 498, 8190, 8191


def build() -> VitaForConditionalGeneration:
    """The random model, float32."""
    torch.manual_seed(0)
    text = {
        "model_type": "mixtral",
        "vocab_size": 8192,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 8,
        "num_local_experts": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    }
    encoder = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 1024}
    config = VitaConfig(
        text_config=text,
        vision_config={**encoder, "attention_bias": True, "image_size": 448},
        audio_config={**encoder, "subsampling_dim": 256, "output_dim": 512},
        image_token_id=IMAGE_ID,
        audio_token_id=AUDIO_ID,
    )
    return VitaForConditionalGeneration(config).eval()


def inputs_of(config: VitaConfig) -> dict[str, torch.Tensor]:
    """Ids with expanded placeholders, one tile, one clip."""
    text = torch.randint(3, 8000, (NUM_TEXT_IDS,)).tolist()
    image = [IMAGE_ID] * config.num_image_tokens
    audio = [AUDIO_ID] * config.audio_config.num_audio_tokens(NUM_FRAMES)
    return {
        "input_ids": torch.tensor([text[:20] + image + text[20:40] + audio + text[40:]]),
        "pixel_values": torch.randn(1, 3, config.tile_size, config.tile_size),
        "audio_features": torch.randn(1, NUM_FRAMES, 80),
        "audio_lengths": torch.tensor([NUM_FRAMES]),
    }


def median_seconds(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """CPU seconds of each call: the median of `repeats` rounds, after one to warm up, all calls in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if round_number:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(repeats: int, num_tokens: int) -> dict[str, float]:
    """All times, and the ratios of ours to bare."""
    model = build()
    given = inputs_of(model.config)
    embeds = model.embed(**given)
    ids = given["input_ids"]
    mask = torch.ones_like(ids)
    language_model = model.language_model

    def generate(generator: Any, count: int, **inputs: Any) -> Callable[[], Any]:
        options = {"min_new_tokens": count, "max_new_tokens": count, "do_sample": False, "pad_token_id": 0}
        return lambda: generator.generate(attention_mask=mask, **inputs, **options)

    calls = {
        "vision": lambda: model.get_image_features(given["pixel_values"]),
        "audio": lambda: model.get_audio_features(given["audio_features"], given["audio_lengths"]),
    }
    for name, count in (("prefill", 1), ("decode", num_tokens)):
        calls[f"{name} bare"] = generate(language_model, count, inputs_embeds=embeds)
        calls[f"{name} ours"] = generate(model, count, inputs_embeds=embeds)
        calls[f"{name} media"] = generate(model, count, **given)
    expected = calls["decode bare"]()
    assert torch.equal(calls["decode ours"](), expected)
    assert torch.equal(calls["decode media"]()[:, ids.shape[1] :], expected)
    seconds = median_seconds(calls, repeats)
    encoders = seconds["vision"] + seconds["audio"]
    for name in ("prefill", "decode"):
        bare = seconds[f"{name} bare"]
        seconds[f"{name} ratio"] = seconds[f"{name} ours"] / bare
        seconds[f"{name} media ratio"] = seconds[f"{name} media"] / (bare + encoders)
    seconds["parameters"] = sum(tensor.numel() for tensor in model.parameters()) / 1e6
    seconds["positions"] = ids.shape[1]
    seconds["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds


def report(found: dict[str, float], num_tokens: int) -> str:
    """The table."""
    lines = [
        f"{found['parameters']:.1f} M parameters, {found['positions']:.0f} positions, peak {found['peak MB']:.0f} MB",
        f"encoders: vision {found['vision']:.3f} s, audio {found['audio']:.3f} s",
        f"{'':24}{'bare':>10}{'ours':>10}{'ratio':>8}{'with media':>12}{'/ (bare + encoders)':>21}",
    ]
    for name, title in (("prefill", "prefill, 1 token"), ("decode", f"prefill, {num_tokens} tokens")):
        lines.append(
            f"{title:24}{found[f'{name} bare']:>9.3f}s{found[f'{name} ours']:>9.3f}s{found[f'{name} ratio']:>8.3f}"
            f"{found[f'{name} media']:>11.3f}s{found[f'{name} media ratio']:>21.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="print the numbers as one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        found = measure(options.repeats, options.tokens)
    print(json.dumps(found) if options.json else report(found, options.tokens))


if __name__ == "__main__":
    main()

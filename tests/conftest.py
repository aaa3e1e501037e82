"""What tests of several rooms need: tiny random models with a tokenizer of bytes, and the folders they are saved in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The default run draws the same examples every time; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

SPECIAL_TOKENS = ("<unk>", "<s>", "</s>", "<image>", "<audio>", "<video>")
TEXT_CONFIGS: dict[str, dict[str, Any]] = {
    "qwen2": {"model_type": "qwen2"},
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    "llama": {"model_type": "llama"},
}


def make_tokenizer() -> Any:
    """A tokenizer of UTF-8 bytes: every text is representable, and characters are often cut in two by tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )


def make_model(text: str = "qwen2", seed: int = 0, **audio: Any) -> tuple[Any, Any]:
    """A random model of some 100,000 parameters around the language model `text`, and its processor.

    audio: changes to the audio configuration, which is that of a tower with full attention.
    """
    import torch

    from vita.models.configuration_vita import VitaConfig
    from vita.models.modeling_vita import VitaForConditionalGeneration
    from vita.models.processing_vita import VitaProcessor

    tokenizer = make_tokenizer()
    config = VitaConfig(
        text_config={
            **TEXT_CONFIGS[text], "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.3,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "max_position_embeddings": 2048,
        },
        vision_config={
            "image_size": [28, 28], "patch_size": [7, 7], "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 16,
        },
        audio_config={
            "subsampling_dim": 16, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16,
            "num_hidden_layers": 1, "position": "rotary", "output_dim": 32, **audio,
        },
        image_token_id=SPECIAL_TOKENS.index("<image>"),
        audio_token_id=SPECIAL_TOKENS.index("<audio>"),
        max_tiles=2,
        tokenizer_model_max_length=1500,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VitaForConditionalGeneration(config).eval()
    return model, VitaProcessor(tokenizer, config)


@pytest.fixture(scope="session")
def tiny_model() -> tuple[Any, Any]:
    """A tiny model and its processor, for tests that do not change them."""
    return make_model()


@pytest.fixture(scope="session")
def tiny_folder(tiny_model: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    model, processor = tiny_model
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder

"""Low-rank adapters in the language model, by PEFT: put in before a stage, merged into its weights after it.

While they learn, the weights beside them may be of 4 bits (QLoRA); they are merged into the original ones.

Called by `parts.py` and `export.py`.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from torch import nn

from vita.errors import ConfigError, DependencyError
from vita.models.modeling_vita import VitaForConditionalGeneration
from vita.train.tuning_stage import LoraSettings


def add_adapters(model: VitaForConditionalGeneration, settings: LoraSettings) -> None:
    """Wraps the language model; its own weights are frozen, the adapters start as the identity."""
    if importlib.util.find_spec("peft") is None:
        raise DependencyError("training adapters needs peft", fix="pip install 'vita-omni[train]'")
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        model.language_model = get_peft_model(model.language_model, config)
    except ValueError as error:
        raise ConfigError("the adapters do not fit the language model", got=str(error)) from error


def quantise(language_model: nn.Module) -> int:
    """Replaces the linear layers of a language model, all but its head, by ones of 4 bits (NF4); how many there were.

    Their weights are frozen; what is computed with them has the number format that they had. Raises DependencyError
    without bitsandbytes, and where it does not run.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise DependencyError("quantised weights need bitsandbytes", fix="pip install bitsandbytes")
    import bitsandbytes as bnb  # pyright: ignore[reportMissingImports]

    found = [
        (parent, name, layer)
        for parent in language_model.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Linear and name != "lm_head"
    ]
    quantised: Any = bnb.nn  # its types are not exported
    for parent, name, layer in found:
        dtype, bias = layer.weight.dtype, layer.bias is not None
        small = quantised.Linear4bit(layer.in_features, layer.out_features, bias, compute_dtype=dtype, quant_type="nf4")
        small.weight = quantised.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
        if bias:
            small.bias = layer.bias
        try:
            setattr(parent, name, small.to(layer.weight.device))
        except (RuntimeError, AttributeError) as error:
            raise DependencyError(f"bitsandbytes does not run here: {error}", fix="set quantise to ''") from error
    language_model.is_loaded_in_4bit = True  # pyright: ignore[reportArgumentType]  # what PEFT asks
    return len(found)


def merge_adapters(model: VitaForConditionalGeneration) -> None:
    """Adds the adapters to the weights that they stand beside and takes them out."""
    wrapped: Any = model.language_model
    model.language_model = wrapped.merge_and_unload()

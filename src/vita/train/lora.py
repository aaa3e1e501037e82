"""Low-rank adapters in the language model, by PEFT: put in before a stage, merged into its weights after it.

Called by `parts.py` and `export.py`.
"""

from __future__ import annotations

import importlib.util
from typing import Any

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


def merge_adapters(model: VitaForConditionalGeneration) -> None:
    """Adds the adapters to the weights that they stand beside and takes them out."""
    wrapped: Any = model.language_model
    model.language_model = wrapped.merge_and_unload()

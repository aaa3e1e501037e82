"""The plugin that makes vLLM know VITA models: `vllm serve MODEL` after `pip install 'vita-omni[vllm]'`.

vLLM calls `register` in each of its processes, through the entry point in pyproject.toml; nothing else imports this
room. Here and in marking.py vLLM is not imported; the other files are loaded by vLLM when it meets a VITA model.

marking.py     conversations -> ids with one marker for each medium
rendering.py   vLLM's chat messages -> such ids, by our own template and tokenizer
processing.py  media -> numbers, markers -> one id for each feature, by our own processor
states.py      the state token comes first, and a reply to noise ends with it
defaults.py    what a VITA model needs of vLLM's settings
model.py       our towers and connectors around vLLM's own language model
"""

# pyright: reportMissingImports=false

from __future__ import annotations

ARCHITECTURE = "VitaForConditionalGeneration"
TOKENIZER_MODE = "vita"


def register() -> None:
    """Tells vLLM where model, tokenizer, renderer, settings and video reader of VITA are. May be repeated."""
    from vllm import ModelRegistry
    from vllm.model_executor.models.config import MODELS_CONFIG_MAP
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    import vita.models
    from vita.vllm_plugin.defaults import VitaDefaults

    vita.models.register()
    ModelRegistry.register_model(ARCHITECTURE, f"vita.vllm_plugin.model:{ARCHITECTURE}")
    MODELS_CONFIG_MAP[ARCHITECTURE] = VitaDefaults
    if TOKENIZER_MODE not in RENDERER_REGISTRY.renderers:
        RENDERER_REGISTRY.register(TOKENIZER_MODE, "vita.vllm_plugin.rendering", "VitaRenderer")
        TokenizerRegistry.register(TOKENIZER_MODE, "vita.vllm_plugin.rendering", "VitaTokenizer")

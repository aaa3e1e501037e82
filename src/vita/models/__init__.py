"""The model and its parts, Hugging Face style: configurations, towers, connectors, fusion, processor."""

from __future__ import annotations


def register() -> None:
    """Makes transformers' Auto classes know a folder with a VITA model; imports torch. May be repeated."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor
    from transformers.models.auto.modeling_auto import AutoModelForMultimodalLM

    from vita.models.configuration_audio import VitaAudioConfig
    from vita.models.configuration_vita import VitaConfig
    from vita.models.modeling_vita import VitaForConditionalGeneration
    from vita.models.processing_vita import VitaProcessor

    for config_class in (VitaConfig, VitaAudioConfig):
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for auto_class in (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM):
        auto_class.register(VitaConfig, VitaForConditionalGeneration, exist_ok=True)
    AutoProcessor.register(VitaConfig, VitaProcessor, exist_ok=True)

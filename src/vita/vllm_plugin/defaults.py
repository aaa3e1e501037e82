"""What a VITA model needs of vLLM's settings; looked up by vLLM through its table of such classes."""

# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from typing import Any

from vllm.model_executor.models.config import VerifyAndUpdateConfig

STATE_LOGITS = "vita.vllm_plugin.states:StateLogits"
_logger = logging.getLogger("vllm.vita")


class VitaDefaults(VerifyAndUpdateConfig):
    """Applied when vLLM has read a VITA model's configuration; what the user chose stays."""

    @staticmethod
    def verify_and_update_model_config(model_config: Any) -> None:
        """Our tokenizer and renderer, the state token first, our choice of video frames, our longest prompt."""
        from vita.vllm_plugin import TOKENIZER_MODE
        from vita.vllm_plugin.video import VIDEO_READER

        if model_config.tokenizer_mode in ("auto", "hf"):
            model_config.tokenizer_mode = TOKENIZER_MODE
        chosen = list(model_config.logits_processors or [])
        if STATE_LOGITS not in chosen:
            model_config.logits_processors = [*chosen, STATE_LOGITS]
        media = model_config.multimodal_config
        if media is not None:
            video = {"video_backend": VIDEO_READER, **media.media_io_kwargs.get("video", {})}
            media.media_io_kwargs = {**media.media_io_kwargs, "video": video}
        longest = model_config.hf_config.tokenizer_model_max_length
        model_config.max_model_len = min(model_config.max_model_len, longest)

    @staticmethod
    def verify_and_update_config(vllm_config: Any) -> None:
        """With speculative decoding vLLM takes no logits processors: states are then the model's own to write."""
        model_config = vllm_config.model_config
        if vllm_config.speculative_config and STATE_LOGITS in (model_config.logits_processors or []):
            model_config.logits_processors = [one for one in model_config.logits_processors if one != STATE_LOGITS]
            _logger.warning("speculative decoding: replies are not made to begin with a state token")

"""What a model heard: by the CTC head of its connector if it has one, or by asking it. For `recognition.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vita.api import Assistant, Question
from vita.chat.messages import Audio, Message, Text

PROMPTS = {"en": "Transcribe the speech into text.", "zh": "请把语音转写成文字。"}
_MAX_NEW_TOKENS = 256


def transcripts(assistant: Assistant, sounds: Sequence[np.ndarray], langs: Sequence[str]) -> list[str]:
    """One text for each sound, float32 [num_samples] of 16 kHz."""
    model = getattr(assistant.engine, "model", None)
    if model is not None and has_ctc(model):
        return by_ctc(model, assistant.engine.processor, sounds)  # type: ignore[attr-defined]
    questions = [
        Question((Message("user", (Audio(sound), Text(PROMPTS[lang]))),))
        for sound, lang in zip(sounds, langs, strict=True)
    ]
    answers = assistant.ask_many(questions, max_new_tokens=_MAX_NEW_TOKENS, state="answer")
    return [answer.text for answer in answers]


def has_ctc(model: Any) -> bool:
    """Whether the connector tells words apart."""
    return model.config.audio_config.connector_type == "ctc"


def by_ctc(model: Any, processor: Any, sounds: Sequence[np.ndarray]) -> list[str]:
    """The best path of the connector's posterior: repeats joined, blanks dropped."""
    import torch

    from vita.models.ctc_words import WordsHeard

    features = [processor.encode_medium(Audio(sound)).audio_features for sound in sounds]
    lengths = torch.tensor([len(one) for one in features])
    batch = np.zeros((len(features), int(lengths.max()), features[0].shape[1]), np.float32)
    for row, one in zip(batch, features, strict=True):
        row[: len(one)] = one
    weight = model.audio_connector.projection_weight
    with torch.inference_mode():
        mel = torch.from_numpy(batch).to(weight.device)
        hidden, mask = model.audio_tower(mel, lengths.to(weight.device))
        hidden, mask = model.audio_connector.hidden(hidden, mask)
        best = model.audio_connector.projection.logits(hidden).argmax(-1).cpu()
    num_symbols = model.config.audio_config.ctc_vocab_size + 1
    paths = [tuple(path[: int(count)].tolist()) for path, count in zip(best, mask.sum(1), strict=True)]
    heard = [WordsHeard(best_N=path, num_symbols=num_symbols) for path in paths]
    return [processor.tokenizer.decode(one.ids(), skip_special_tokens=True).strip() for one in heard]

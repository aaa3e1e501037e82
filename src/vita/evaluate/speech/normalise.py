"""Texts as they are compared: what is said in one way is written in one. Used by `recognition.py`.

English goes through the normaliser of the Whisper paper, as transformers has it (contractions, titles, numbers,
fillers; without its list of British spellings). Chinese is compared character by character, without punctuation,
full-width letters and digits as plain ones; a Latin word counts as one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3007"
_TOKEN = re.compile(f"[{_HAN}]|[^\\W_{_HAN}]+(?:'[^\\W_{_HAN}]+)*")


def tokens(text: str, lang: str) -> list[str]:
    """The units that are counted: words of English, characters of Chinese."""
    if lang == "zh":
        return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())
    return _english()(text).split()


@lru_cache(maxsize=1)
def _english() -> Any:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer({})

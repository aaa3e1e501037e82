"""How questions about pictures are asked in training: templates by kind and language (text/picture_phrases.json).

Slots: <shape> <shapes> <colour> <place> <label>. Used by `turns` and `shape_questions`; training never sees the
phrasings of `held_out`.
"""

from __future__ import annotations

from vita.synth.world import texts

PICTURE: dict[str, dict[str, list[str]]] = texts("picture_phrases")
"""Kind of question -> language -> templates of `grammar.expand`."""

YES = {"en": "yes", "zh": "有"}
NO = {"en": "no", "zh": "没有"}

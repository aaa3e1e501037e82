"""Builds the pocket model's tokenizer: whole English words, single Chinese characters, else letters and bytes."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from vita.synth.questions import TASKS, decorate
from vita.synth.side_talk import fill
from vita.synth.speech_set import spoken_turn
from vita.synth.world import LANGUAGES, texts

SPACE = "▁"
CONTROL = (
    "<pad>",
    "<|system|>",
    "<|user|>",
    "<|bot|>",
    "<|end|>",
    "<image>",
    "<video>",
    "<audio>",
    "<1>",
    "<2>",
    "<3>",
)
_PUNCTUATION = (
    list(".,?!:;()[]{}=+-*/\"'%<>_#&@$~|\\^`") + list("。，？！：；、“”‘’（）《》…") + ["\n", SPACE, SPACE * 4]
)
_CJK = "\u4e00-\u9fff"
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + {'assistant': 'bot'}.get(message['role'], message['role']) + '|>' }}"
    "{{ message['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)


def corpus(seed: int = 0, count: int = 40_000) -> list[str]:
    """Questions, answers, side talk and words of the pocket world: what the vocabulary must cover."""
    rng = random.Random(f"vocabulary {seed}")
    lines: list[str] = []
    for _ in range(count):
        lang = rng.choice(LANGUAGES)
        turn = rng.choice(list(TASKS.values()))(rng, lang)
        lines += [decorate(turn.question, lang, rng), turn.answer if not turn.spell else ""]
    lines += [spoken_turn(rng).turn.question for _ in range(count // 2)]
    words = texts("words")
    lines += words["print"] + words["speech"] + words["zh_chars_words"]
    side = texts("side_talk")
    for lang in LANGUAGES:
        lines += [
            fill(s, lang, rng)
            for kind in ("statement", "to_other", "phone", "narration")
            for s in side[lang][kind]
            for _ in range(6)
        ]
        lines += [word for words_of_slot in side["slots"][lang].values() for word in words_of_slot]
    return lines


def build_tokenizer(lines: list[str] | None = None) -> PreTrainedTokenizerFast:
    """The pocket tokenizer: lower-casing, one token a known English word or Chinese character, byte fallback.

    Ids: control tokens first, then bytes, punctuation, letters, words, characters. Whole words begin with "▁".
    """
    counts: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for line in lines if lines is not None else corpus():
        counts.update(re.findall(r"[a-z][a-z']*", line.lower()))
        characters.update(re.findall(f"[{_CJK}]", line))
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + [str(d) for d in range(10)]
    vocabulary: list[tuple[str, float]] = [(token, 0.0) for token in CONTROL]
    vocabulary += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    vocabulary += [(token, -6.0) for token in _PUNCTUATION]
    vocabulary += [(token, -8.0) for token in letters]
    words = sorted(w for w in counts if any(c.isalpha() for c in w) and not w.startswith("'"))
    vocabulary += [(SPACE + word, -4.0) for word in words] + [(c, -4.0) for c in sorted(characters)]
    single = {token for token, _ in vocabulary}
    vocabulary += [(SPACE + c, -4.5) for c in letters if SPACE + c not in single]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace("’", "'"),
            normalizers.Replace(Regex(r"^(?=[a-z0-9])"), SPACE),
            normalizers.Replace(" ", SPACE),
            normalizers.Replace(Regex(f"{SPACE}(?=[{_CJK}])"), ""),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace(SPACE, " ")])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<pad>",
        eos_token="<|end|>",
        additional_special_tokens=[t for t in CONTROL if t not in ("<pad>", "<|end|>")],
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def spelled_ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Ids of `text` letter by letter (spaces and line breaks kept), as print is read off a picture."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary[SPACE if c == " " else c] for c in text]


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """tokenizer.json, tokenizer_config.json and the chat template, in a new folder that is whole or not there."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    tokenizer.save_pretrained(partial)
    partial.replace(folder)

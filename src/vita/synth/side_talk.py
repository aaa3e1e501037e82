"""What is heard but is no question to the model: side talk, phone calls, narration, backchannels, its own voice.

Also word salad, from which only the ear learns. Called by `speech_set` and `vita.train`.
"""

from __future__ import annotations

import random
import re

from vita.synth.grammar import tidy
from vita.synth.questions import fact, long_answer, picture_turn
from vita.synth.turns import Turn
from vita.synth.world import texts

SIDE_KINDS = ("statement", "to_other", "phone", "narration")
SPLICED_SHARE = 0.15
"""English side talk made of the beginning of one sentence and the end of another: what it says matters less than what
it lacks, a question. Chinese requests end as requests to the model do, and taught it not to answer those."""
CONTRACTED_SHARE = 0.4
"""Of English side talk: "i can't talk now", where `text/side_talk.json` says "i cannot talk now"."""
CONTRACTIONS = {
    r"cannot\b": "can't",
    r"will not\b": "won't",
    r"(do|does|did|is|are|was|have|would|could|should) not\b": r"\1n't",
    r"i am(?= )": "i'm",
    r"(you|we|they) are(?= )": r"\1're",
    r"(he|she|it|that|there|what|who|where) is(?= )": r"\1's",
    r"(i|you|we|they) have(?= )": r"\1've",
    r"(i|you|he|she|it|we|they) will(?= )": r"\1'll",
    r"let us\b": "let's",
}


def fill(sentence: str, lang: str, rng: random.Random) -> str:
    """Fill the {slots} of a side-talk sentence."""
    slots = texts("side_talk")["slots"][lang]
    while "{" in sentence:
        head, _, tail = sentence.partition("{")
        name, _, tail = tail.partition("}")
        sentence = head + rng.choice(slots[name]) + tail
    return tidy(sentence)


def side_talk(rng: random.Random, lang: str) -> Turn:
    """A sentence (now and then two) that is not meant for the model."""
    kind = rng.choice(SIDE_KINDS)
    sentences = texts("side_talk")[lang][kind]
    text = fill(rng.choice(sentences), lang, rng)
    if lang == "en" and rng.random() < SPLICED_SHARE:
        text = spliced(text, fill(rng.choice(texts("side_talk")[lang][rng.choice(SIDE_KINDS)]), lang, rng), rng)
    elif rng.random() < 0.2:
        text += (" " if lang == "en" else "") + fill(rng.choice(sentences), lang, rng)
    if lang == "en" and rng.random() < CONTRACTED_SHARE:
        text = contracted(text)
    return Turn(kind=kind, lang=lang, question=text, answer="", noise=True)


def contracted(text: str) -> str:
    """English as it is mostly said: "i'm" for "i am"."""
    for long, short in CONTRACTIONS.items():
        text = re.sub(rf"\b{long}", short, text)
    return text


def spliced(first: str, second: str, rng: random.Random) -> str:
    """The beginning of one English text and the end of the other."""
    head, tail = first.split(" "), second.split(" ")
    cut, rest = rng.randint(1, len(head)), rng.randint(0, len(tail) - 1)
    return " ".join(head[:cut] + tail[rest:])


def backchannel(rng: random.Random, lang: str) -> Turn:
    """ "mm-hm" and the like."""
    return Turn(
        kind="backchannel",
        lang=lang,
        question=rng.choice(texts("small_talk")[lang]["backchannel"]),
        answer="",
        noise=True,
    )


def own_voice_text(rng: random.Random, lang: str) -> Turn:
    """A piece of one of the model's own answers, as its own voice would say it."""
    if rng.random() < 0.6:
        answer = long_answer(rng, lang).answer
        pieces = [p.strip() for p in answer.replace("。", ". ").replace("，", " ").split(". ") if p.strip()]
        start = rng.randrange(len(pieces))
        text = " ".join(pieces[start : start + rng.choice((1, 1, 2))])
    else:
        text = rng.choice((fact, picture_turn))(rng, lang).answer
        text = "it is " + text if lang == "en" and rng.random() < 0.3 else text
    return Turn(kind="own_voice", lang=lang, question=tidy(plain(text)), answer="", noise=True)


def plain(text: str) -> str:
    """Without punctuation, as it is heard."""
    return "".join(" " if c in '.,;:!?()\n=。，！？、；："' else c for c in text.lower())


def word_salad(rng: random.Random, lang: str) -> Turn:
    """Random words in a row: they teach the ear words outside the sentences it knows. No reply is learned from them."""
    words = texts("words")
    if lang == "en":
        pool = words["speech"] + words["print"]
        text = " ".join(rng.choice(pool) for _ in range(rng.randint(2, 9)))
    else:
        text = "".join(rng.choice(words["zh_chars_words"]) for _ in range(rng.randint(1, 6)))
    return Turn(kind="salad", lang=lang, question=text, answer="", noise=True)

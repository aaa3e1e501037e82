"""Questions of every kind, asked in English or Chinese: facts, sums, small talk, print, charts, clips.

`TASKS` names a maker of turns for each kind; pictures of shapes are in `shape_questions`.
"""

from __future__ import annotations

import keyword
import random
from collections.abc import Callable

from vita.synth import phrases
from vita.synth.grammar import expand, tidy
from vita.synth.scenes import ClipScene, Scene, random_clip, random_scene
from vita.synth.shape_questions import shape_question
from vita.synth.turns import Turn, ask, fillings, number
from vita.synth.world import name_of, texts, world

LONG_KINDS = ("introduce", "count", "story")
SMALL_TALK = ("greeting", "name", "ability", "thanks", "goodbye")


def spoken_or_typed_number(value: int, lang: str, rng: random.Random) -> str:
    """Mostly the word, sometimes digits."""
    return number(value, lang) if rng.random() < 0.75 else str(value)


def fact(rng: random.Random, lang: str) -> Turn:
    """One of the sixty facts."""
    entry = rng.choice(world()["facts"])
    ways = texts("facts")[entry["id"]][lang]
    if rng.random() < 0.5:
        question = rng.choice(ways["ask"])
    else:
        question = rng.choice(texts("lead_ins")[lang]["wrap_np"]).replace("{x}", rng.choice(ways["about"]))
    return Turn(kind="fact", lang=lang, question=question, answer=entry[lang]["answer"])


def sum_(rng: random.Random, lang: str) -> Turn:
    """A sum (sometimes a difference) up to 20."""
    if rng.random() < 0.12:
        a = rng.randint(0, 20)
        b = rng.randint(0, a)
        table, value = phrases.MINUS, a - b
    else:
        a = rng.randint(0, 20)
        b = rng.randint(0, 20 - a)
        table, value = phrases.SUM, a + b
    if rng.random() < 0.1:
        sign = "+" if table is phrases.SUM else "-"
        question = rng.choice(("{}{}{}", "{} {} {}", "{}{}{}=")).format(a, sign, b)
        question = (
            rng.choice(("", "", "what is ") if lang == "en" else ("", "", "算一下"))
            + question
            + ("等于几" if lang == "zh" and not question.endswith("=") else "")
        )
    else:
        names = {"a": spoken_or_typed_number(a, lang, rng), "b": spoken_or_typed_number(b, lang, rng)}
        question = expand(rng.choice(table[lang]), rng, names)
    return Turn(kind="sum", lang=lang, question=question, answer=number(value, lang))


def small_talk(rng: random.Random, lang: str) -> Turn:
    """Greetings, the name, what it can do, thanks, goodbye, stop."""
    kind = rng.choice((*SMALL_TALK, "stop"))
    entry = texts("small_talk")[lang][kind]
    return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["answer"][0])


def long_answer(rng: random.Random, lang: str) -> Turn:
    """Count to twenty, introduce yourself, tell a story."""
    kind = rng.choice(LONG_KINDS)
    entry = texts("small_talk")[lang][kind]
    if kind != "story":
        return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["answer"][0])
    if rng.random() < 0.4:
        return Turn(kind=kind, lang=lang, question=rng.choice(entry["ask"]), answer=entry["titles"][0]["text"])
    title = rng.choice(entry["titles"])
    return Turn(kind=kind, lang=lang, question=rng.choice(title["ask"]), answer=title["text"])


def print_question(scene: Scene, rng: random.Random, lang: str) -> Turn:
    """Read it (letter by letter), or the result of a sum."""
    if scene.kind == "sum" and rng.random() < 0.75:
        return Turn(
            kind="result",
            lang=lang,
            question=ask("result", lang, rng),
            answer=number(sum_value(scene.text), lang),
            scene=scene,
        )
    return Turn(kind="read", lang=lang, question=ask("read", lang, rng), answer=scene.text, spell=True, scene=scene)


def sum_value(text: str) -> int:
    """The value of "3+4", "12-5=" or "3 + 4=?"."""
    text = text.rstrip("=? ").replace(" ", "")
    sign = "+" if "+" in text else "-"
    a, b = text.split(sign)
    return int(a) + int(b) if sign == "+" else int(a) - int(b)


def chart_code(boxes: tuple[str, ...]) -> str:
    """A flow chart as a few lines of Python."""
    names = [f"step{box}" if box.isdigit() or keyword.iskeyword(box) else box for box in boxes]
    return "def run():\n" + "\n".join(f"    {name}()" for name in names)


def chart_question(scene: Scene, rng: random.Random, lang: str) -> Turn:
    """What comes after a box, the first, the last, the order, the code."""
    kind = rng.choices(("next_box", "first_box", "last_box", "describe", "code"), (8, 1, 1, 1.5, 1.5))[0]
    if kind == "next_box":
        index = rng.randrange(len(scene.boxes) - 1)
        question, answer = ask(kind, lang, rng, label=scene.boxes[index]), scene.boxes[index + 1]
    elif kind == "describe":
        question, answer = ask(kind, lang, rng), (" then " if lang == "en" else "，然后").join(scene.boxes)
    elif kind == "code":
        question, answer = ask(kind, lang, rng), chart_code(scene.boxes)
    else:
        question, answer = ask(kind, lang, rng), scene.boxes[0 if kind == "first_box" else -1]
    return Turn(kind=kind, lang=lang, question=question, answer=answer, spell=True, scene=scene)


def clip_question(clip: ClipScene, rng: random.Random, lang: str) -> Turn:
    """A question that this clip can answer."""
    moves = clip.event in ("left", "right", "up", "down")
    kinds = ["event", "event", "final_colour", "final_colour", "clip_shape"] + (["direction"] * 5 if moves else [])
    kinds += ["final_colour"] * 3 + ["clip_colour"] if clip.event == "changes" else []
    kind = rng.choice(kinds)
    template = rng.choice(phrases.CLIP[kind][lang])
    question = expand(template, rng, fillings(lang, shape=clip.shape))
    if kind == "direction":
        answer = name_of("directions", clip.event, lang)
    elif kind == "event":
        answer = event_sentence(clip.event, lang)
    elif kind == "clip_shape":
        answer = name_of("shapes", clip.shape, lang)
    else:
        answer = name_of("colours", clip.final_colour if kind == "final_colour" else clip.colour, lang)
    return Turn(kind=kind, lang=lang, question=question, answer=answer, clip=clip)


def event_sentence(event: str, lang: str) -> str:
    """What happens in the clip, in a few words."""
    if event in ("appears", "disappears"):
        return {"en": f"it {event}", "zh": {"appears": "它出现了", "disappears": "它消失了"}[event]}[lang]
    if event == "changes":
        return {"en": "it changes color", "zh": "它变色了"}[lang]
    return {"en": f"it moves {event}", "zh": f"它{name_of('directions', event, 'zh')}移动"}[lang]


def decorate(question: str, lang: str, rng: random.Random) -> str:
    """Now and then a lead-in before or a tail after the question."""
    ways = texts("lead_ins")[lang]
    if rng.random() < 0.18:
        question = f"{rng.choice(ways['before'])} {question}"
    if rng.random() < 0.06:
        question = f"{question} {rng.choice(ways['after'])}"
    return tidy(question)


def picture_turn(rng: random.Random, lang: str, scene: Scene | None = None) -> Turn:
    """A question on a picture of any kind."""
    scene = scene or random_scene(rng)
    makers = {"shapes": shape_question, "text": print_question, "sum": print_question, "chart": chart_question}
    return makers[scene.kind](scene, rng, lang)


def clip_turn(rng: random.Random, lang: str) -> Turn:
    """A question on a clip."""
    return clip_question(random_clip(rng), rng, lang)


TASKS: dict[str, Callable[[random.Random, str], Turn]] = {
    "fact": fact,
    "sum": sum_,
    "small_talk": small_talk,
    "long": long_answer,
    "picture": picture_turn,
    "clip": clip_turn,
}

"""The test split of the pocket world: reserved voices, phrasings of its own, pictures and clips from other seeds.

`vita.evaluate.pocket` asks them and scores the answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from vita.media import Clip
from vita.synth import held_out, questions
from vita.synth.grammar import expand
from vita.synth.pictures import clip_images
from vita.synth.questions import event_sentence
from vita.synth.render import render
from vita.synth.scenes import Scene, random_clip, random_scene, random_things
from vita.synth.shape_questions import description
from vita.synth.sounds import SAMPLE_RATE_HZ, mix, sound
from vita.synth.speech_set import spoken_form
from vita.synth.turns import Turn, article, counted, fillings, number, thing_name
from vita.synth.voices import Speaker, festival_voices, has_flite, reserved_voice, say
from vita.synth.world import COLOURS, LANGUAGES, SHAPES, name_of, texts, world
from vita.tokens import State

SOUNDS = ("hum", "clicks", "chords", "traffic", "silence")
FRAME_RATE = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question of the test and what is right.

    group: its row in the table.
    kind: of the question; decides how the answer is scored.
    lang: "en" or "zh".
    answer: the right one; several, joined by " | ", for stories.
    state: the right state token.
    name: the same in every run, and different for every case.
    question, image, clip, audio: what is typed, shown and said.
    said: the words of `audio`.
    """

    group: str
    kind: str
    lang: str
    answer: str
    state: State
    name: str = ""
    question: str | None = None
    image: Image.Image | None = None
    clip: Clip | None = None
    audio: np.ndarray | None = None
    said: str | None = None


def cases(count: int, seed: int = 2026) -> Iterator[Case]:
    """About `count` cases of every group and language."""
    for lang in LANGUAGES:
        for group, make in GROUPS.items():
            rng = random.Random(f"pocket test {seed} {lang} {group}")
            for index in range(count):
                yield replace(make(group, lang, rng), name=f"{lang}/{group}/{index}")
    strangers = [("flite slt", Speaker(engine="flite", voice="slt"))] if has_flite() else []
    strangers += [(f"festival {voice}", Speaker(engine="festival", voice=voice)) for voice in festival_voices()]
    for stranger, speaker in strangers:
        rng, group = random.Random(f"pocket test {seed} {stranger.partition(' ')[0]}"), f"spoken facts, {stranger}"
        for index in range(count):
            yield replace(spoken_case(group, fact_turn(rng, "en"), rng, speaker), name=f"en/{group}/{index}")


def fact_turn(rng: random.Random, lang: str) -> Turn:
    entry = rng.choice(world()["facts"])
    question = rng.choice(held_out.FACT[lang]).replace("{x}", entry[lang]["about"])
    return Turn(kind="fact", lang=lang, question=question, answer=entry[lang]["answer"])


def sum_turn(rng: random.Random, lang: str) -> Turn:
    a = rng.randint(0, 20)
    b = rng.randint(0, 20 - a)
    question = expand(rng.choice(held_out.SUM[lang]), rng, {"a": number(a, lang), "b": number(b, lang)})
    return Turn(kind="sum", lang=lang, question=question, answer=number(a + b, lang))


def _phrase(table: dict[str, dict[str, list[str]]], kind: str, lang: str, rng: random.Random, **english: str) -> str:
    if "shape" in english:
        english["shapes"] = english["shape"]
    return expand(rng.choice(table[kind][lang]), rng, fillings(lang, **english))


def _shapes(kind: str, rng: random.Random, lang: str) -> Turn:
    """A question of `kind` on a picture that can answer it."""
    while True:
        scene = Scene(kind="shapes", things=random_things(rng))
        thing = rng.choice(scene.things)
        shape, colour = thing.shape, thing.colour
        is_alone = sum(t.place == thing.place for t in scene.things) == 1
        same_shape = sum(t.shape == shape for t in scene.things)
        same_colour = sum(t.colour == colour for t in scene.things)
        both = sum(t.shape == shape and t.colour == colour for t in scene.things)
        if kind == "exists" and rng.random() < 0.5:
            shape, colour = rng.choice(SHAPES), rng.choice(COLOURS)
            both = sum(t.shape == shape and t.colour == colour for t in scene.things)
        answers = {
            "colour_of_shape": name_of("colours", colour, lang) if same_shape == 1 else None,
            "shape_of_colour": name_of("shapes", shape, lang) if same_colour == 1 else None,
            "count_all": counted(len(scene.things), lang),
            "count_shape": counted(same_shape, lang),
            "count_colour": counted(same_colour, lang),
            "where": name_of("positions", thing.place, lang) if both == 1 else None,
            "exists": {"en": ("no", "yes"), "zh": ("没有", "有")}[lang][both > 0],
            "at_place": article(thing_name(shape, colour, lang), lang) if is_alone else None,
            "describe": description(scene, lang),
        }
        if answers[kind] is not None:
            question = _phrase(held_out.PICTURE, kind, lang, rng, shape=shape, colour=colour, place=thing.place)
            return Turn(kind=kind, lang=lang, question=question, answer=answers[kind] or "", scene=scene)


def _print(kind: str, rng: random.Random, lang: str) -> Turn:
    scene = random_scene(rng, {"read": "text", "result": "sum", "next_box": "chart", "code": "chart"}[kind])
    if kind == "next_box":
        at = rng.randrange(len(scene.boxes) - 1)
        return Turn(
            kind=kind,
            lang=lang,
            scene=scene,
            answer=scene.boxes[at + 1],
            question=_phrase(held_out.PICTURE, kind, lang, rng, label=scene.boxes[at]),
        )
    if kind == "code":
        answer = questions.chart_code(scene.boxes)
    else:
        answer = scene.text if kind == "read" else number(questions.sum_value(scene.text), lang)
    return Turn(kind=kind, lang=lang, scene=scene, answer=answer, question=_phrase(held_out.PICTURE, kind, lang, rng))


def _clip(rng: random.Random, lang: str) -> Turn:
    clip = random_clip(rng)
    kind = {"changes": rng.choice(("event", "final_colour"))}.get(clip.event, "event")
    if clip.event in ("left", "right", "up", "down"):
        kind = rng.choice(("direction", "direction", "event"))
    answer = {
        "direction": lambda: name_of("directions", clip.event, lang),
        "event": lambda: event_sentence(clip.event, lang),
        "final_colour": lambda: name_of("colours", clip.final_colour, lang),
    }[kind]()
    return Turn(
        kind=kind,
        lang=lang,
        clip=clip,
        answer=answer,
        question=_phrase(held_out.CLIP, kind, lang, rng, shape=clip.shape),
    )


def long_turn(rng: random.Random, lang: str) -> Turn:
    kind = rng.choice(questions.LONG_KINDS)
    entry = texts("small_talk")[lang][kind]
    answer = " | ".join(t["text"] for t in entry["titles"]) if kind == "story" else entry["answer"][0]
    return Turn(kind=kind, lang=lang, question=rng.choice(held_out.LONG[kind][lang]), answer=answer)


def _any_picture(rng: random.Random, lang: str) -> Turn:
    return _shapes(rng.choice(PICTURE_KINDS), rng, lang)


def _image(turn: Turn, rng: random.Random) -> Image.Image | None:
    return None if turn.scene is None else render(turn.scene, rng)


def _frames(turn: Turn, rng: random.Random) -> Clip | None:
    if turn.clip is None:
        return None
    frames = clip_images(turn.clip, rng)
    return Clip(frames=frames, times_s=np.arange(len(frames), dtype=np.float64), fps=FRAME_RATE)


def _typed(group: str, turn: Turn, rng: random.Random) -> Case:
    mark = "?" if turn.lang == "en" else "？"
    return Case(
        group=group,
        kind=turn.kind,
        lang=turn.lang,
        answer=turn.answer,
        state=State.TYPED_QUERY,
        question=turn.question + mark,
        image=_image(turn, rng),
        clip=_frames(turn, rng),
    )


def spoken_case(
    group: str, turn: Turn, rng: random.Random, speaker: Speaker | None = None, snr_db: float | None = None
) -> Case:
    said = spoken_form(turn.question, turn.lang)
    wave = say(said, speaker or reserved_voice(rng, turn.lang))
    wave = np.pad(wave, (rng.randint(800, 4000), rng.randint(800, 4000))) * np.float32(rng.uniform(0.3, 1.0))
    if snr_db is not None:
        generator = np.random.default_rng(rng.getrandbits(32))
        wave = mix(
            wave,
            sound(str(generator.choice(("traffic", "hiss", "hum"))), len(wave) / SAMPLE_RATE_HZ, generator),
            snr_db,
        )
    return Case(
        group=group,
        kind=turn.kind,
        lang=turn.lang,
        answer=turn.answer,
        state=turn.state(spoken=True),
        audio=wave.astype(np.float32),
        said=said,
        image=_image(turn, rng),
        clip=_frames(turn, rng),
    )


def side_talk_turn(rng: random.Random, lang: str) -> Turn:
    return Turn(kind="side_talk", lang=lang, question=rng.choice(held_out.SIDE_TALK[lang]), answer="", noise=True)


def backchannel_turn(rng: random.Random, lang: str) -> Turn:
    question = rng.choice(held_out.BACKCHANNEL[lang])
    return Turn(kind="backchannel", lang=lang, question=question, answer="", noise=True)


def sound_case(group: str, lang: str, rng: random.Random) -> Case:
    generator = np.random.default_rng(rng.getrandbits(32))
    wave = sound(str(generator.choice(SOUNDS)), generator.uniform(1.5, 4.0), generator)
    return Case(group=group, kind="sound", lang=lang, answer="", state=State.NOISE, audio=wave)


Maker = Callable[[str, str, random.Random], Case]


def _typed_group(make: Callable[[random.Random, str], Turn]) -> Maker:
    return lambda group, lang, rng: _typed(group, make(rng, lang), rng)


def _spoken_group(make: Callable[[random.Random, str], Turn], snr_db: float | None = None) -> Maker:
    return lambda group, lang, rng: spoken_case(group, make(rng, lang), rng, snr_db=snr_db)


def _of(make: Callable[[str, random.Random, str], Turn], kind: str) -> Callable[[random.Random, str], Turn]:
    return lambda rng, lang: make(kind, rng, lang)


PICTURE_KINDS = ("colour_of_shape", "shape_of_colour", "count_all", "count_shape", "count_colour", "where", "exists")
PRINT_KINDS = ("read", "result", "next_box")
_SPOKEN: dict[str, Callable[[random.Random, str], Turn]] = {
    "spoken facts": fact_turn,
    "spoken sums": sum_turn,
    "spoken pictures": _any_picture,
    "spoken clips": _clip,
}
GROUPS: dict[str, Maker] = {
    "typed facts": _typed_group(fact_turn),
    "typed sums": _typed_group(sum_turn),
    **{f"typed picture: {kind}": _typed_group(_of(_shapes, kind)) for kind in PICTURE_KINDS},
    **{f"typed print: {kind}": _typed_group(_of(_print, kind)) for kind in PRINT_KINDS},
    "typed clips": _typed_group(_clip),
    "typed long": _typed_group(long_turn),
    **{group: _spoken_group(make) for group, make in _SPOKEN.items()},
    "spoken long": _spoken_group(long_turn),
    **{f"{group}, 10 dB": _spoken_group(make, snr_db=10.0) for group, make in _SPOKEN.items()},
    "side talk": _spoken_group(side_talk_turn),
    "sounds": sound_case,
    "at place, typed": _typed_group(_of(_shapes, "at_place")),
    "description, typed": _typed_group(_of(_shapes, "describe")),
    "chart as code, typed": _typed_group(_of(_print, "code")),
    "backchannels, spoken": _spoken_group(backchannel_turn),
}

__all__ = ["GROUPS", "PICTURE_KINDS", "PRINT_KINDS", "Case", "cases"]

"""Teach a model the noise of a room: what is to be ignored there, and what is still to be answered in it.

    python examples/finetune_noise.py RECORDINGS --out runs/my_noise [--steps 40]

RECORDINGS is a folder of sound files in which nobody asks the model anything. They are cut into clips of 4 s; every
fourth is kept back. The model learns that the others are noise, and to answer spoken questions in them; before and
after it is asked about what was kept back. The result is a folder: `vita live --model runs/my_noise/adapt/model`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from vita import train
from vita.api import load
from vita.data.spoken_set import SpeechRules, make_set
from vita.errors import DataError
from vita.media import SAMPLE_RATE_HZ, load_audio
from vita.speech import write_wav

CLIP_S = 4
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".m4a"}
FACTS = {
    "How many legs does a spider have?": "Eight.", "What is the capital of France?": "Paris.",
    "What is the capital of Japan?": "Tokyo.", "How many days are there in a week?": "Seven.",
    "中国的首都是哪里？": "北京。", "世界上最大的动物是什么？": "蓝鲸。",
}  # fmt: skip


def cut(recordings: Path, out: Path) -> tuple[list[Path], list[Path]]:
    """Clips to learn from, and clips kept back. Raises DataError if there are fewer than four."""
    clips = []
    for path in sorted(path for path in recordings.iterdir() if path.suffix in SUFFIXES):
        samples = load_audio(path)
        for start in range(0, len(samples) - SAMPLE_RATE_HZ, CLIP_S * SAMPLE_RATE_HZ):
            clip = out / f"{path.stem}_{start // SAMPLE_RATE_HZ:04d}.wav"
            write_wav(clip, samples[start : start + CLIP_S * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
            clips.append(clip)
    if len(clips) < 4:
        raise DataError(f"too little sound in {recordings}", got=f"{len(clips)} clips", expected="4 of 4 s, or more")
    return [clip for number, clip in enumerate(clips) if number % 4], clips[::4]


def make_records(noise: list[Path], out: Path, seed: int) -> Path:
    """Records of the noise, and of questions spoken in it, in out/data.jsonl; sounds lie in out/audio."""
    rows = [{"id": str(number), "question": q, "answer": a} for number, (q, a) in enumerate(FACTS.items())]
    rules = SpeechRules(noise_share=0, recordings=tuple(noise), snrs_db=(10.0, 20.0), mixed_share=1.0, seed=seed)
    make_set(rows, rules, out)
    items = [json.loads(line) for line in (out / "data.jsonl").read_text(encoding="utf-8").splitlines()]
    for item in items:  # asked aloud only
        item["audio"] = item.pop("spoken")
        item["conversations"][0]["value"] = "<audio>"
    for clip in noise:
        turns = [{"from": "human", "value": "<audio>"}, {"from": "gpt", "value": "I hear something."}]
        items.append({"id": clip.stem, "audio": str(clip.resolve()), "inserted_id": 1, "conversations": turns})
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in items]
    (out / "data.jsonl").write_text("".join(lines), encoding="utf-8")
    return out / "data.jsonl"


def recipe(model: str, data: Path, out: Path, steps: int) -> Path:
    """Adapters in the language model; its ears and eyes stay as they are."""
    lines = [
        "name: my_noise", f"model: {model}", f"out: {out}", "max_tokens: 512", "tensorboard: false", "precision: fp32",
        f"data: [{{name: room, file: {data}}}]",
        f"stages: [{{name: adapt, train: [lora], steps: {steps}, learning_rate: 3.0e-4}}]",
    ]  # fmt: skip
    path = out / "recipe.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def shares(model: str, noise: list[Path], questions: list[Path]) -> tuple[float, float]:
    """Of noise that is kept silent on, and of questions that are taken for questions."""
    assistant = load(model)
    silent = [assistant.ask(audio=clip, max_new_tokens=1).state.value == "noise" for clip in noise]
    asked = [assistant.ask(audio=clip, max_new_tokens=1).state.value == "spoken_query" for clip in questions]
    return float(np.mean(silent)), float(np.mean(asked))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/my_noise"))
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()

    learned, kept = cut(options.recordings, options.out / "clips")
    data = make_records(learned, options.out / "questions", seed=0)
    make_records(kept, options.out / "kept_back", seed=1)
    asked = sorted((options.out / "kept_back" / "audio").glob("*.wav"))
    before = shares(options.model, kept, asked)
    made = train.run(recipe(options.model, data, options.out, options.steps))
    after = shares(str(made), kept, asked)
    for name, first, then in zip(("silent on the noise", "questions in it heard"), before, after, strict=True):
        print(f"{name}: {first:.2f} before, {then:.2f} after")
    print(f"the model: {made}")


if __name__ == "__main__":
    main()

"""`make demo`: the main job on the bundled examples, each with the command that does the same. Run from the repository.

Reads examples.jsonl, asks the embedded model once per line and prints state, answer and time; one answer is also spoken
into out/answer.wav. The model is loaded once; each command alone would load it again.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from vita.api import Answer, load
from vita.errors import VitaError
from vita.speech import speak, write_wav

FOLDER = Path(__file__).parent
SPOKEN_ANSWER = "spoken"
"""The id of the example whose answer is also spoken."""
OUT = Path("out") / "answer.wav"
NEXT = """
Try next:
  .venv/bin/vita ask "How many shapes are there?" --image examples/shapes.png
  .venv/bin/vita ask "Tell me a story."
  .venv/bin/vita ask --audio YOUR_RECORDING.wav --json
  .venv/bin/vita ask --batch examples/examples.jsonl --output out/answers.jsonl
  .venv/bin/vita doctor
  make test
The embedded model knows a small world only: shapes, colours, sums, print, moving shapes, sixty facts. README.md says
how to use other models.
"""


def command(row: dict[str, Any], speak_to: Path | None) -> str:
    """The `vita` command that asks what the row asks."""
    words = ["vita", "ask"]
    if "question" in row:
        words.append(row["question"])
    for name in ("image", "video", "audio"):
        if name in row:
            words += [f"--{name}", f"examples/{row[name]}"]
    if speak_to is not None:
        words += ["--speak", str(speak_to)]
    return " ".join(word if word.isascii() and shlex.quote(word) == word else f'"{word}"' for word in words)


def show(row: dict[str, Any], answer: Answer) -> None:
    """State, answer and time, in two lines."""
    text = answer.text or "(silent)"
    first, total = answer.timing_ms["first_token"], answer.timing_ms["total"]
    print(f"  {text}")
    print(f"  state {answer.state.value}, first word after {first:.0f} ms, done after {total:.0f} ms\n")


def main() -> int:
    """Ask everything; 2 if the embedded model cannot be loaded."""
    rows = [json.loads(line) for line in (FOLDER / "examples.jsonl").read_text(encoding="utf-8").splitlines()]
    started_s = time.perf_counter()
    print("loading the embedded model ...", flush=True)
    try:
        assistant = load("pocket")
        print(f"loaded in {time.perf_counter() - started_s:.1f} s\n")
        for row in rows:
            speak_to = OUT if row["id"] == SPOKEN_ANSWER else None
            print(f"{row['note']}\n$ {command(row, speak_to)}", flush=True)
            media = {name: FOLDER / row[name] for name in ("image", "video", "audio") if name in row}
            answer = assistant.ask(row.get("question"), **media)
            show(row, answer)
            if speak_to is not None:
                write_wav(speak_to, *speak(answer.text))
                print(f"  the answer is spoken in {speak_to}\n")
    except VitaError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 2
    print(NEXT.strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Conversations about the bundled examples, as the local engine takes them and as a client of vLLM writes them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from vita.chat.messages import Audio, Image, Message, Part, Text, Video
from vita.media import load_audio, load_image, load_video
from vita.tokens import VITA_1_0_STATES, State

EXAMPLES = Path(__file__).parents[2] / "examples"
Turn = tuple[str, ...]

CONVERSATIONS: dict[str, list[Turn]] = {
    "text": [("what is the capital of france",)],
    "image": [("shapes.png", "how many circles are there?")],
    "spoken": [("capital_en.wav",)],
    "spoken in Chinese": [("animal_zh.wav",)],
    "image and spoken": [("shapes.png", "colour_en.wav")],
    "video": [("moving.mp4", "which way does it move?")],
    "video and spoken": [("moving.mp4", "direction_zh.wav")],
    "noise": [("hum.wav",)],
    "side talk": [("side_talk_en.wav",)],
    "placed": [("what is this? <image> and this? <image>", "shapes.png", "sum.png")],
    "turns": [("sum.png", "what is this?"), ("typed_query", "a sum"), ("shapes.png", "capital_en.wav"),
              ("spoken_query", "paris"), ("and how many squares?",)],
}  # fmt: skip
"""Name -> turns, the user's first. Names of files stand for media; a reply begins with its state."""


def ours(turns: list[Turn]) -> list[Message]:
    """As the local engine takes them."""
    return [
        Message.user(*map(_our_part, turn)) if index % 2 == 0 else Message.assistant(turn[1], State(turn[0]))
        for index, turn in enumerate(turns)
    ]


def theirs(turns: list[Turn]) -> list[dict[str, Any]]:
    """As OpenAI's chat messages."""
    return [
        {"role": "user", "content": [_their_part(part) for part in turn]}
        if index % 2 == 0
        else {"role": "assistant", "content": VITA_1_0_STATES.spelling(State(turn[0])) + turn[1]}
        for index, turn in enumerate(turns)
    ]


def _our_part(part: str) -> Part:
    path = EXAMPLES / part
    if part.endswith(".png"):
        return Image(load_image(path))
    if part.endswith(".wav"):
        return Audio(load_audio(path))
    return Video(load_video(path)) if part.endswith(".mp4") else Text(part)


def _their_part(part: str) -> dict[str, Any]:
    if not part.endswith((".png", ".wav", ".mp4")):
        return {"type": "text", "text": part}
    data = base64.b64encode((EXAMPLES / part).read_bytes()).decode()
    if part.endswith(".wav"):
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    kind, mime = ("image_url", "image/png") if part.endswith(".png") else ("video_url", "video/mp4")
    return {"type": kind, kind: {"url": f"data:{mime};base64,{data}"}}

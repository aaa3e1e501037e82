"""A voice pipeline of Pipecat, with its own OpenAI Realtime service as it is, talks to `vita serve`.

    pip install "pipecat-ai[openai]"        # into an environment of its own, if its versions do not fit
    python benchmarks/pipecat_talk.py ws://127.0.0.1:8000/v1/realtime [--out answers.wav]

It plays `examples/conversation.wav` to it: a question, side talk, "Tell me a story.", and a question that talks over
the story. What came back is printed as one JSON object, and saved as sound. Needs nothing of this package itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from pipecat.frames.frames import (
    CancelFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE_HZ = 24_000
FRAME_S = 0.02
PATIENCE_S = 15.0


class Listener(FrameProcessor):
    """Notes what passes: words and sound of answers, interruptions, errors."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[str] = [""]
        self.sound = b""
        self.sounded_s = 0.0
        self.num_interruptions = 0
        self.errors: list[str] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSTextFrame):
            self.answers[-1] += frame.text
        elif isinstance(frame, TTSAudioRawFrame):
            self.sound += frame.audio
            self.sounded_s = time.monotonic()
        elif isinstance(frame, LLMFullResponseEndFrame):
            self.answers.append("")
        elif isinstance(frame, InterruptionFrame):
            self.num_interruptions += 1
        await self.push_frame(frame, direction)


class Errors(FrameProcessor):
    """First in the pipeline: notes the errors that come up to it."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """See FrameProcessor."""
        await super().process_frame(frame, direction)
        if isinstance(frame, ErrorFrame):
            self._listener.errors.append(frame.error)
        await self.push_frame(frame, direction)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--key", default="none")
    parser.add_argument("--out", type=Path, help="the answers, as a wav file")
    print(json.dumps(asyncio.run(talk(parser.parse_args())), ensure_ascii=False))


async def talk(options: argparse.Namespace) -> dict[str, Any]:
    """All that is said, and what came of it."""
    audio = events.AudioConfiguration(
        input=events.AudioInput(
            transcription=events.InputAudioTranscription(), turn_detection=events.SemanticTurnDetection()
        )
    )
    service = OpenAIRealtimeLLMService(
        api_key=options.key,
        base_url=options.url,
        settings=OpenAIRealtimeLLMService.Settings(
            model=options.model, session_properties=events.SessionProperties(audio=audio)
        ),
    )
    listener = Listener()
    context = LLMContext()
    pair = LLMContextAggregatorPair(context)
    pipeline = Pipeline([Errors(listener), pair.user(), service, listener, pair.assistant()])
    worker = PipelineWorker(
        pipeline, params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ)
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    try:
        await say(worker, listener)
    finally:
        await worker.queue_frame(CancelFrame())
        await asyncio.wait([running], timeout=10)
        running.cancel()
    if options.out:
        soundfile.write(options.out, np.frombuffer(listener.sound, "<i2"), RATE_HZ)
    return {
        "answers": [text.strip() for text in listener.answers if text],
        "context": [[message["role"], message["content"]] for message in context.messages],
        "seconds": round(len(listener.sound) / 2 / RATE_HZ, 2),
        "interruptions": listener.num_interruptions,
        "errors": listener.errors,
    }


async def say(worker: PipelineWorker, listener: Listener) -> None:
    """The conversation at the pace of speech, then silence until nothing more is answered."""
    sound, rate_hz = soundfile.read(EXAMPLES / "conversation.wav", dtype="float32")
    samples = (soxr.resample(sound, rate_hz, RATE_HZ).clip(-1, 1) * 32767).astype("<i2")
    frame, position = int(FRAME_S * RATE_HZ), 0
    started_s = listener.sounded_s = time.monotonic()
    while position < len(samples) or time.monotonic() - listener.sounded_s < PATIENCE_S:
        piece = samples[position : position + frame]
        piece = np.concatenate([piece, np.zeros(frame - len(piece), "<i2")])
        await worker.queue_frame(InputAudioRawFrame(audio=piece.tobytes(), sample_rate=RATE_HZ, num_channels=1))
        position += frame
        await asyncio.sleep(max(0.0, started_s + position / RATE_HZ - time.monotonic()))


if __name__ == "__main__":
    main()

"""A client of /v1/realtime: asks a question aloud, prints the answer as it is spoken, saves its sound.

    vita serve
    python examples/realtime_client.py examples/colour_en.wav --out out/answer.wav

Needs nothing but the `openai` package and `websockets`; it works with any server of this interface.
"""

import argparse
import asyncio
import base64

import soundfile
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

RATE_HZ = 24_000


async def speak(connection: AsyncRealtimeConnection, path: str) -> None:
    """Sends a recording at the pace of speech, then silence, as a microphone does; its own rate is told before."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    pcm = samples.tobytes() + bytes(2 * rate_hz)
    for start in range(0, len(pcm), rate_hz // 5):  # pieces of 100 ms
        piece = base64.b64encode(pcm[start : start + rate_hz // 5]).decode()
        await connection.input_audio_buffer.append(audio=piece)
        await asyncio.sleep(0.1)


async def ask(url: str, key: str, path: str) -> tuple[str, bytes]:
    """The answer's words and sound; both empty if the model took the recording for noise."""
    client = AsyncOpenAI(base_url=url, api_key=key)
    rate_hz = soundfile.info(path).samplerate
    formats = [{"type": "audio/pcm", "rate": rate} for rate in (rate_hz, RATE_HZ)]
    words, sound = "", b""
    async with client.realtime.connect(model="pocket") as connection:
        audio = {"input": {"format": formats[0]}, "output": {"format": formats[1]}}
        await connection.session.update(session={"type": "realtime", "audio": audio})  # type: ignore[typeddict-item]
        speaking = asyncio.create_task(speak(connection, path))
        async for event in connection:
            if event.type == "response.output_audio.delta":
                sound += base64.b64decode(event.delta)
            elif event.type == "response.output_audio_transcript.delta":
                words += event.delta
                print(event.delta, end="", flush=True)
            elif event.type == "error":
                raise SystemExit(event.error.message)
            elif event.type == "response.done":
                break
            elif event.type == "conversation.item.done" and _is_noise(event.item):
                print("(not for me)", end="")
                break
        await speaking
    print()
    return words, sound


def _is_noise(item: object) -> bool:
    """Our servers say what a spoken turn was; others do not."""
    return (getattr(item, "vita", None) or {}).get("state") == "noise"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", help="a WAV file, 16 or 24 kHz, mono")
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--key", default="none")
    parser.add_argument("--out", help="a WAV file for the answer")
    options = parser.parse_args()
    _, sound = asyncio.run(ask(options.url, options.key, options.question))
    if options.out and sound:
        soundfile.write(options.out, memoryview(sound).cast("h"), RATE_HZ)


if __name__ == "__main__":
    main()

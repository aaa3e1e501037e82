"""A voice assistant in 20 lines: microphone and speakers, until Ctrl-C. `pip install 'vita-omni[mic]'`."""

import asyncio

from vita.api import load
from vita.clock import RealClock
from vita.duplex.devices import Devices
from vita.duplex.options import LiveOptions
from vita.duplex.session import Session
from vita.duplex.voice_activity import SileroVoiceActivity
from vita.speech.voices import make_voice


async def main() -> None:
    engine, voice, activity = load("pocket").engine, make_voice("espeak"), SileroVoiceActivity()
    options = LiveOptions(echo=True)  # open speakers: False with headphones
    devices, clock = Devices(options.sample_rate_hz), RealClock()
    async with Session(engine, voice, activity, clock=clock, sink=devices, on_event=print, options=options) as session:
        while True:
            session.feed(await devices.read())


if __name__ == "__main__":
    asyncio.run(main())

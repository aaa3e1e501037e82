"""One live conversation: it hears everything, answers only questions, and can be interrupted.

events.py     what happens to a conversation, and what is done about it
machine.py    the conversation itself: (state, event) -> (state, commands); who generates, who monitors
turns.py      from voice activity to turns: start and stop strategies
voice_activity.py  is somebody speaking? (Silero VAD)
ledger.py     what has really been played, by time
session.py    drives all of it with an engine, a voice and a clock
"""

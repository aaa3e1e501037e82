"""One live conversation: it hears everything, answers only questions, and can be interrupted.

events.py     what happens to a conversation, and what is done about it
state.py      what a conversation is at one moment; its policy
machine.py    the conversation itself: (state, event) -> (state, commands); who generates, who monitors
session.py    drives it with an engine, a voice and a clock; options.py: all settings
files.py      a session on recordings; devices.py: on a microphone and speakers
voice_activity.py  is somebody speaking? (Silero VAD)
echo.py       the assistant's own voice is taken out of what is heard, and told from other people's
turns.py      from voice activity to turns: start and stop strategies
microphone.py what was heard, and the events that it makes
monitor.py    the monitor at work; listening.py: a spoken turn on its way into the monitor's context
spotter.py    "stop" and "mm-hm": words that need no model to be understood
answering.py  an answer while it is written, spoken and played
player.py     plays it block by block; ledger.py: what of it was heard
contexts.py   the two contexts and their lanes of work (lane.py); history.py: what was really said
views.py      camera frames and pictures
"""

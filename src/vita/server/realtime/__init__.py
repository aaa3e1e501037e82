"""/v1/realtime: a live conversation over a websocket, with the events of OpenAI's Realtime interface.

route.py          connections: who may come in, queue, limits, how long
conversation.py   one client's conversation: its events in, ours out, the live session between them
client_events.py  what a client sends
configuration.py  what it may set, and what that means for the live session
telling.py        what the live session tells, as events
transcribing.py   the words of sounds that clients commit themselves
response.py       one response on its way to the client
items.py          the items of a conversation
sound.py          audio formats
item_reader.py    items that a client makes
answer_voice.py   the voice of one conversation
outbox.py         events that wait to be sent, bounded
places.py         how many sessions there may be
pace.py           how fast a client may send
recording.py      recordings of sessions, for debugging
parking.py        conversations whose connection was lost

Events have their names and fields from OpenAI's documentation; fields and events of ours are called `vita`.
"""

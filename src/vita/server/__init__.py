"""The server room: OpenAI's interfaces in front of an engine, over HTTP and websockets. Needs the extra `[serve]`.

settings.py       what a server may be told, with its limits
app.py            the application: routes, error handlers, middleware
gate.py           who may come in: keys, Host, Origin
edge.py           what every request passes: request id, headers, limits on the body, the log line
failures.py       errors in OpenAI's format
parameters.py     fields that are ignored, and those that are refused
chat_request.py   what a client sends to Chat Completions
chat_response.py  what it gets
conversation.py   its messages, with their media, as ours
replies.py        the queue, and replies being written in threads
stops.py          stop sequences in a text that comes in pieces
leaving.py        ends the work for a client that has gone
chat.py           /v1/chat/completions
chat_reply.py     one reply on its way to a client
transcripts.py    what spoken replies said, by the id of their sound
speaking.py       voices and audio formats
speech.py         /v1/audio/speech
transcription.py  /v1/audio/transcriptions
realtime/         /v1/realtime
metrics.py        Prometheus
logs.py           log lines as JSON
certificate.py    a self-signed certificate
memory.py         what is freed goes back to the system
serving.py        Uvicorn: socket, TLS, draining
workers.py        several processes behind one address
balancer.py       which of them gets a connection

Imported by `vita.cli.serve` when it runs; `create_app` is for embedding and for tests.
"""

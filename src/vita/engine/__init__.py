"""Engines: what holds a model and answers with it. `protocol.py` says what an engine is.

protocol.py   Engine, Context, Reply and the records they exchange
conversation.py  what the contexts of all engines have in common
local.py      an engine on PyTorch, in this process
writing.py    a reply while it is written, on any engine
reply.py      its replies, while they are written
listening.py  the sounds it hears, while they arrive
turnstile.py  whose turn it is to run the model
budget.py     how much all conversations may keep in their caches
prompt.py     conversation -> ids and media, every medium processed once
prefix.py     the KV cache of a conversation and what is in it
decoding.py   choosing a token, text from tokens as they come
batch.py      many conversations at once
vllm*.py      an engine on a vLLM server
scripted.py   an engine that says what a test tells it to
"""

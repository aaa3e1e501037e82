"""Conversations: messages and their parts, the template that turns them into a prompt, the reader of the state token.

Imported by models (the processor), data, engine, duplex and server. Needs no torch; transformers only for tokenizers.
"""

from vita.chat.formats import TokenizerTemplate, VitaTemplate, build_template
from vita.chat.messages import Audio, Image, Medium, Message, Part, Text, Video, check_messages
from vita.chat.state import StateReader, StateReading, spelling_ids
from vita.chat.system_prompts import Modality, SystemPrompts
from vita.chat.template import Template, Turn
from vita.chat.tokenizing import load_tokenizer

__all__ = [
    "Audio",
    "Image",
    "Medium",
    "Message",
    "Modality",
    "Part",
    "StateReader",
    "StateReading",
    "SystemPrompts",
    "Template",
    "Text",
    "TokenizerTemplate",
    "Turn",
    "Video",
    "VitaTemplate",
    "build_template",
    "check_messages",
    "load_tokenizer",
    "spelling_ids",
]

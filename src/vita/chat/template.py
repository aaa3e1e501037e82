"""Templates: messages -> the prompt as text, with one placeholder per medium.

The base of the templates in `formats.py`. Used by the processor (models) and the training samples (data).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vita.chat.messages import Image, Medium, Message, Video, check_messages
from vita.chat.placement import PLACEHOLDERS, Layout, place
from vita.chat.system_prompts import Modality
from vita.chat.tools import Tool, ToolCall
from vita.errors import ConfigError, PromptError
from vita.tokens import IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER, StateTokens


@dataclass(frozen=True)
class Turn:
    """One user, assistant or tool turn as the template writes it: text with placeholders, state token included."""

    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True)
class Rendered:
    """A prompt.

    text: the prompt, one placeholder per medium.
    media: the media in the order of their placeholders.
    """

    text: str
    media: tuple[Medium, ...]


class Template(ABC):
    """Turns a conversation into a prompt.

    states: the spelling of the state tokens.
    layout: how placeholders are spaced in a user's text.
    adds_bos: whether the tokenizer's own beginning of a sequence precedes the prompt.
    """

    states: StateTokens
    layout: Layout
    adds_bos: bool

    @abstractmethod
    def render_turns(
        self,
        turns: Sequence[Turn],
        *,
        system: str | None = None,
        open_reply: bool = False,
        tools: Sequence[Tool] = (),
    ) -> str:
        """The prompt of turns whose texts are ready.

        Args:
            turns: user and assistant turns.
            system: the system prompt, see `system_prompt`.
            open_reply: end with the beginning of a reply, for the model to continue.
            tools: what the model may call; none for a template without `has_tools`.
        """

    @abstractmethod
    def system_prompt(self, turns: Sequence[Turn], modality: Modality | str | None) -> str | None:
        """The template's own system prompt for a conversation that shows `modality`; None for none."""

    @abstractmethod
    def control_texts(self) -> Sequence[str]:
        """Texts that mean something to the template or the tokenizer and so must not stand in a message."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What is saved with a checkpoint beside the template's name and states; `build_template` is the way back."""

    @property
    def has_tools(self) -> bool:
        """Whether it can tell the model of tools."""
        return False

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt of a conversation, one placeholder per medium. Raises PromptError, see `check_messages`."""
        return self.render_with_media(messages, add_generation_prompt=add_generation_prompt).text

    def render_with_media(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> Rendered:
        """The prompt, and the media in the order in which it mentions them."""
        check_messages(messages, answering=add_generation_prompt)
        system, turns, media, tools = None, [], [], ()
        for message in messages:
            self._check_text(message)
            if message.role == "system":
                system, tools = message.text if message.parts else None, message.tools
            elif message.role == "user":
                placed = place(message, self.layout)
                turns.append(Turn("user", placed.text))
                media += placed.media
            else:
                turns.append(Turn(message.role, self._state_text(message) + message.text, message.calls))
        if system is None:
            system = self.system_prompt(turns, modality_of(media))
        text = self.render_turns(turns, system=system, open_reply=add_generation_prompt, tools=tools)
        return Rendered(text, tuple(media))

    def render_replies(self, turns: Sequence[Turn], *, system: str | None = None) -> tuple[str, list[tuple[int, int]]]:
        """The rendering of `turns`, and where each reply lies in it.

        The places are (start, end) per assistant turn: from its first character to the end of its end-of-turn mark.
        Raises ConfigError for a template that writes earlier turns differently once later ones follow.
        """
        whole, spans = self.render_turns(turns, system=system), []
        for index, turn in enumerate(turns):
            if turn.role != "assistant":
                continue
            before = self.render_turns(turns[:index], system=system, open_reply=True)
            is_last = index == len(turns) - 1
            until = whole if is_last else self.render_turns(turns[: index + 1], system=system)
            if not (whole.startswith(until) and until.startswith(before + turn.text)):
                raise ConfigError("the chat template cannot be trained: it rewrites earlier turns as later ones follow")
            spans.append((len(before), max(len(before), len(until.rstrip()))))
        return whole, spans

    def end_of_reply(self) -> str:
        """The mark that a finished reply ends with."""
        text, [(start, end)] = self.render_replies([Turn("user", "?"), Turn("assistant", "!")])
        return text[start + 1 : end]

    def _state_text(self, message: Message) -> str:
        return "" if message.state is None else self.states.spelling(message.state)

    def _check_text(self, message: Message) -> None:
        """A message's text holds no control text; only a user's holds placeholders; tools need a template for them."""
        if (message.tools or message.calls or message.role == "tool") and not self.has_tools:
            raise PromptError("the chat template of this model has no tools", fix="leave tools and their results out")
        forbidden = [*self.control_texts(), *(() if message.role == "user" else PLACEHOLDERS)]
        written = [message.text, *(tool.definition for tool in message.tools)]
        written += [text for call in message.calls for text in (call.name, call.arguments)]
        found = next((text for text in forbidden if any(text in words for words in written)), None)
        if found:
            raise PromptError(
                f"the text of a message of the {message.role} contains the control text {found}",
                fix="write it with a space inside",
            )


def modality_of(media: Sequence[Medium]) -> Modality:
    """What a conversation shows: the first picture or video decides, so that later ones do not change the prompt."""
    for medium in media:
        if isinstance(medium, (Image, Video)):
            return Modality.IMAGE if isinstance(medium, Image) else Modality.VIDEO
    return Modality.NEITHER


def modality_of_text(texts: Sequence[str]) -> Modality:
    """The same, from texts with placeholders."""
    whole = "".join(texts)
    places = {whole.find(IMAGE_PLACEHOLDER): Modality.IMAGE, whole.find(VIDEO_PLACEHOLDER): Modality.VIDEO}
    found = [position for position in places if position >= 0]
    return places[min(found)] if found else Modality.NEITHER

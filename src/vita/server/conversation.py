"""A client's messages as ours, their media read within the server's limits. Called by `chat.py`, in a worker thread.

Differences to OpenAI's conversations are evened out here: several system messages at the start are joined, messages of
the user that follow each other become one turn, and a reply that comes back without its state gets the one that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vita.chat.messages import Audio, Image, Message, Part, Text, Video, check_messages
from vita.chat.tools import Tool, ToolCall
from vita.errors import LimitError
from vita.media import load_audio, load_image, load_video
from vita.server.chat_request import (
    AssistantMessage,
    AudioPart,
    ChatMessage,
    ImagePart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    UserPart,
)
from vita.server.failures import ApiError
from vita.server.settings import ServerSettings
from vita.tokens import State

FindTranscript = Callable[[str], "str | None"]
"""The id of a spoken reply -> what it said, None for an id that is not known."""


class ConversationReader:
    """Reads the messages of one request.

    Args:
        settings: limits, and where URLs may lead.
        find_transcript: for replies that come back by the id of their sound.
        check: called before each medium; raises to end the reading when the client has left.
    """

    def __init__(self, settings: ServerSettings, find_transcript: FindTranscript, check: Callable[[], None]) -> None:
        self._settings, self._find_transcript, self._check = settings, find_transcript, check
        self._num_media = self._num_pixels = 0

    def read(self, messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> list[Message]:
        """The conversation, in which `tools` may be called. Raises ApiError and VitaError for what cannot be read."""
        system: list[str] = []
        turns: list[Message] = []
        open_calls: list[str] = []
        for index, message in enumerate(messages):
            if isinstance(message, SystemMessage) and not turns:
                system.append(_text(message.content))
            elif isinstance(message, SystemMessage):
                turns.append(Message.system(_text(message.content)))
            elif isinstance(message, AssistantMessage):
                turns.append(self._reply(message, index, turns))
                open_calls = [call.id for call in message.tool_calls or ()]
            elif isinstance(message, ToolMessage):
                if message.tool_call_id not in open_calls:
                    raise ApiError(400, "this result belongs to no call of the reply before it", code="call_not_found",
                                   param=f"messages.{index}.tool_call_id")  # fmt: skip
                open_calls.remove(message.tool_call_id)
                turns.append(Message("tool", (Text(_text(message.content)),)))
            else:
                parts = self._parts(message)
                before = turns.pop().parts if turns and turns[-1].role == "user" else ()
                turns.append(Message("user", (*before, *parts)))
        start = [Message.system("\n\n".join(system))] if system else []
        if tools:
            start = [Message("system", start[0].parts if start else (), tools=tuple(tools))]
        conversation = [*start, *turns]
        check_messages(conversation, answering=True)
        return conversation

    def _reply(self, message: AssistantMessage, index: int, turns: Sequence[Message]) -> Message:
        text = _text(message.content)
        if message.content is None and message.audio is not None:
            found = self._find_transcript(message.audio.id)
            if found is None:
                raise ApiError(400, "the sound of this reply is not known any more; send its transcript as content",
                               param=f"messages.{index}.audio.id", code="audio_not_found")  # fmt: skip
            text = found
        calls = tuple(ToolCall(call.function.name, call.function.arguments) for call in message.tool_calls or ())
        state = message.vita.state if message.vita else _likely_state(text or bool(calls), turns)
        return Message("assistant", (Text(text),), state, calls=calls)

    def _parts(self, message: UserMessage) -> list[Part]:
        if isinstance(message.content, str):
            return [Text(message.content)] if message.content else []
        return [Text(part.text) if isinstance(part, TextPart) else self._medium(part) for part in message.content]

    def _medium(self, part: UserPart) -> Image | Video | Audio:
        self._check()
        self._num_media += 1
        if self._num_media > self._settings.max_media:
            raise LimitError("too many media in one request", expected=f"at most {self._settings.max_media}")
        limits, policy = self._settings.media, self._settings.fetch
        if isinstance(part, AudioPart):
            return Audio(load_audio(f"data:audio;base64,{part.input_audio.data}", limits=limits, policy=policy))
        if isinstance(part, ImagePart):
            image = load_image(part.image_url.url, limits=limits, policy=policy)
            self._count_pixels(image.width * image.height)
            return Image(image)
        assert not isinstance(part, TextPart)
        clip = load_video(part.video_url.url, limits=limits, policy=policy)
        frames = {id(frame): frame for frame in clip.frames}.values()  # a short clip holds some of them several times
        self._count_pixels(sum(frame.width * frame.height for frame in frames))
        return Video(clip)

    def _count_pixels(self, num_pixels: int) -> None:
        self._num_pixels += num_pixels
        most = self._settings.max_pixels_together
        if self._num_pixels > most:
            raise LimitError(
                "the pictures of this request have too many pixels together",
                got=self._num_pixels,
                expected=f"at most {most}",
                fix="scale them down",
            )


def _text(content: str | list[TextPart] | None) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content or ())


def _likely_state(has_answered: object, turns: Sequence[Message]) -> State:
    """The state of a reply whose client did not keep it: silence was for noise, sound was a question."""
    if not has_answered:
        return State.NOISE
    is_spoken = bool(turns) and any(isinstance(part, Audio) for part in turns[-1].parts)
    return State.SPOKEN_QUERY if is_spoken else State.TYPED_QUERY

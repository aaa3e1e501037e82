"""Items that a client makes, as messages of ours, their media read within limits. Used by `conversation.py`.

An item that holds nothing but pictures asks nothing: it waits for the next turn. Many of them, one after the other, are
what a camera sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from vita.chat.messages import Audio, Image, Message, Part, Text
from vita.duplex.session import Session
from vita.media import SAMPLE_RATE_HZ, FetchPolicy, load_image
from vita.server.failures import ApiError
from vita.server.realtime.client_events import Content, NewItem
from vita.server.realtime.configuration import AudioFormat
from vita.server.realtime.items import Item
from vita.server.realtime.sound import decode_all
from vita.server.settings import ServerSettings
from vita.tokens import State

if TYPE_CHECKING:
    import PIL.Image

_LONGEST_EDGE, _FRAME_EDGE = 2048, 672
_CAMERA_GAP_S, _CAMERA_FRAMES, _MOST_WAITING = 3.0, 3, 8
_NO_FETCHING = FetchPolicy(paths=False, private_addresses=False, max_redirects=0)


class ItemReader:
    """Reads items, and shows pictures to the session.

    Args:
        settings: limits.
        input_format: of sound in items.
    """

    def __init__(self, settings: ServerSettings, input_format: Callable[[], AudioFormat]) -> None:
        self._settings, self._input_format = settings, input_format
        self._shown: dict[str, PIL.Image.Image] = {}  # still pictures, by the id of their item
        self._times_s: list[float] = []  # of the last pictures that came one soon after the other

    async def read(self, new: NewItem) -> tuple[Item, Message | None, PIL.Image.Image | None]:
        """The item, and its message; or the picture that it is. Raises ApiError and VitaError."""
        if new.role == "system":
            message = "system items are not supported; give instructions in session.update"
            raise ApiError(400, message, code="unsupported_parameter", param="item.role")
        item = Item(new.role, [_told(part) for part in new.content])
        if new.id is not None:
            item.id = new.id
        if new.role == "assistant":
            return item, _reply(new), None
        parts = [await self._part(part) for part in new.content]
        if len(parts) == 1 and isinstance(parts[0], Image):
            return item, None, parts[0].image
        if all(isinstance(part, Image) for part in parts):
            message = "several pictures in one item need a text or sound with them; or send each in an item of its own"
            raise ApiError(400, message, code="invalid_value", param="item.content")
        return item, Message("user", tuple(parts)), None

    def show(self, session: Session, item_id: str, picture: PIL.Image.Image, now_s: float) -> None:
        """A picture for the next turn; or, the third that comes soon after another, what a camera sees."""
        if self._times_s and now_s - self._times_s[-1] > _CAMERA_GAP_S:
            self._times_s = []
        self._times_s = [*self._times_s, now_s][-_CAMERA_FRAMES:]
        self._shown[item_id] = picture
        if len(self._times_s) < _CAMERA_FRAMES:
            session.show(picture)
            while len(self._shown) > _MOST_WAITING:
                session.hide(self._shown.pop(next(iter(self._shown))))
            return
        for waiting in self._shown.values():
            session.hide(waiting)
            waiting.thumbnail((_FRAME_EDGE, _FRAME_EDGE))
            session.look(waiting)
        self._shown.clear()

    def note_turn(self) -> None:
        """The pictures that waited belong to a turn now; a camera goes on."""
        self._shown.clear()
        if len(self._times_s) < _CAMERA_FRAMES:
            self._times_s = []

    def hide(self, session: Session, item_id: str) -> None:
        """The item was deleted."""
        picture = self._shown.pop(item_id, None)
        if picture is not None:
            session.hide(picture)

    async def _part(self, part: Content) -> Part:
        if part.type == "input_text" and part.text:
            return Text(part.text)
        if part.type == "input_audio" and part.audio:
            samples = decode_all(part.audio, self._input_format())
            longest_s = self._settings.media.max_audio_s
            if not 0.1 <= len(samples) / SAMPLE_RATE_HZ <= longest_s:
                message = f"the sound is not between 0.1 and {longest_s:g} seconds long"
                raise ApiError(400, message, code="invalid_value", param="item.content.audio")
            return Audio(samples)
        if part.type == "input_image" and part.image_url:
            return Image(await asyncio.to_thread(self._picture, part.image_url))
        message = f"{part.type} is not what a user's item is made of, or is empty"
        raise ApiError(400, message, code="invalid_value", param="item.content")

    def _picture(self, url: str) -> PIL.Image.Image:
        if not url.startswith("data:"):
            raise ApiError(400, "give pictures as data: URLs", code="invalid_value", param="item.content.image_url")
        picture = load_image(url, limits=self._settings.media, policy=_NO_FETCHING)
        picture.thumbnail((_LONGEST_EDGE, _LONGEST_EDGE))
        return picture


def _told(part: Content) -> dict[str, str | None]:
    """A part as it is sent back: without sound and picture."""
    if part.type in ("input_audio", "output_audio", "audio"):
        return {"type": part.type, "transcript": part.transcript}
    return {"type": part.type} if part.type == "input_image" else {"type": part.type, "text": part.text}


def _reply(new: NewItem) -> Message:
    """An answer that was given elsewhere."""
    texts = [part.text or part.transcript for part in new.content]
    if not all(texts):
        raise ApiError(400, "an assistant's item needs a text", code="invalid_value", param="item.content")
    return Message.assistant("\n".join(text for text in texts if text), State.TYPED_QUERY)

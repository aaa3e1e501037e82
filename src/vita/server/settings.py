"""What a server may be told. Made by `vita.cli.serve` and by tests; read by the whole room."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from vita.errors import ConfigError
from vita.media import FetchPolicy, MediaLimits

_MIB = 1024**2


def _server_media() -> MediaLimits:
    return MediaLimits(
        max_bytes=32 * _MIB,
        max_download_bytes=32 * _MIB,
        max_pixels=16_000_000,
        max_audio_s=300.0,
        max_video_s=600.0,
        max_frames=50_000,
        timeout_s=15.0,
    )


def _server_fetch() -> FetchPolicy:
    return FetchPolicy(paths=False, private_addresses=False, max_redirects=3)


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Limits and secrets of one server.

    model_name: what clients call the model.
    api_keys: any of them lets a client in; none: everybody is let in.
    worker: its number among several workers behind one address; the ids of its sessions begin with it.
    host_names: names that a `Host` header may hold while there is no key, besides addresses and localhost.
    max_sessions: replies that are written at once; and realtime sessions that are open at once.
    max_sessions_per_client: realtime sessions of one address.
    max_session_s: how long a realtime session may last.
    max_session_wait_s: how long a realtime client may wait for a place.
    max_silence_s, max_first_silence_s: how long its client may send nothing, later and at the beginning.
    resume_s: how long a session is kept whose connection was lost.
    max_event_bytes: bytes of one event from a client.
    max_unread_bytes: bytes of events that a client may leave unread.
    max_events_per_s, max_bytes_per_s: what is read in a second, on average, of what a realtime client sends.
    max_waiting: requests that may wait for their turn; one more is refused with 429.
    max_wait_s: how long one may wait.
    max_body_bytes: bytes of a request.
    body_timeout_s: how long a request may take to arrive.
    send_timeout_s: how long a client may leave what was sent to it unread.
    max_open_requests: requests open at once, waiting ones and slow ones included.
    max_media: pictures, clips and sounds in one request.
    max_pixels_together: decoded pixels of all of them.
    max_tokens: ceiling on the tokens of a reply, whatever the client asks for.
    default_tokens: tokens of a reply where the client asks for no number.
    max_speech_characters: of one text to be spoken.
    record_to: a folder in which realtime sessions are recorded; None: they are not.
    max_recorded_bytes: of all that is in this folder; then nothing more is recorded.
    media: limits on each medium.
    fetch: what a URL in a request may be; by default no file, and no address that is not public.
    """

    model_name: str = "pocket"
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    worker: int | None = None
    host_names: tuple[str, ...] = ()
    max_sessions: int = 4
    max_sessions_per_client: int = 4
    max_session_s: float = 3600.0
    max_session_wait_s: float = 5.0
    max_silence_s: float = 120.0
    max_first_silence_s: float = 20.0
    resume_s: float = 60.0
    max_event_bytes: int = 16 * _MIB
    max_unread_bytes: int = 2 * _MIB
    max_events_per_s: float = 200.0
    max_bytes_per_s: float = 4.0 * _MIB
    max_waiting: int = 16
    max_wait_s: float = 60.0
    max_body_bytes: int = 32 * _MIB
    body_timeout_s: float = 60.0
    send_timeout_s: float = 60.0
    max_open_requests: int = 128
    max_media: int = 16
    max_pixels_together: int = 160_000_000
    max_tokens: int = 4096
    default_tokens: int = 256
    max_speech_characters: int = 4096
    record_to: Path | None = None
    max_recorded_bytes: int = 1024 * _MIB
    media: MediaLimits = field(default_factory=_server_media)
    fetch: FetchPolicy = field(default_factory=_server_fetch)

    def __post_init__(self) -> None:
        for name in (item.name for item in fields(self) if item.name not in ("max_waiting", "worker")):
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not value > 0:
                raise ConfigError(f"{name} of the server is not usable", got=value, expected="above 0")
        if self.max_waiting < 0:
            raise ConfigError("max_waiting of the server is negative", got=self.max_waiting, expected="0 or more")
        if any(len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key for key in self.api_keys):
            raise ConfigError("an API key is not usable", expected="at least 8 ASCII characters without blanks")

"""What `vita live` shows: lines of what was said and decided, and under them, with a microphone, a meter."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import numpy as np

_WIDTH = 24
_EVERY = 8  # blocks of sound
_LOWEST_DB = -60.0


def line_of(event: dict[str, Any]) -> str | None:
    """The line that a reader of the terminal wants; None for events that are no news."""
    name = event["event"]
    if name == "state":
        said = f': "{event["heard"]}"' if event.get("heard") else ""
        text = event["state"] + said + (f" ({event['reason']})" if "reason" in event else "")
    elif name == "reply_end":
        text = f"answer: {event['text']}"
    elif name == "interrupted":
        text = f"interrupted; heard: {event['heard']}"
    elif name in ("error", "forgotten"):
        text = f"{name}: {event.get('error') or event.get('question')}"
    else:
        return None
    return f"{event['t']:8.2f} s  turn {event['turn']}  {text}"


class Terminal:
    """Lines, and a meter that is drawn anew below them.

    Args:
        has_meter: a microphone is open, and somebody looks.
        out: where lines go; the meter goes there too.
    """

    def __init__(self, has_meter: bool = False, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._has_meter = has_meter
        self._state = "listening"
        self._num_blocks, self._loudest = 0, 0.0

    def show(self, event: dict[str, Any]) -> None:
        """One event of the log."""
        self._state = _STATES.get(event["event"], self._state)
        if event["event"] == "sound":
            self._state = f"speaking, {event['sound']}"
        if (line := line_of(event)) is not None:
            self._clear()
            print(line, file=self._out, flush=True)

    def meter(self, samples: np.ndarray) -> None:
        """What the microphone hears: float32 [num_samples]."""
        if not self._has_meter:
            return
        import numpy as np

        self._loudest = max(self._loudest, float(np.sqrt(np.mean(np.square(samples)))))
        self._num_blocks += 1
        if self._num_blocks % _EVERY == 0:
            level_db = 20 * np.log10(max(self._loudest, 1e-9))
            filled = round(_WIDTH * min(1.0, max(0.0, 1 - level_db / _LOWEST_DB)))
            self._out.write(f"\r\033[K[{'#' * filled}{' ' * (_WIDTH - filled)}] {self._state}")
            self._out.flush()
            self._loudest = 0.0

    def _clear(self) -> None:
        if self._has_meter:
            self._out.write("\r\033[K")


_STATES = {
    "speech_start": "somebody speaks", "speech_end": "thinking", "reply_start": "thinking", "first_audio": "speaking",
    "playback_end": "listening", "interrupted": "listening", "stop": "listening", "state": "listening",
}  # fmt: skip

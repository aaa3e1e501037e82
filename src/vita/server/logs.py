"""Log lines as JSON objects, one a line, without anything that a user said or showed. Set up by `serving.py`."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import TextIO

LOGGERS = ("vita.server", "uvicorn.error", "asyncio")


class JsonFormatter(logging.Formatter):
    """time, level, event, the fields given as `extra={"fields": {...}}`, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _tells_nothing_private(record: logging.LogRecord) -> bool:
    """Uvicorn's line on a websocket has its query string, in which there may be the id of a session."""
    return "WebSocket" not in str(record.msg)


def set_up_logs(stream: TextIO) -> None:
    """Send the server's log lines, and only those, to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_tells_nothing_private)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)

"""Logs that programs can read: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import IO

_FIELDS = ("method", "path", "status", "ms", "task", "project")
"""What a record may carry besides its message."""


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger, message, the fields above, and the traceback of an error."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def start_logging(level: str, *, as_json: bool, stream: IO[str] = sys.stderr) -> None:
    """Send the logs of this program to ``stream``; those of libraries only from warnings on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("app").setLevel(level.upper())

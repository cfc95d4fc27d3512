"""Logs as JSON lines: an object an event, on standard error."""

from __future__ import annotations

import logging
import time
from typing import Any

from mdsrec_pyg.showing import json_text

__all__ = ["JsonLines", "log_event", "logging_config"]

logger = logging.getLogger("mdsrec_pyg.serving")


class JsonLines(logging.Formatter):
    """A record as one line of JSON: ``time``, ``level``, ``event``, and what belongs to it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        content: dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "process": record.process,
            **getattr(record, "content", {}),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        try:
            return json_text(content)
        except TypeError:  # a line of somebody else, with what JSON cannot hold
            return json_text({name: str(value) for name, value in content.items()})


def log_event(event: str, level: int = logging.INFO, **content: Any) -> None:
    """Logs an event with what belongs to it.

    Args:
        event: What happened, in a word or a sentence.
        level: As in :mod:`logging`.
        **content: Further members of the line.
    """
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"content": content})


def logging_config() -> dict[str, Any]:
    """What :func:`logging.config.dictConfig` takes: the server's own messages are lines, too."""
    place = {"handlers": ["lines"], "level": "INFO", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": "mdsrec_pyg.serving.logs.JsonLines"}},
        "handlers": {"lines": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": dict.fromkeys(("uvicorn", "mdsrec_pyg.serving"), place),
    }

"""Logging: one line an event on stderr, as text or as JSON for journald."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message


def set_up_logging(level: str, form: str) -> None:
    """Send log events of this level and above to stderr."""
    # What these libraries log, the caller meets as an exception and says in its own words.
    for library in ("psycopg", "apscheduler", "watchdog"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logger.remove()
    if form == "json":
        logger.add(_write_json, level=level)
    else:
        logger.add(
            sys.stderr, level=level, format="{time:YYYY-MM-DD HH:mm:ss.SSS} {level: <7} {message}", colorize=False
        )


def _write_json(message: Message) -> None:
    record = message.record
    event = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "message": record["message"],
        **{name: str(value) for name, value in record["extra"].items()},
    }
    sys.stderr.write(json.dumps(event, ensure_ascii=False) + "\n")

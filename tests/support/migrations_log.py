"""What the daemon's log tells about drift: when it was noticed, when everything was captured again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTICED, CAPTURED = "the schema changed since install", "captured again"
LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) \w+ +(.*)")
RESOLUTION_SECONDS = 0.001


@dataclass(frozen=True)
class Event:
    """A line of the log; `at` in seconds since 1970."""

    at: float
    message: str


class Log:
    """The lines of all daemons of a test, oldest first."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Read them."""
        found = (LINE.fullmatch(line) for text in texts for line in text.splitlines())
        # The log has local time, which is what datetime makes of a time without a zone.
        events = (Event(datetime.fromisoformat(line[1]).timestamp(), line[2]) for line in found if line)
        self.events = sorted(events, key=lambda event: event.at)

    def noticed(self, began: float, ended: float) -> float | None:
        """Return how long after a commit between these times drift was noticed: 0.0 while drift was being answered.

        None where it was not noticed yet.
        """
        before = [event for event in self._about_drift() if event.at < began]
        if before and before[-1].message.startswith(NOTICED):
            return 0.0
        return self._after(NOTICED, began, ended)

    def blind(self, began: float, ended: float) -> float | None:
        """Return how long after a commit between these times everything was captured again; None if it is not yet."""
        return self._after(CAPTURED, began, ended)

    def statements(self) -> list[str]:
        """Return the statements that were left to a person, each once."""
        told = (re.search(r"until you run (ALTER TABLE .* DROP COLUMN .*)", event.message) for event in self.events)
        return list(dict.fromkeys(found[1] for found in told if found))

    def _about_drift(self) -> list[Event]:
        return [event for event in self.events if event.message.startswith((NOTICED, CAPTURED))]

    def _after(self, what: str, began: float, ended: float) -> float | None:
        later = (e.at for e in self.events if e.message.startswith(what) and e.at >= began - RESOLUTION_SECONDS)
        at = next(later, None)
        return None if at is None else max(0.0, at - ended)

"""The maintenance switch: refuses new writes and waits for those in flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class PausedError(Exception):
    """Writes are paused."""


class WriteGate:
    """Lets writes through until it is paused."""

    def __init__(self) -> None:
        """Begin open."""
        self._changed = Condition()
        self._paused = False
        self._in_flight = 0

    @contextmanager
    def write(self) -> Iterator[None]:
        """Pass one write, or raise PausedError."""
        with self._changed:
            if self._paused:
                raise PausedError
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify_all()

    def pause(self) -> bool:
        """Refuse writes; return when none is in flight, False if resumed meanwhile."""
        with self._changed:
            self._paused = True
            self._changed.wait_for(lambda: not (self._paused and self._in_flight))
            return self._paused

    def resume(self) -> None:
        """Let writes through again."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

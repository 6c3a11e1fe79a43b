"""Wake up when the source may have changed: file events, with polling under them.

An event says that a commit is coming, not that it is there: with synchronous=FULL the log is written and synced
before the commit becomes visible, and no further event follows. Whoever wakes must look again for a while.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from loguru import logger
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

# Pauses between looks after an event: close together at first, some 60 ms in all.
_LOOKS = [0.0005] * 40 + [0.002] * 10 + [0.005] * 4


class Wakeup:
    """Waits for changes of one database file."""

    def __init__(self, path: Path, poll_seconds: float) -> None:
        """Begin to watch. Where the system gives no events (network file systems), polling remains."""
        self._poll_seconds = poll_seconds
        self._event = threading.Event()
        self._observer = Observer()
        names = {str(path), f"{path}-wal", f"{path}-journal"}
        try:
            self._observer.schedule(_Handler(names, self._event), str(path.parent))
            self._observer.start()
        except OSError as error:
            logger.warning("no file events for {} ({}): polling every {} s", path, error, poll_seconds)

    def wake(self) -> None:
        """End the wait of another thread, or of a signal handler's."""
        self._event.set()

    def wait(self, is_new: Callable[[], bool]) -> bool:
        """Wait until `is_new` says so, for one poll interval at most; return what it said last."""
        woken = self._event.wait(self._poll_seconds)
        self._event.clear()
        if is_new():
            return True
        return woken and any(is_new() for _ in _pauses())

    def close(self) -> None:
        """Stop watching."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()


class _Handler(FileSystemEventHandler):
    def __init__(self, names: set[str], event: threading.Event) -> None:
        self._names, self._event = names, event

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Reading makes events too; taking those for news would keep the loop busy for ever.
        if event.event_type in {"modified", "created", "moved"} and (
            event.src_path in self._names or event.dest_path in self._names
        ):
            self._event.set()


def _pauses() -> Iterator[None]:
    for pause in _LOOKS:
        time.sleep(pause)
        yield None

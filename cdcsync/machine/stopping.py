"""End a daemon within a second: asked, then cancelled, then cut off, then left. Every moment is safe to die in."""

from __future__ import annotations

import os
import threading

from loguru import logger

from cdcsync.machine.session import Session

CANCEL_SECONDS = 0.3
"""A statement that has not ended by itself this long after SIGTERM is cancelled."""

CUT_SECONDS = 0.5
"""A connection on which even the cancellation goes unanswered is cut."""

LEAVE_SECONDS = 0.8
"""A server that does not answer even that is not waited for."""


class Stopping:
    """The end of one daemon. `ask` comes from another thread; `session` is what would have to be cancelled."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.session: Session | None = None
        self._asked = threading.Event()
        self._ended = threading.Event()

    def ask(self) -> None:
        """Ask for the end after the transaction at hand, and see that it comes."""
        self._asked.set()
        for seconds, act in ((CANCEL_SECONDS, self._cancel), (CUT_SECONDS, self._cut), (LEAVE_SECONDS, self._leave)):
            timer = threading.Timer(seconds, act)
            timer.daemon = True
            timer.start()

    def is_asked(self) -> bool:
        """Tell whether the end was asked for."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> None:
        """Sleep, and no longer than until the end is asked for."""
        self._asked.wait(seconds)

    def ended(self) -> None:
        """Say that the daemon has ended: nobody is to be left any more."""
        self._ended.set()

    def _cancel(self) -> None:
        session = self.session
        if session is not None:
            session.target.stop_soon()
            session.source.stop_soon()

    def _cut(self) -> None:
        session = self.session
        if session is not None:
            session.target.cut()

    def _leave(self) -> None:
        if not self._ended.is_set():
            logger.warning("PostgreSQL does not answer: leaving without a goodbye")
            os._exit(0)

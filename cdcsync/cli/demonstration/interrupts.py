"""Ctrl-C, SIGTERM and SIGHUP as exceptions, but never at a moment that would leave something behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The first signal unwinds; later ones are ignored, so that nothing disturbs the cleaning up."""

    def __init__(self) -> None:
        """Change nothing yet."""
        self._previous: dict[signal.Signals, Any] = {}
        self._held = 0
        self._arrived: int | None = None
        self._raised = False

    def __enter__(self) -> Self:
        """Listen to the signals; one that is ignored stays so, as under nohup."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait for the end of the block, where it wins over any other error."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._arrived is not None and not self._held:
                self._raise(self._arrived)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._arrived = self._arrived or number
        else:
            self._raise(number)

    def _raise(self, number: int) -> None:
        if self._raised:
            return
        self._raised = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

"""Waiting for something to become true, with a generous limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_SECONDS = 60.0
LOOK_SECONDS = 0.02
T = TypeVar("T")


def wait_until(ask: Callable[[], T], what: str, seconds: float = LIMIT_SECONDS) -> T:
    """Return the first true answer of `ask`; fail, saying what did not happen, when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            message = f"not within {seconds:.0f} s: {what} (last answer: {answer!r})"
            raise AssertionError(message)
        time.sleep(LOOK_SECONDS)

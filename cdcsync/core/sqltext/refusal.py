"""How everything here refuses: with the reason, and with what to do instead if that is known."""

from __future__ import annotations

from typing import NoReturn


class UntranslatableError(ValueError):
    """A text without sure equivalent in PostgreSQL; the message says why, `suggestion` what to do instead."""

    def __init__(self, reason: str, suggestion: str = "") -> None:
        """Keep both for the list of what is not carried."""
        super().__init__(reason)
        self.suggestion = suggestion


def refuse(reason: str, suggestion: str = "") -> NoReturn:
    """Raise UntranslatableError."""
    raise UntranslatableError(reason, suggestion)

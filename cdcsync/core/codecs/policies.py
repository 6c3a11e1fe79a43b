"""What becomes of text PostgreSQL cannot store: NUL characters, and bytes that are not UTF-8."""

from __future__ import annotations

import re

from cdcsync.words.nouns import ColumnPlan

# `surrogateescape` leaves each invalid byte as one of these, which no valid UTF-8 decodes to.
_INVALID = re.compile("[\udc80-\udcff]")
_FIRST_INVALID = 0xDC00


class TextPolicies:
    r"""The policies of one column. "strip" leaves the character or byte out, "escape" writes it as `\x00` or `\xff`.

    Both can make two texts one, so a key is always refused.
    """

    def __init__(self, plan: ColumnPlan | None = None, *, backslash: str = "\\") -> None:
        r"""Refuse everything where no plan says otherwise. `backslash` is how the type writes one: JSON `\\`."""
        self.on_nul = "quarantine" if plan is None else plan.on_nul
        self._on_bad_utf8 = "quarantine" if plan is None else plan.on_bad_utf8
        self._backslash = backslash

    def readable(self, value: str | bytes) -> str:
        """Return a text as PostgreSQL can store it. Raises ValueError where the policies refuse it."""
        if isinstance(value, bytes):
            value = self._decoded(value)
        if "\0" not in value:
            return value
        if self.on_nul == "quarantine":
            message = "the text holds a NUL character, which PostgreSQL cannot store"
            raise ValueError(message)
        return value.replace("\0", "" if self.on_nul == "strip" else f"{self._backslash}x00")

    def _decoded(self, value: bytes) -> str:
        if self._on_bad_utf8 == "quarantine":
            message = "the text is not valid UTF-8"
            raise ValueError(message)
        if self._on_bad_utf8 == "strip":
            return value.decode(errors="ignore")
        return _INVALID.sub(
            lambda found: f"{self._backslash}x{ord(found[0]) - _FIRST_INVALID:02x}",
            value.decode(errors="surrogateescape"),
        )

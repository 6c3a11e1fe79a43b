"""Times as text: ISO-8601, and what applications make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import repeat
from operator import sub

ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
"""Where PostgreSQL counts from."""

DAY, SECOND = 86_400_000_000, 1_000_000
"""Microseconds."""

MICROSECONDS = 6
"""The most decimals PostgreSQL keeps."""

_ORIGIN_NAIVE = ORIGIN.replace(tzinfo=None)
_DIGITS = set("0123456789")
_ZERO = "+00:00"
# YYYY-MM-DDTHH:MM:SS alone, and with nanoseconds and an offset.
_SECONDS_LENGTH, _LONGEST = 19, 35

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.](\d{1,9}))?)?\s?"
    # Go's own spelling repeats the offset as a name, and may add the reading of a clock.
    r"(Z|z|UTC|[+-]\d\d(?::?\d\d)?(?: (?:[A-Z]{1,5}|[+-]\d\d(?:\d\d)?)(?: m=[+-]\d+\.\d+)?)?)?)?",
    re.ASCII,
)
# The one spelling of a time in a key, SQLite's own; a fraction does not end in zero.
_KEY_SPELLING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{0,5}[1-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class IsoTime:
    """A time read from text: `seconds` since 2000 in UTC; `fraction`: decimals, zeros at their end left out."""

    seconds: int
    fraction: str
    offset: timedelta | None


def read_iso(value: str) -> IsoTime:
    """Read one time. Raises ValueError if it is none."""
    match = _ISO.fullmatch(value)
    if match is None:
        message = f"{value[:40]!r} is no ISO-8601 time"
        raise ValueError(message)
    *parts, fraction, offset = match.groups()
    shift = None if offset is None else _offset(offset)
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        message = f"{value[:40]!r} is no time of the calendar: {error}"
        raise ValueError(message) from None
    since = moment - ORIGIN - (shift or timedelta())
    return IsoTime(since.days * DAY // SECOND + since.seconds, (fraction or "").rstrip("0"), shift)


def is_key_spelling(value: str) -> bool:
    """Tell whether a time is spelled in the one way a key may spell it."""
    return _KEY_SPELLING.fullmatch(value) is not None


def many_microseconds(values: Sequence[str], *, zoned: bool, decimals: int) -> Sequence[int] | None:
    """Read texts of one length at once, as microseconds since 2000; None if they are not of the usual shape.

    Decimals beyond the sixth are cut: `decimals` is how many are allowed. Not `zoned`: none may name an offset.
    """
    if not _usual(values, decimals):
        return None
    moments = [datetime.fromisoformat(value) for value in values]
    aware = moments[0].tzinfo is not None
    if aware and not zoned:
        return None
    try:
        since = list(map(sub, moments, repeat(ORIGIN if aware else _ORIGIN_NAIVE)))
    except TypeError:
        # Times with and without an offset.
        return None
    return [s.days * DAY + s.seconds * SECOND + s.microseconds for s in since]


def _usual(values: Sequence[str], decimals: int) -> bool:
    """Tell whether texts of one length have the usual shape: few decimals, and Z, +00:00 or no offset.

    `fromisoformat` takes more shapes than ours, and cuts what is finer than a microsecond without a word.
    """
    length, count, joined = len(values[0]), len(values), "".join(values)
    if not _SECONDS_LENGTH <= length <= _LONGEST:
        return False
    hyphens, colons = "-" * count, ":" * count
    shaped = (
        joined[4::length] == joined[7::length] == hyphens
        and joined[13::length] == joined[16::length] == colons
        and set(joined[10::length]) <= {"T", " "}
        # Midnight at the end of a day: newer versions of Python take it.
        and "T24" not in joined
        and " 24" not in joined
    )
    tail = (joined[place::length] for place in range(_SECONDS_LENGTH, length))
    return shaped and all(_tail_is_usual(tail, decimals))


def _tail_is_usual(places: Iterator[str], decimals: int) -> Iterator[bool]:
    """Look at what follows the seconds, place by place, each as the characters all texts have there."""
    tail = [set(place) for place in places]
    if tail and tail[-1] == {"Z"}:
        tail.pop()
    elif len(tail) >= len(_ZERO) and [*map("".join, map(sorted, tail[-len(_ZERO) :]))] == list(_ZERO):
        del tail[-len(_ZERO) :]
    if tail:
        yield tail[0] == {"."} and 1 <= len(tail) - 1 <= decimals
        yield set().union(*tail[1:]) <= _DIGITS


def _offset(text: str) -> timedelta:
    if text in {"Z", "z", "UTC"}:
        return timedelta()
    digits = text[1:].partition(" ")[0].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 15 or minutes > 59:  # noqa: PLR2004  PostgreSQL's own limits
        message = f"{text!r} is no offset"
        raise ValueError(message)
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)

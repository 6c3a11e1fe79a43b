"""Times: sent as PostgreSQL keeps them, microseconds or days since 2000."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import repeat
from operator import sub
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass

_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_2000_NAIVE = datetime(2000, 1, 1)  # noqa: DTZ001  for times that name no offset, which are UTC
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_DAY, _SECOND = 86_400_000_000, 1_000_000
_JULIAN_1970 = 2440587.5
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_ZERO_OFFSETS = {None, "Z", "z", "+00:00", "+0000", "+00"}
_DIGITS = set("0123456789")
_ZERO = "+00:00"
# YYYY-MM-DDTHH:MM:SS alone, and with microseconds and an offset.
_SECONDS_LENGTH, _LONGEST = 19, 32

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.](\d{1,9}))?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
# The one spelling of a time in a key, SQLite's own; a fraction does not end in zero.
_KEY_SPELLING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{0,5}[1-9])?", re.ASCII)
# PostgreSQL goes further, Python's calendar does not.
_FIRST, _LAST = -63_082_281_600_000_000, 252_455_615_999_999_999


class Timestamp(Codec):
    """timestamp with and without time zone, from ISO-8601 text or a number in a named format."""

    wire = "int8"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, zoned: bool, key: bool) -> None:
        """`plan` says format and what a time without offset means; `zoned` tells the two types apart.

        In a key a moment has one spelling only: else two rows of the source would become one.
        """
        super().__init__(not_null=plan.not_null, key=key)
        self._digits = name.sizes[0] if name.sizes else 6
        self._format, self._refuses_naive, self._zoned = plan.format, plan.naive == "refuse", zoned
        self.takes = str if plan.format == "iso" else int

    def text(self, sent: Sent) -> str:
        """Return the time as ISO-8601, with its offset where the type has one."""
        moment = _2000 + timedelta(microseconds=int(sent or 0))
        return (moment if self._zoned else moment.replace(tzinfo=None)).isoformat(sep=" ")

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        if self._format != "iso" or self._refuses_naive or self._key or self._digits < 6:  # noqa: PLR2004
            return super()._convert_many(values)
        lengths = set(map(len, values))
        if len(lengths) == 1:
            return self._convert_alike(values)
        # Naive times, Z and +00:00 on one page, or microseconds that are zero and left out.
        sent: list[Sent] = [None] * len(values)
        for length in lengths:
            places = [place for place, value in enumerate(values) if len(value) == length]
            for place, converted in zip(places, self._convert_alike([values[p] for p in places]), strict=True):
                sent[place] = converted
        return sent

    def _convert_alike(self, values: Sequence[Any]) -> Sequence[Sent]:
        """Convert texts of one length."""
        if not _usual(values):
            return super()._convert_many(values)
        moments = [datetime.fromisoformat(value) for value in values]
        aware = moments[0].tzinfo is not None
        if aware and not self._zoned:
            return super()._convert_many(values)
        origin = _2000 if aware else _2000_NAIVE
        try:
            since = list(map(sub, moments, repeat(origin)))
        except TypeError:
            # Times with and without an offset.
            return super()._convert_many(values)
        return [s.days * _DAY + s.seconds * _SECOND + s.microseconds for s in since]

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if self._format == "iso":
            return self._checked(value, self._from_iso(storage, value))
        if storage not in {"integer", "real"} or (self._key and storage != "integer"):
            raise refusal(storage, f"a number ({self._format})")
        return self._checked(value, self._from_number(value))

    def _checked(self, value: Any, sent: int) -> int:
        if not _FIRST <= sent <= _LAST:
            message = f"{value!r} lies outside the years 1 to 9999"
            raise ValueError(message)
        if sent % 10 ** (6 - self._digits):
            message = f"{value!r} is finer than {self._digits} decimals, PostgreSQL would round it"
            raise ValueError(message)
        return sent

    def _from_iso(self, storage: StorageClass, value: Any) -> int:
        match = _ISO.fullmatch(value) if storage == "text" else None
        if match is None:
            message = f"{str(value)[:40]!r} is no ISO-8601 time"
            raise ValueError(message)
        if self._key and not _KEY_SPELLING.fullmatch(value):
            message = f"{value!r} in a key is not spelled YYYY-MM-DD HH:MM:SS: map the column to text"
            raise ValueError(message)
        *parts, fraction, offset = match.groups()
        digits = (fraction or "").rstrip("0")
        if len(digits) > 6:  # noqa: PLR2004  PostgreSQL keeps microseconds
            message = f"{value!r} has more than six decimals, PostgreSQL would round it"
            raise ValueError(message)
        if offset is None and self._refuses_naive:
            message = f"{value!r} names no offset and the mapping says naive = refuse"
            raise ValueError(message)
        if not self._zoned and offset not in _ZERO_OFFSETS:
            message = f"{value!r} has an offset, which timestamp without time zone would drop"
            raise ValueError(message)
        year, month, day, hour, minute, second = (int(part or 0) for part in parts)
        moment = datetime(year, month, day, hour, minute, second, int(digits.ljust(6, "0")), tzinfo=UTC)
        return _microseconds(moment - _2000 - _offset(offset))

    def _from_number(self, value: float) -> int:
        if self._format == "julian":
            # A double holds a julian day to some 40 microseconds; SQLite itself works in milliseconds.
            microseconds = round((value - _JULIAN_1970) * 86_400_000) * 1000
        else:
            exact = Decimal(repr(value)) * _UNITS[self._format]
            if exact != exact.to_integral_value():
                message = f"{value!r} is finer than a microsecond, PostgreSQL would round it"
                raise ValueError(message)
            microseconds = int(exact)
        try:
            return _microseconds(_1970 + timedelta(microseconds=microseconds) - _2000)
        except OverflowError:
            message = f"{value!r} as {self._format} lies outside the years 1 to 9999"
            raise ValueError(message) from None


class Date(Codec):
    """date takes YYYY-MM-DD."""

    wire = "int4"

    def text(self, sent: Sent) -> str:
        """Return the date."""
        return date.fromordinal(int(sent or 0) + _2000.toordinal()).isoformat()

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "text" or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
            message = f"{str(value)[:40]!r} is no date of the form YYYY-MM-DD"
            raise ValueError(message)
        return date.fromisoformat(value).toordinal() - _2000.toordinal()


class Time(Codec):
    """time without time zone takes HH:MM, with seconds and microseconds if there are any."""

    wire = "int8"

    def __init__(self, name: TypeName, *, not_null: bool, key: bool) -> None:
        """`name` holds the decimals kept, if they are said; in a key a time has one spelling only."""
        super().__init__(not_null=not_null, key=key)
        self._digits = name.sizes[0] if name.sizes else 6

    def text(self, sent: Sent) -> str:
        """Return the time of day."""
        return (_2000 + timedelta(microseconds=int(sent or 0))).time().isoformat()

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "text" or not re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?", value, re.ASCII):
            message = f"{str(value)[:40]!r} is no time of the form HH:MM:SS"
            raise ValueError(message)
        clock = time.fromisoformat(value)
        if self._key and clock.isoformat() != value:
            message = f"{value!r} in a key has another spelling: map the column to text"
            raise ValueError(message)
        if clock.microsecond % 10 ** (6 - self._digits):
            message = f"{value!r} is finer than {self._digits} decimals, PostgreSQL would round it"
            raise ValueError(message)
        seconds = (clock.hour * 60 + clock.minute) * 60 + clock.second
        return seconds * _SECOND + clock.microsecond


def _usual(values: Sequence[str]) -> bool:
    """Tell whether texts of one length have the usual shape: up to six decimals, and Z, +00:00 or no offset.

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
    )
    return shaped and all(_tail_is_usual(joined[place::length] for place in range(_SECONDS_LENGTH, length)))


def _tail_is_usual(places: Iterator[str]) -> Iterator[bool]:
    """Look at what follows the seconds, place by place, each as the characters all texts have there."""
    tail = [set(place) for place in places]
    if tail and tail[-1] == {"Z"}:
        tail.pop()
    elif len(tail) >= len(_ZERO) and [*map("".join, map(sorted, tail[-len(_ZERO) :]))] == list(_ZERO):
        del tail[-len(_ZERO) :]
    if tail:
        yield tail[0] == {"."} and 1 < len(tail) <= 7  # noqa: PLR2004  a point and six digits
        yield set().union(*tail[1:]) <= _DIGITS


def _microseconds(since: timedelta) -> int:
    return since.days * _DAY + since.seconds * _SECOND + since.microseconds


def _offset(text: str | None) -> timedelta:
    if text is None or text in {"Z", "z"}:
        return timedelta()
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 15 or minutes > 59:  # noqa: PLR2004  PostgreSQL's own limits
        message = f"{text!r} is no offset"
        raise ValueError(message)
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)

"""Days, times of day and intervals, sent as PostgreSQL keeps them."""

from __future__ import annotations

import re
import struct
from datetime import date, time, timedelta
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.codecs.iso import DAY, MICROSECONDS, ORIGIN, SECOND
from cdcsync.core.codecs.moments import MomentReader
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.(\d{1,9}))?)?", re.ASCII)


class Date(Codec):
    """date takes YYYY-MM-DD, and outside of keys a time at midnight too: any other would lose its time of day."""

    wire = "int4"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`plan` says in which format a moment comes."""
        super().__init__(plan, name, key=key)
        self._reader = MomentReader(plan, name, keeps_offset=False, key=key)

    def text(self, sent: Sent) -> str:
        """Return the date."""
        return date.fromordinal(int(sent or 0) + ORIGIN.toordinal()).isoformat()

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "text" and self._reader.format == "iso" and _DATE.fullmatch(value):
            return _days(value)
        if self._key and self._reader.format == "iso":
            message = f"{str(value)[:40]!r} is no date of the form YYYY-MM-DD"
            raise ValueError(message)
        days, rest = divmod(self._reader.read(storage, value), DAY)
        if rest:
            message = f"{str(value)[:40]!r} is no whole day, and a date would lose its time"
            raise ValueError(message)
        return days


def _days(value: str) -> int:
    try:
        return date.fromisoformat(value).toordinal() - ORIGIN.toordinal()
    except ValueError as error:
        message = f"{value!r} is no day of the calendar: {error}"
        raise ValueError(message) from None


class Time(Codec):
    """time without time zone takes HH:MM, with seconds and decimals if there are any."""

    wire = "int8"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` holds the decimals kept, if they are said; in a key a time has one spelling only."""
        super().__init__(plan, name, key=key)
        self._digits = name.sizes[0] if name.sizes else MICROSECONDS
        self._truncates = plan.on_finer == "truncate" and not key

    def text(self, sent: Sent) -> str:
        """Return the time of day."""
        return (ORIGIN + timedelta(microseconds=int(sent or 0))).time().isoformat()

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        match = _TIME.fullmatch(value) if storage == "text" else None
        if match is None:
            message = f"{str(value)[:40]!r} is no time of the form HH:MM:SS"
            raise ValueError(message)
        clock = _clock(value)
        fraction = (match[3] or "").rstrip("0")
        if len(fraction) > self._digits and not self._truncates:
            message = f"{value!r} is finer than {self._digits} decimals of a second, PostgreSQL would round it"
            raise ValueError(message)
        seconds = (clock.hour * 60 + clock.minute) * 60 + clock.second
        sent = seconds * SECOND + int(fraction[: self._digits].ljust(MICROSECONDS, "0"))
        if self._key and self.text(sent) != value:
            message = f"{value!r} in a key has another spelling: map the column to text"
            raise ValueError(message)
        return sent


def _clock(value: str) -> time:
    # Not by fromisoformat: newer versions of Python take 24:00 for 00:00.
    hour, minute, second = (int(part or 0) for part in (value[:2], value[3:5], value[6:8]))
    try:
        return time(hour, minute, second)
    except ValueError as error:
        message = f"{value!r} is no time of day: {error}"
        raise ValueError(message) from None


class Interval(Codec):
    """interval takes integers, which are microseconds, as object-relational mappers keep durations in SQLite."""

    wire = "bytea"
    takes = int

    _FORM = struct.Struct(">qii")
    _MOST_DAYS = 2**31

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` holds the decimals kept, if they are said."""
        super().__init__(plan, name, key=key)
        self._step = 10 ** (MICROSECONDS - (name.sizes[0] if name.sizes else MICROSECONDS))

    def text(self, sent: Sent) -> str:
        """Return days and microseconds."""
        microseconds, days, _ = self._FORM.unpack(sent if isinstance(sent, bytes) else b"")
        return f"{days} days {microseconds} microseconds"

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "integer":
            raise refusal(storage, "an integer (microseconds)")
        days, microseconds = divmod(value, DAY)
        if days >= self._MOST_DAYS or -days > self._MOST_DAYS or value % self._step:
            message = f"{value} microseconds do not fit {self._name}"
            raise ValueError(message)
        return self._FORM.pack(microseconds, days, 0)

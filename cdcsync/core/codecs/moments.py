"""Moments: from ISO-8601 text, or from a number in a named format, to PostgreSQL's microseconds since 2000."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.codecs.iso import MICROSECONDS, ORIGIN, SECOND, is_key_spelling, many_microseconds, read_iso
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass

_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_JULIAN = "julian"
_JULIAN_1970 = Decimal("2440587.5")
_1970 = round((datetime(1970, 1, 1, tzinfo=UTC) - ORIGIN).total_seconds()) * SECOND
# PostgreSQL goes further, Python's calendar does not.
_FIRST, _LAST = -63_082_281_600_000_000, 252_455_615_999_999_999
# A column of type TEXT turns numbers into these; few enough digits for exact arithmetic.
_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,9})?", re.ASCII)
# Numbers of these sizes are recent times: 1973 to 5138 in each unit, and julian days of those years.
_LIKELY = ((10**14, "epoch_us"), (10**11, "epoch_ms"), (10**8, "epoch_s"), (2 * 10**6, _JULIAN), (0, "epoch_s"))


class MomentReader:
    """Reads the moments of one column."""

    def __init__(self, plan: ColumnPlan, name: TypeName, *, keeps_offset: bool, key: bool) -> None:
        """`plan` says format and what a time without offset means; `name` how many decimals are kept.

        In a key a moment has one spelling only: else two rows of the source would become one.
        """
        self._name, self._key, self._keeps_offset = name, key, keeps_offset
        self.format = plan.format if plan.format in {*_UNITS, _JULIAN} else "iso"
        self.refuses_naive = plan.naive == "refuse"
        self.digits = name.sizes[0] if name.sizes else MICROSECONDS
        self.truncates = plan.on_finer == "truncate" and not key

    def read(self, storage: StorageClass, value: Any) -> int:
        """Return microseconds since 2000. Raises ValueError with the reason if the moment cannot arrive unaltered."""
        sent: int
        is_number = storage in {"integer", "real"} or (storage == "text" and _NUMBER.fullmatch(value) is not None)
        if self.format == "iso" and storage == "text":
            sent = self._from_iso(value)
        elif self.format == "iso":
            raise _named_format(storage, value)
        elif self._key and storage != "integer":
            raise refusal(storage, f"an integer ({self.format})")
        elif is_number:
            sent = self._from_number(value)
        elif storage == "text":
            sent = self._from_iso(value)
        else:
            raise refusal(storage, f"a number ({self.format})")
        if not _FIRST <= sent <= _LAST:
            message = f"{value!r} lies outside the years 1 to 9999"
            raise ValueError(message)
        return sent

    def _from_iso(self, value: str) -> int:
        time = read_iso(value)
        if self._key and not is_key_spelling(value):
            message = f"{value!r} in a key is not spelled YYYY-MM-DD HH:MM:SS: map the column to text"
            raise ValueError(message)
        if time.offset is None and self.refuses_naive:
            message = f"{value!r} names no offset and the mapping says naive = refuse"
            raise ValueError(message)
        if time.offset and not self._keeps_offset:
            message = f"{value!r} has an offset, which {self._name} would drop"
            raise ValueError(message)
        if len(time.fraction) > self.digits and not self.truncates:
            raise self._too_fine(value)
        return time.seconds * SECOND + int(time.fraction[: self.digits].ljust(MICROSECONDS, "0"))

    def _from_number(self, value: float | str) -> int:
        try:
            exact = Decimal(value if isinstance(value, str) else repr(value))
            if self.format == _JULIAN:
                # A double holds a julian day to some 40 microseconds; SQLite itself works in milliseconds.
                exact = ((exact - _JULIAN_1970) * 86_400_000).to_integral_value() * 1000
            else:
                exact *= _UNITS[self.format]
            step: int = 10 ** (MICROSECONDS - self.digits)
            steps = (exact / step).to_integral_value(ROUND_FLOOR)
            if abs(exact) < _LAST * 2 and steps * step != exact and not self.truncates:
                raise self._too_fine(value)
            return int(steps) * step + _1970
        except (ArithmeticError, OverflowError):
            message = f"{value!r} is no time ({self.format})"
            raise ValueError(message) from None

    def _too_fine(self, value: object) -> ValueError:
        what = f"{value!r} is finer than {self.digits} decimals of a second, PostgreSQL would round it"
        return ValueError(what if self._key else f'{what}; on_finer = "truncate" cuts them off')


class Timestamp(Codec):
    """timestamp with and without time zone."""

    wire = "int8"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` tells the two types apart."""
        super().__init__(plan, name, key=key)
        self._zoned = name.base == "timestamp with time zone"
        self._reader = MomentReader(plan, name, keeps_offset=self._zoned, key=key)
        self._whole = self._reader.digits == MICROSECONDS and not self._key
        self.takes = {"iso": str, _JULIAN: float}.get(self._reader.format, int)

    def text(self, sent: Sent) -> str:
        """Return the time as ISO-8601, with its offset where the type has one."""
        moment = ORIGIN + timedelta(microseconds=int(sent or 0))
        return (moment if self._zoned else moment.replace(tzinfo=None)).isoformat(sep=" ")

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        if self._reader.format in _UNITS and self._whole:
            unit = _UNITS[self._reader.format]
            if min(values) * unit + _1970 >= _FIRST and max(values) * unit + _1970 <= _LAST:
                return [value * unit + _1970 for value in values]
        if self._reader.format != "iso" or self._reader.refuses_naive or not self._whole:
            return super()._convert_many(values)
        lengths = set(map(len, values))
        if len(lengths) == 1:
            return self._convert_alike(values)
        # Naive times, Z and +00:00 on one page, or decimals that are zero and left out.
        sent: list[Sent] = [None] * len(values)
        for length in lengths:
            places = [place for place, value in enumerate(values) if len(value) == length]
            for place, converted in zip(places, self._convert_alike([values[p] for p in places]), strict=True):
                sent[place] = converted
        return sent

    def _convert_alike(self, values: Sequence[Any]) -> Sequence[Sent]:
        """Convert texts of one length."""
        decimals = 9 if self._reader.truncates else MICROSECONDS
        return many_microseconds(values, zoned=self._zoned, decimals=decimals) or super()._convert_many(values)

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        return self._reader.read(storage, value)


def _named_format(storage: StorageClass, value: Any) -> ValueError:
    """Return the error for a number where text is expected: it names the format the number looks like."""
    if storage == "blob":
        return refusal(storage, "a time")
    likely = next(name for least, name in _LIKELY if abs(value) >= least)
    return ValueError(f'{str(value)!r} is a number, which may count anything: say what, such as format = "{likely}"')

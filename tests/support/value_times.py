"""The rules for times: by splitting text and by fractions, with a calendar of its own."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from support.value_rules import Mapping

_DAY = 86_400
_UNITS = {"epoch_s": Fraction(1), "epoch_ms": Fraction(1, 1000), "epoch_us": Fraction(1, 1_000_000)}


def _days(year: int, month: int, day: int) -> int:
    """Count days from 1970-01-01 in the Gregorian calendar (years begin in March)."""
    year -= month <= 2
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    era, of_era = divmod(year, 400)
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _seconds(written: str) -> tuple[Fraction, Fraction | None]:
    """Return seconds since 1970 as the text names them, and its offset in seconds, None if it names none."""
    day, clock = written[:10], written[11:]
    year, month, of_month = map(int, day.split("-"))
    offset: Fraction | None = None
    for ending in ("Z", "z", " UTC"):
        if clock.endswith(ending) and not set("+-") & set(clock):
            clock, offset = clock.removesuffix(ending), Fraction(0)
    sign = next((c for c in clock if c in "+-"), None)
    if sign:
        clock, _, zone = clock.partition(sign)
        zone = zone.split(" ")[0].replace(":", "").ljust(4, "0")
        assert len(zone) == 4
        offset = Fraction((int(zone[:2]) * 60 + int(zone[2:])) * 60) * (-1 if sign == "-" else 1)
    parts = [Fraction(part) for part in clock.strip().split(":")] if clock else []
    hour, minute, second = (*parts, Fraction(0), Fraction(0), Fraction(0))[:3]
    return _days(year, month, of_month) * _DAY + hour * 3600 + minute * 60 + second, offset


def moment_of(storage: str, value: Any, mapping: Mapping) -> Fraction | None:
    """Return the seconds since 1970 that a value stands for under a mapping; None where nothing may arrive."""
    form = mapping.get("format", "iso")
    written = value.decode() if storage == "text" else repr(value)
    if storage == "blob":
        return None
    number = storage != "text" or not set(written[1:]) - set("0123456789.")
    if storage != "text" or (form != "iso" and number):
        return None if form == "iso" else _counted(written, form)
    seconds, offset = _seconds(written)
    if offset is None and mapping.get("naive") == "refuse":
        return None
    if offset and not mapping["type"].startswith("timestamptz"):
        return None
    return seconds - (offset or 0)


def _counted(written: str, form: str) -> Fraction:
    """Return seconds since 1970 for a number; julian days are good to the millisecond."""
    if form == "julian":
        return Fraction(round((Fraction(written) - Fraction("2440587.5")) * _DAY * 1000), 1000)
    return Fraction(written) * _UNITS[form]


def _as_kept(seconds: Fraction, mapping: Mapping, digits: int) -> Fraction | None:
    """Return what a type of so many decimals keeps: all of it, or what is left after cutting where that is asked."""
    steps = seconds * 10**digits
    if steps.denominator == 1:
        return seconds
    return Fraction(steps.__floor__(), 10**digits) if mapping.get("on_finer") == "truncate" else None


def _digits(mapping: Mapping) -> int:
    _, paren, size = mapping["type"].partition("(")
    return int(size.rstrip(")")) if paren else 6


def timestamp(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The same moment to the microsecond; without an offset it is UTC."""
    seconds = moment_of(storage, value, mapping)
    kept = None if seconds is None else _as_kept(seconds, mapping, _digits(mapping))
    there, offset = _seconds(shown)
    return kept == there and (not mapping["type"].startswith("timestamptz") or offset == 0)


def date(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The day, if the value is the very beginning of one."""
    return moment_of(storage, value, mapping) == _seconds(shown)[0]


def time(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The time of day to the microsecond."""
    if storage != "text":
        return False
    there, here = (_seconds(f"1970-01-01 {clock}")[0] for clock in (shown, value.decode()))
    return there == _as_kept(here, mapping, _digits(mapping)) and here < _DAY

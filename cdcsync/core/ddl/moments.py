"""Defaults that are the present moment, in the many ways SQLite writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.kinds import NUMBERS, is_zoned, kind_of
from cdcsync.core.sqltext.lexer import without_parentheses
from cdcsync.core.sqltext.literals import literal
from cdcsync.core.sqltext.refusal import refuse

if TYPE_CHECKING:
    from cdcsync.words.nouns import ColumnPlan


@dataclass(frozen=True, slots=True)
class _Moment:
    """Now, `shift` seconds on, as `form`: a template of to_char, or "epoch" (times `scale`), or "julian"."""

    form: str
    shift: int = 0
    scale: int = 1
    fraction: bool = False

    @property
    def is_number(self) -> bool:
        """Whether SQLite gives it as a number."""
        return self.form in {"epoch", "julian"}

    @property
    def has_fraction(self) -> bool:
        """Whether it is a number that need not be whole."""
        return self.form == "julian" or (self.fraction and self.form == "epoch" and self.scale == 1)

    @property
    def has_day(self) -> bool:
        """Whether a full date is in it."""
        return _DAY in self.form

    @property
    def has_clock(self) -> bool:
        """Whether a time of day is in it."""
        return "HH24:MI" in self.form


_DAY, _CLOCK = "YYYY-MM-DD", "HH24:MI:SS"
CLOCK_WORDS = {
    "current_timestamp": f"{_DAY} {_CLOCK}",
    "current_date": _DAY,
    "current_time": _CLOCK,
}
_CLOCK_CALLS = {
    "datetime": f"{_DAY} {_CLOCK}",
    "date": _DAY,
    "time": _CLOCK,
    "unixepoch": "epoch",
    "julianday": "julian",
}
_CODES = {
    "Y": "YYYY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "M": "MI",
    "S": "SS",
    "f": "SS.MS",
    "j": "DDD",
    "F": _DAY,
    "T": _CLOCK,
    "R": "HH24:MI",
    "%": '"%"',
}
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_CALL = re.compile(r"(\w+)\(((?:'(?:[^']|'')*',?)*)\)")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_CAST = re.compile(r"(?:cast\((.+?) ?as (?:integer|int|bigint)\)|round\((.+)\))")
_MILLISECONDS = re.compile(r"(.+)\*1000(?:\.0)?")
_JULIAN_SECONDS = re.compile(r"\(?julianday\('now'\)-2440587\.5\)?\*86400(000)?(?:\.0)?")
_SHIFT = re.compile(r"([+-]?\d+) (second|minute|hour|day)s?")


def moment_default(text: str, column: ColumnPlan) -> sql.Composable | None:
    """Return the present moment as the column takes it; None if the text does not ask for that."""
    moment = _moment(text)
    return None if moment is None else _in_postgres(moment, column)


def _moment(text: str) -> _Moment | None:
    if text in CLOCK_WORDS:
        return _Moment(CLOCK_WORDS[text])
    if (julian := _JULIAN_SECONDS.fullmatch(text)) is not None:
        return _Moment("epoch", scale=1000 if julian[1] else 1, fraction=True)
    if (cast := _CAST.fullmatch(text)) is not None:
        inner = _moment(without_parentheses(cast[1] or cast[2]))
        if inner is not None and inner.form != "julian":
            return replace(inner, fraction=inner.fraction and inner.scale > 1)
    elif (scaled := _MILLISECONDS.fullmatch(text)) is not None:
        inner = _moment(without_parentheses(scaled[1]))
        if inner is not None and inner.form == "epoch":
            return replace(inner, scale=1000)
    elif (call := _CALL.fullmatch(text)) is not None:
        return _moment_of_call(call[1], [part.replace("''", "'") for part in _STRING.findall(call[2])])
    return None


def _moment_of_call(name: str, arguments: list[str]) -> _Moment | None:
    form = _CLOCK_CALLS.get(name)
    if name == "strftime" and arguments:
        form = {"%s": "epoch", "%J": "julian"}.get(arguments[0]) or _template(arguments[0])
        arguments = arguments[1:]
    if arguments[:1] in (["subsec"], ["subsecond"]):
        arguments = ["now", *arguments]
    if form is None or (arguments and arguments[0].lower() != "now"):
        return None
    shift, fraction = 0, False
    for modifier in arguments[1:]:
        moved = _SHIFT.fullmatch(modifier)
        if moved is not None:
            shift += int(moved[1]) * _UNITS[moved[2]]
        elif modifier in {"subsec", "subsecond"}:
            form, fraction = form.replace("SS", "SS.MS"), True
        else:
            # 'utc' among them: before 3.44 SQLite took the present moment for local time under it.
            refuse(f"the modifier {modifier!r} has no equivalent here")
    return _Moment(form, shift, fraction=fraction)


def _template(form: str) -> str:
    """Return a format of strftime() as a template of to_char()."""
    pieces = []
    for code, plain in re.findall(r"%(.)|([^%]+|%)", form, flags=re.DOTALL):
        if (code and code not in _CODES) or plain == "%" or '"' in plain or "\\" in plain:
            refuse(f"the format {form!r} has no equivalent in to_char")
        quoted = f'"{plain}"' if any(letter.isalnum() for letter in plain) else plain
        pieces.append(_CODES[code] if code else quoted)
    return "".join(pieces)


def _in_postgres(moment: _Moment, column: ColumnPlan) -> sql.Composable:
    now: sql.Composable = sql.SQL("CURRENT_TIMESTAMP")
    if moment.shift:
        now = sql.SQL("({} + INTERVAL {})").format(now, literal(f"{moment.shift} seconds"))
    kind = kind_of(column.type_sql)
    if kind == "time" and (moment.is_number or moment.has_day):
        return _as_time(moment, now, zoned=is_zoned(column.type_sql))
    if kind == "date" and moment.has_day:
        return sql.SQL("CAST({} AS date)").format(_utc(now))
    if kind == "clock" and moment.has_clock:
        return sql.SQL("CAST({} AS time)").format(_utc(now))
    if kind == "text":
        return _as_text(moment, now)
    if kind not in NUMBERS:
        refuse(f"the present moment in this form does not fit {column.type_sql}")
    return _as_number(moment, now, whole=kind == "integer")


def _utc(moment: sql.Composable) -> sql.Composable:
    return sql.SQL("{} AT TIME ZONE 'UTC'").format(moment)


def _as_time(moment: _Moment, now: sql.Composable, *, zoned: bool) -> sql.Composable:
    if moment.is_number or moment.has_clock:
        return now if zoned else _utc(now)
    midnight = sql.SQL("date_trunc('day', {})").format(_utc(now))
    return _utc(midnight) if zoned else midnight


def _as_text(moment: _Moment, now: sql.Composable) -> sql.Composable:
    if moment.is_number and moment.has_fraction:
        refuse("PostgreSQL writes fractions in other digits")
    if moment.is_number:
        return sql.SQL("CAST({} AS text)").format(_epoch(moment, now))
    return sql.SQL("to_char({}, {})").format(_utc(now), literal(moment.form))


def _as_number(moment: _Moment, now: sql.Composable, *, whole: bool) -> sql.Composable:
    if moment.has_fraction and whole:
        refuse("SQLite would keep the fraction of this time in a column of integers")
    if moment.form == "julian":
        return sql.SQL("extract(epoch FROM {}) / 86400.0 + 2440587.5").format(now)
    if moment.form == "epoch":
        return _epoch(moment, now)
    if re.search(r"[^YMDHIS24]", moment.form):
        refuse("SQLite would keep this time as text in a column of numbers")
    return sql.SQL("CAST({} AS bigint)").format(_as_text(moment, now))


def _epoch(moment: _Moment, now: sql.Composable) -> sql.Composable:
    seconds, scale = sql.SQL("extract(epoch FROM {})").format(now), sql.SQL(str(moment.scale))
    if moment.has_fraction:
        return sql.SQL("round({}, 3)").format(seconds)
    if moment.fraction:
        return sql.SQL("CAST(floor({} * {}) AS bigint)").format(seconds, scale)
    whole = sql.SQL("CAST(floor({}) AS bigint)").format(seconds)
    return sql.SQL("{} * {}").format(whole, scale) if moment.scale > 1 else whole

"""One rule per PostgreSQL type: which values go as they are, and how the others are converted or refused.

Reading is optimistic. `Rule.accepts` is an SQL condition evaluated by SQLite itself; where it holds the value
is sent as SQLite hands it over, at no cost in Python. Where it does not, the page is read again with storage
classes and every value goes through `Rule.convert`, which is exact or says why not.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from cdcsync.core.types import TypeName, integer_limit, parse
from cdcsync.words.nouns import ColumnPlan, StorageClass, Value

Sent: TypeAlias = None | int | float | str | bytes
"""A value in the form it is sent: PostgreSQL's own input function for the column's type reads it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How values of one column are recognised and converted.

    `accepts` is None where every value must go through `convert`, else an SQL condition with `{}` for the value.
    `convert` raises ValueError with the reason when PostgreSQL cannot hold the value or would change it.
    """

    accepts: str | None
    convert: Callable[[StorageClass, Any], Sent]


def rule_for(plan: ColumnPlan, *, key: bool) -> Rule:
    """Return the rule of a column. Keys are stricter: two keys of the source never become one."""
    name = parse(plan.type_sql)
    if name.base in {"timestamp with time zone", "timestamp without time zone"}:
        return _timestamp(plan, zoned=name.base == "timestamp with time zone")
    if name.base == "uuid":
        return _uuid(key=key)
    if name.base in {"text", "character varying", "character"}:
        return _text(name, key=key)
    if integer_limit(name.base) is not None:
        return _integer(name)
    return _SIMPLE[name.base](name) if name.base in _SIMPLE else Rule("typeof({}) = 'text'", _plain_text)


def convert(rule: Rule, plan: ColumnPlan, storage: StorageClass, value: Value) -> Sent:
    """Convert one value; ValueError with the reason if it cannot arrive unaltered."""
    if value is None:
        if plan.not_null:
            message = "NULL in a column that is NOT NULL in PostgreSQL"
            raise ValueError(message)
        return None
    if storage == "text" and isinstance(value, bytes):
        message = "the text is not valid UTF-8"
        raise ValueError(message)
    if isinstance(value, str) and "\0" in value:
        message = "the text holds a NUL character, which PostgreSQL cannot store"
        raise ValueError(message)
    return rule.convert(storage, value)


def _refuse(storage: StorageClass, wanted: str) -> ValueError:
    return ValueError(f"a value of storage class {storage} where {wanted} is expected")


def _plain_text(storage: StorageClass, value: Any) -> Sent:
    if storage != "text":
        raise _refuse(storage, "text")
    return str(value)


def _text(name: TypeName, *, key: bool) -> Rule:
    limit = name.sizes[0] if name.sizes else (1 if name.base == "character" else None)

    def text(storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" or (key and storage != "text"):
            raise _refuse(storage, "text")
        written = value if isinstance(value, str) else repr(value)
        if limit is not None and len(written) > limit:
            message = f"{len(written)} characters do not fit {name}"
            raise ValueError(message)
        if name.base == "character" and written.endswith(" "):
            message = f"{name} would lose the trailing spaces"
            raise ValueError(message)
        return written

    # char(n) pads and length() stops at a NUL: only Python's view of the value decides there.
    return Rule("typeof({}) = 'text'" if limit is None else None, text)


def _integer(name: TypeName) -> Rule:
    limit = integer_limit(name.base) or 0

    def integer(storage: StorageClass, value: Any) -> Sent:
        if storage != "integer":
            raise _refuse(storage, "an integer")
        if not -limit <= value < limit:
            message = f"{value} is out of range for {name}"
            raise ValueError(message)
        return int(value)

    within = "" if name.base == "bigint" else f" AND {{}} BETWEEN {-limit} AND {limit - 1}"
    return Rule("typeof({}) = 'integer'" + within, integer)


def _double(_: TypeName) -> Rule:
    def double(storage: StorageClass, value: Any) -> Sent:
        if storage == "integer" and int(float(value)) == value:
            return float(value)
        if storage != "real":
            raise _refuse(storage, "a floating point number")
        return float(value)

    return Rule("typeof({}) = 'real'", double)


def _single(_: TypeName) -> Rule:
    def single(storage: StorageClass, value: Any) -> Sent:
        if storage not in {"real", "integer"}:
            raise _refuse(storage, "a floating point number")
        try:
            narrowed = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            narrowed = None
        if narrowed != value:
            message = f"real (4 bytes) would change {value!r}"
            raise ValueError(message)
        return float(value)

    return Rule(None, single)


_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def _numeric(name: TypeName) -> Rule:
    scale = name.sizes[1] if len(name.sizes) > 1 else 0

    def numeric(storage: StorageClass, value: Any) -> Sent:
        if storage == "blob":
            raise _refuse(storage, "a number")
        written = value.strip() if isinstance(value, str) else repr(value)
        if not _DECIMAL.fullmatch(written):
            message = f"{written[:40]!r} is no decimal number"
            raise ValueError(message)
        if name.sizes:
            _fits(Decimal(written), name, scale)
        return written

    if not name.sizes:
        return Rule("typeof({}) = 'integer' OR typeof({}) = 'real' AND abs({}) < 9e307", numeric)
    # Up to 15 digits a double equal to its rounded self is written with no more decimals than it was rounded to.
    limit = 10 ** min(name.sizes[0] - scale, 15 - scale) if scale <= 15 else 0  # noqa: PLR2004  digits of a double
    return Rule(f"abs({{}}) < {limit} AND {{}} = round({{}}, {scale}) AND typeof({{}}) <> 'text'", numeric)


def _fits(number: Decimal, name: TypeName, scale: int) -> None:
    _, digits, exponent = number.normalize().as_tuple()
    places = -int(exponent)
    if number and (places > scale or len(digits) - places > name.sizes[0] - scale):
        message = f"{number} does not fit {name} without rounding"
        raise ValueError(message)


_WORDS = {
    **dict.fromkeys(("t", "true", "y", "yes", "on", "1"), 1),
    **dict.fromkeys(("f", "false", "n", "no", "off", "0"), 0),
}


def _boolean(_: TypeName) -> Rule:
    def boolean(storage: StorageClass, value: Any) -> Sent:
        if storage == "integer" and value in (0, 1):
            return int(value)
        if storage == "text" and str(value).lower() in _WORDS:
            return _WORDS[str(value).lower()]
        message = f"{value!r} is neither 0 nor 1 nor a word for true or false"
        raise ValueError(message)

    return Rule("typeof({}) = 'integer' AND {} IN (0, 1)", boolean)


def _bytea(_: TypeName) -> Rule:
    def blob(storage: StorageClass, value: Any) -> Sent:
        if storage != "blob":
            raise _refuse(storage, "a blob")
        return bytes(value)

    return Rule("typeof({}) = 'blob'", blob)


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuid(*, key: bool) -> Rule:
    def uuid(storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" and len(value) == 16 and not key:  # noqa: PLR2004  the size of a UUID
            return str(value.hex())
        if storage != "text":
            raise _refuse(storage, "a UUID")
        if not _UUID.fullmatch(value if key else value.lower()):
            lower = " in lower case (another case would be the same key in PostgreSQL)" if key else ""
            message = f"{value[:50]!r} is no UUID of the form 8-4-4-4-12{lower}"
            raise ValueError(message)
        return str(value)

    # The shape keeps out the other spellings PostgreSQL would take; it checks the digits itself.
    shape = "typeof({}) = 'text' AND {} GLOB '????????-????-????-????-????????????'"
    return Rule(shape + (" AND {} = lower({}) COLLATE BINARY" if key else ""), uuid)


_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.](\d{1,9}))?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?)?"
)
# What applications write most: Python's isoformat(), JavaScript's toISOString(), SQLite's own functions. With
# TimeZone=UTC PostgreSQL reads these and changes nothing; it checks the calendar itself.
_ISO_SHAPES = (
    "typeof({}) = 'text' AND {} GLOB "
    "'[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-5][0-9]*' AND ("
    "substr({}, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]+00:00' OR "
    "substr({}, 20) IN ('', 'Z', '+00:00') OR "
    "substr({}, 20) GLOB '.[0-9][0-9][0-9]Z' OR "
    "substr({}, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]' OR "
    "substr({}, 20) GLOB '.[0-9][0-9][0-9][0-9][0-9][0-9]Z')"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JULIAN_EPOCH = 2440587.5
_UNITS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


def _timestamp(plan: ColumnPlan, *, zoned: bool) -> Rule:
    def moment(storage: StorageClass, value: Any) -> Sent:
        if plan.format == "iso":
            return _iso(storage, value, plan, zoned=zoned)
        if storage not in {"integer", "real"}:
            raise _refuse(storage, f"a number ({plan.format})")
        return _from_number(value, plan.format, zoned=zoned)

    if plan.format != "iso" or plan.naive == "refuse" or not zoned:
        return Rule(None, moment)
    return Rule(_ISO_SHAPES, moment)


def _iso(storage: StorageClass, value: Any, plan: ColumnPlan, *, zoned: bool) -> Sent:
    match = _ISO.fullmatch(value) if storage == "text" else None
    if match is None:
        message = f"{str(value)[:40]!r} is no ISO-8601 time"
        raise ValueError(message)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    digits = (fraction or "").rstrip("0")
    if len(digits) > 6:  # noqa: PLR2004  PostgreSQL keeps microseconds
        message = f"{value!r} has more than six decimals, PostgreSQL would round it"
        raise ValueError(message)
    if offset is None and plan.naive == "refuse":
        message = f"{value!r} names no offset and the mapping says naive = refuse"
        raise ValueError(message)
    if not zoned and offset not in {None, "Z", "z", "+00:00", "+0000", "+00"}:
        message = f"{value!r} has an offset, which timestamp without time zone would drop"
        raise ValueError(message)
    parts = [int(part or 0) for part in (year, month, day, hour, minute, second)]
    moment = datetime(*parts, int(digits.ljust(6, "0")), tzinfo=UTC)  # type: ignore[misc, arg-type]  # six ints
    return _written(moment - _offset(offset), zoned=zoned)


def _offset(text: str | None) -> timedelta:
    if text is None or text in {"Z", "z"}:
        return timedelta()
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 15 or minutes > 59:  # noqa: PLR2004  PostgreSQL's own limits
        message = f"{text!r} is no offset"
        raise ValueError(message)
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def _from_number(value: float, form: str, *, zoned: bool) -> Sent:
    if form == "julian":
        # A double holds a julian day to some 40 microseconds; SQLite itself works in milliseconds.
        microseconds = round((value - _JULIAN_EPOCH) * 86_400_000) * 1000
    else:
        exact = Decimal(value) * _UNITS[form] if isinstance(value, int) else Decimal(repr(value)) * _UNITS[form]
        if exact != exact.to_integral_value():
            message = f"{value!r} is finer than a microsecond, PostgreSQL would round it"
            raise ValueError(message)
        microseconds = int(exact)
    try:
        return _written(_EPOCH + timedelta(microseconds=microseconds), zoned=zoned)
    except OverflowError:
        message = f"{value!r} as {form} lies outside the years 1 to 9999"
        raise ValueError(message) from None


def _written(moment: datetime, *, zoned: bool) -> str:
    return moment.isoformat(sep=" ") if zoned else moment.replace(tzinfo=None).isoformat(sep=" ")


def _date(_: TypeName) -> Rule:
    def day(storage: StorageClass, value: Any) -> Sent:
        if storage != "text" or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            message = f"{str(value)[:40]!r} is no date of the form YYYY-MM-DD"
            raise ValueError(message)
        return date.fromisoformat(value).isoformat()

    shape = "[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]"
    return Rule(f"typeof({{}}) = 'text' AND {{}} GLOB '{shape}'", day)


def _time(_: TypeName) -> Rule:
    def clock(storage: StorageClass, value: Any) -> Sent:
        if storage != "text" or not re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?", value):
            message = f"{str(value)[:40]!r} is no time of the form HH:MM:SS"
            raise ValueError(message)
        return time.fromisoformat(value).isoformat()

    return Rule(None, clock)


def _json(name: TypeName) -> Rule:
    binary = name.base == "jsonb"

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if binary and len(found) < len(pairs):
            message = "an object names a key twice; jsonb would keep only the last"
            raise ValueError(message)
        return found

    def refuse_constant(constant: str) -> None:
        message = f"{constant} is no JSON"
        raise ValueError(message)

    def document(storage: StorageClass, value: Any) -> Sent:
        # Declared JSON has NUMERIC affinity: SQLite has already turned a bare number into one.
        if storage == "blob":
            raise _refuse(storage, "JSON")
        written = value if isinstance(value, str) else repr(value)
        try:
            json.loads(written, object_pairs_hook=unique, parse_constant=refuse_constant, parse_int=str)
        except RecursionError:
            message = "the document is nested too deeply"
            raise ValueError(message) from None
        if binary and re.search(r"(?<!\\)(\\\\)*\\u0000", written):
            message = "the document holds \\u0000, which jsonb cannot store"
            raise ValueError(message)
        return written

    return Rule(None, document)


_SIMPLE: dict[str, Callable[[TypeName], Rule]] = {
    "double precision": _double,
    "real": _single,
    "numeric": _numeric,
    "boolean": _boolean,
    "bytea": _bytea,
    "date": _date,
    "time without time zone": _time,
    "json": _json,
    "jsonb": _json,
}

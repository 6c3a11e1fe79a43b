"""Stable codes for what a codec refuses. Whether it refuses is the codec's alone; here the refusal gets a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cdcsync.core.codecs import codec_for
from cdcsync.core.keys import Part, show_value
from cdcsync.core.types import parse
from cdcsync.words.nouns import ColumnPlan

MEANINGS = {
    "nul": "a NUL character, which PostgreSQL cannot store",
    "bad_utf8": "text that is not valid UTF-8",
    "null_key": "NULL in the key",
    "null_in_not_null": "NULL in a column that is NOT NULL in PostgreSQL",
    "empty_text": "the empty text",
    "uuid_case": "a UUID in a key and not in lower case: in PostgreSQL another case is the same key",
    "key_spelling": "spelled in a way that would make two keys one",
    "wrong_class": "another storage class",
    "not_a_time": "no ISO-8601 time",
    "ambiguous_time": "a time PostgreSQL would read by rules of its own",
    "epoch": "a number, no time",
    "naive_time": "no offset, and the mapping says naive = refuse",
    "offset_lost": "an offset, which timestamp without time zone would drop",
    "has_time": "a time, not only a date",
    "not_a_date": "no date of the form YYYY-MM-DD",
    "not_a_clock": "no time of day of the form HH:MM:SS",
    "not_a_uuid": "no UUID",
    "not_an_address": "no address as PostgreSQL spells it",
    "not_json": "no JSON",
    "json_nul": "an escaped NUL, which jsonb cannot store",
    "duplicate_key": "a name twice in one object, of which jsonb would keep only the last",
    "not_boolean": "neither true nor false",
    "not_a_number": "no number",
    "out_of_range": "out of range",
    "too_long": "too long",
    "trailing_spaces": "spaces at the end, which PostgreSQL would drop",
    "rounding": "it would be rounded",
}
"""What is wrong with a value of each code."""

WIDENED = {"rounding", "out_of_range", "too_long", "offset_lost", "has_time"}
"""Codes of values for which a wider type of the same kind will do."""

_HAS_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*", re.ASCII)
_TOO_FINE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.]\d{7,}.*", re.ASCII)
# What timestamptz accepts although it depends on the clock, on DateStyle or on a guess at the century; 24:00:00.
_POSTGRES_ONLY = re.compile(
    r"\s*(now|today|tomorrow|yesterday|epoch|allballs|[+-]?infinity|\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*"
    r"|\d{4}[/.]\d{1,2}[/.]\d{1,2}.*|\d{8}|\d{4}-\d\d-\d\d[T ]24:00.*|[A-Za-z]{3,9}\.? \d.*)\s*",
    re.IGNORECASE | re.ASCII,
)
SAMPLES = 5


@dataclass(slots=True)
class Refused:
    """The values of one column refused for one reason: how many, where the first are, and one of them."""

    count: int = 0
    keys: list[str] = field(default_factory=list)
    example: str = ""

    def note(self, key: str, value: Part) -> None:
        """Count a value; keep it if it is among the first."""
        self.count += 1
        self.example = self.example or show_value(value[1], 40)
        if key and len(self.keys) < SAMPLES:
            self.keys.append(key)


def code_of(column: ColumnPlan, part: Part, *, key: bool) -> str:
    """Return the code of a value that the column's codec refuses."""
    storage, value = part
    if storage == "null":
        return "null_key" if key else "null_in_not_null"
    if storage == "text" and isinstance(value, bytes):
        return "bad_utf8"
    if isinstance(value, str) and "\0" in value:
        return "nul"
    if key and _arrives(column, part):
        return "uuid_case" if column.type_sql == "uuid" and isinstance(value, str) else "key_spelling"
    base = parse(column.type_sql).base
    if value == "" and base not in {"text", "character varying", "character"}:
        return "empty_text"
    return _BY_TYPE[base](column, part) if base in _BY_TYPE and storage != "blob" else "wrong_class"


def _arrives(column: ColumnPlan, part: Part) -> bool:
    """Tell whether the value could arrive in a column like this that is no key."""
    try:
        codec_for(column, key=False).one(*part)
    except (ValueError, ArithmeticError):
        return False
    return True


def _code_of_moment(column: ColumnPlan, part: Part) -> str:
    storage, value = part
    if storage != "text":
        return "epoch" if column.format == "iso" else "rounding"
    if column.format != "iso":
        return "wrong_class"
    if _is_ambiguous(value):
        return "ambiguous_time"
    ways = {
        "naive_time": replace(column, naive=None),
        "rounding": replace(column, type_sql=parse(column.type_sql).base),
        "offset_lost": replace(column, type_sql="timestamp with time zone"),
    }
    too_fine = _TOO_FINE.fullmatch(str(value)) is not None
    return next((code for code, way in ways.items() if _arrives(way, part)), "rounding" if too_fine else "not_a_time")


def _is_ambiguous(value: object) -> bool:
    return _POSTGRES_ONLY.fullmatch(str(value)) is not None


def _code_of_date(_column: ColumnPlan, part: Part) -> str:
    storage, value = part
    if storage != "text":
        return "epoch"
    if _is_ambiguous(value):
        return "ambiguous_time"
    return "has_time" if _HAS_TIME.fullmatch(str(value)) else "not_a_date"


def _code_of_json(column: ColumnPlan, part: Part) -> str:
    if not _arrives(replace(column, type_sql="json"), part):
        return "not_json"
    return "json_nul" if "\\u0000" in str(part[1]) else "duplicate_key"


def _code_of_text(_column: ColumnPlan, part: Part) -> str:
    return "trailing_spaces" if str(part[1]).endswith(" ") else "too_long"


def _code_of_integer(_column: ColumnPlan, part: Part) -> str:
    return "out_of_range" if part[0] == "integer" else "wrong_class"


def _code_of_float(_column: ColumnPlan, part: Part) -> str:
    return "wrong_class" if part[0] == "text" else "rounding"


def _code_of_numeric(column: ColumnPlan, part: Part) -> str:
    return "rounding" if _arrives(replace(column, type_sql="numeric"), part) else "not_a_number"


_BY_TYPE: dict[str, Callable[[ColumnPlan, Part], str]] = {
    **dict.fromkeys(("bigint", "integer", "smallint"), _code_of_integer),
    **dict.fromkeys(("double precision", "real"), _code_of_float),
    **dict.fromkeys(("timestamp with time zone", "timestamp without time zone"), _code_of_moment),
    **dict.fromkeys(("text", "character varying", "character"), _code_of_text),
    **dict.fromkeys(("json", "jsonb"), _code_of_json),
    "numeric": _code_of_numeric,
    "date": _code_of_date,
    "uuid": lambda _column, _part: "not_a_uuid",
    "inet": lambda _column, _part: "not_an_address",
    "cidr": lambda _column, _part: "not_an_address",
    "boolean": lambda _column, _part: "not_boolean",
    "time without time zone": lambda _column, _part: "not_a_clock",
}

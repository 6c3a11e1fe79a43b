"""Codecs: what they refuse says why, and named formats are read to the microsecond."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdcsync.core.codecs import codec_for
from cdcsync.words.nouns import ColumnPlan

STORAGE: dict[type, Any] = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}


@pytest.mark.parametrize(
    ("type_sql", "value", "why"),
    [
        ("timestamp with time zone", "now", "no ISO-8601"),
        ("timestamp with time zone", "2024-01-01T00:00:00.1234567Z", "finer than 6 decimals"),
        ("timestamp with time zone", "01/02/2024", "no ISO-8601"),
        ("timestamp without time zone", "2024-01-01T00:00:00+02:00", "would drop"),
        ("boolean", 2, "neither 0 nor 1"),
        ("numeric(5,2)", 1.005, "without rounding"),
        ("character varying(3)", "abc ", "4 characters"),
        ("bigint", "12", "integer is expected"),
        ("bigint", 12.0, "integer is expected"),
        ("smallint", 40000, "out of range"),
        ("double precision", 2**53 + 1, "floating point"),
        ("real", 0.1, "would change"),
        ("jsonb", '{"a": 1, "a": 2}', "names a key twice"),
        ("jsonb", '"\\u0000"', "cannot store"),
        ("text", b"\xff", "text is expected"),
        ("text", "a\0b", "NUL"),
        ("date", "", "no ISO-8601 time"),
    ],
)
def test_what_postgres_would_change_silently_is_refused(type_sql: str, value: Any, why: str) -> None:
    """Each silent change known of PostgreSQL's input functions is an error that says why."""
    codec = codec_for(ColumnPlan("v", "v", type_sql), key=False)
    with pytest.raises(ValueError, match=why):
        codec.one(STORAGE[type(value)], value)


def test_two_uuid_keys_that_differ_in_case_never_become_one() -> None:
    """A UUID key in upper case is refused: in PostgreSQL it would be its lower-case twin."""
    codec = codec_for(ColumnPlan("v", "v", "uuid"), key=True)
    twin = "ABCDEF00-0000-4000-8000-000000000000"
    with pytest.raises(ValueError, match="lower case"):
        codec.one("text", twin)
    with pytest.raises(ValueError, match="usual form"):
        codec.many([twin])
    assert codec.text(codec.one("text", twin.lower())) == twin.lower()


@pytest.mark.parametrize(
    ("form", "value", "seconds"),
    [
        ("epoch_s", 86400, 86400),
        ("epoch_ms", 1500, 1.5),
        ("epoch_us", 1, 1e-6),
        ("julian", 2440588.5, 86400),
        ("epoch_s", 0.25, 0.25),
    ],
)
def test_named_formats_of_times_are_read_exactly(form: str, value: float, seconds: float) -> None:
    """Epoch seconds, milliseconds, microseconds and julian days become the moment they stand for."""
    codec = codec_for(ColumnPlan("v", "v", "timestamp with time zone", format=form), key=False)
    moment = datetime.fromisoformat(codec.text(codec.one(STORAGE[type(value)], value)))
    assert moment - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(seconds=seconds)
    assert not math.isnan(seconds)

"""Values arrive unaltered, by a stated rule, or are refused: against a real PostgreSQL."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from support.postgres import Database

from cdcsync.core.codecs import Codec, codec_for
from cdcsync.edges.target import Target
from cdcsync.edges.writer import as_text, copy_rows
from cdcsync.words.nouns import ColumnPlan

STORAGE: dict[type, Any] = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}

moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["now", "today", "infinity", "", " ", "12.0", "1.10", "NaN", "2024-02-30", "01/02/2024", "\0", "t"]
    ),
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    moments.map(lambda moment: moment.isoformat()),
    moments.map(lambda moment: moment.isoformat(" ").replace("+00:00", "Z")),
    moments.map(lambda moment: moment.replace(tzinfo=None).isoformat()),
    moments.map(lambda moment: moment.astimezone().isoformat() + "00"),
    st.dates().map(str),
    st.times().map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)).map(
        json.dumps
    ),
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.sampled_from([2**31, 2**53 + 1, 32768, -32769, 1_700_000_000_000]),
    st.floats(allow_nan=False),
    st.sampled_from([0.0, -0.0, 0.1, 1e300, 2460000.5, 1.5]),
)
values = st.one_of(st.none(), numbers, texts, st.binary(max_size=16))


def _moment(value: Any, got: datetime) -> bool:
    written = datetime.fromisoformat(value)
    return (written if written.tzinfo else written.replace(tzinfo=UTC)) == got


def _same_float(value: Any, got: float) -> bool:
    return struct.pack("d", float(value)) == struct.pack("d", got) and (isinstance(value, float) or int(got) == value)


def _boolean(value: Any, got: bool) -> bool:  # noqa: FBT001
    return got == (value == 1 if isinstance(value, int) else str(value).lower() in {"t", "true", "y", "yes", "on", "1"})


def _number(value: Any, got: Decimal) -> bool:
    return Decimal(value.strip() if isinstance(value, str) else repr(value)) == got


def _json(value: Any, got: Any) -> bool:
    if isinstance(value, int | float):
        return Decimal(repr(value)) == Decimal(repr(got))
    return json.loads(value) == got


# What may arrive for a value of the source, each by a rule that knows nothing of the codecs.
ORACLES: dict[str, Callable[[Any, Any], bool]] = {
    "bigint": lambda value, got: type(value) is int and value == got,
    "integer": lambda value, got: type(value) is int and value == got,
    "smallint": lambda value, got: type(value) is int and value == got,
    "double precision": _same_float,
    "real": lambda value, got: (
        struct.pack("f", value) == struct.pack("f", got)
        and float(value) == struct.unpack("f", struct.pack("f", value))[0]
    ),
    "numeric": _number,
    "numeric(9,3)": _number,
    "boolean": _boolean,
    "text": lambda value, got: got == (value if isinstance(value, str) else repr(value)),
    "character varying(8)": lambda value, got: got == (value if isinstance(value, str) else repr(value)),
    "bytea": lambda value, got: isinstance(value, bytes) and value == got,
    "uuid": lambda value, got: (
        (value if isinstance(value, bytes) else bytes.fromhex(value.replace("-", ""))) == got.bytes
    ),
    "timestamp with time zone": _moment,
    "date": lambda value, got: date.fromisoformat(value) == got,
    "time without time zone": lambda value, got: time.fromisoformat(value) == got,
    "json": _json,
    "jsonb": _json,
}


def _sent(codec: Codec, value: Any) -> tuple[bool, Any]:
    try:
        return True, codec.one(STORAGE[type(value)], value)
    except ValueError:
        return False, None


@pytest.fixture
def target(database: Database) -> Any:
    """A session as the daemon has one."""
    with Target(database.conninfo()) as made:
        yield made


@pytest.mark.parametrize("type_sql", ORACLES)
def test_a_value_arrives_as_it_is_or_is_refused(target: Target, type_sql: str, *, full: bool) -> None:
    """By binary COPY and by text, what PostgreSQL holds afterwards is the value of the source; else it is refused."""
    codec = codec_for(ColumnPlan("v", "v", type_sql), key=False)
    target.connection.execute(f"CREATE TEMPORARY TABLE v (n int PRIMARY KEY, v {type_sql}, w {type_sql})")
    number = codec_for(ColumnPlan("n", "n", "integer"), key=False)
    names = {"table": sql.SQL("v"), "columns": sql.SQL("n, v")}

    @settings(max_examples=200 if full else 5, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(values, min_size=20, max_size=200))
    def check(page: list[Any]) -> None:
        sent = [(value, converted) for value in page for fits, converted in [_sent(codec, value)] if fits]
        target.connection.execute("TRUNCATE v")
        copy_rows(target, names, [number, codec], [[(place, converted) for place, (_, converted) in enumerate(sent)]])
        spelled = [(*as_text([codec], (converted,)), place) for place, (_, converted) in enumerate(sent)]
        with target.connection.cursor() as cursor:
            cursor.executemany("UPDATE v SET w = %s WHERE n = %s", spelled)
        rows = target.connection.execute("SELECT v, w, v::text = w::text FROM v ORDER BY n").fetchall()
        for (value, _), (binary, _text, alike) in zip(sent, rows, strict=True):
            assert (value is None and binary is None) or (alike and ORACLES[type_sql](value, binary)), (value, binary)

    check()


@pytest.mark.parametrize("type_sql", [*ORACLES, "timestamp without time zone"])
@pytest.mark.parametrize("key", [False, True])
def test_a_page_converted_at_once_equals_its_values_one_by_one(type_sql: str, *, key: bool, full: bool) -> None:
    """`many` is only faster: where it answers at all, `one` gives the same for every value."""
    codec = codec_for(ColumnPlan("v", "v", type_sql), key=key)
    alike = st.one_of(*(st.lists(strategy, min_size=1, max_size=20) for strategy in (values, texts, numbers, moments)))

    @settings(max_examples=2000 if full else 40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(alike.map(lambda page: [v.isoformat() if isinstance(v, datetime) else v for v in page]))
    def check(page: list[Any]) -> None:
        try:
            at_once = list(codec.many(page))
        except ValueError:
            return
        singly = [_sent(codec, value) for value in page]
        assert all(fits for fits, _ in singly)
        assert repr(at_once) == repr([converted for _, converted in singly])

    check()


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

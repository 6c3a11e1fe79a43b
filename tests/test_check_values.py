"""Each way a value can fail is found by `check`, counted, named by its keys, and mended by the line it advises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.findings import findings_of_values, make_source, told_by

if TYPE_CHECKING:
    from pathlib import Path

UUID = "123e4567-e89b-42d3-a456-426614174000"

# name of the trap -> declared type, mapped type (None: the default), values that fit, values that do not, code, advice
TRAPS: dict[str, tuple[str, object, list[object], list[object], str, object]] = {
    "a text in INTEGER": ("INTEGER", None, [1], ["abc", "12x"], "wrong_class", "text"),
    "'' in INTEGER": ("INTEGER", None, [1], [""], "empty_text", None),
    "a fraction in INTEGER": ("INTEGER", None, [1], [1.5], "wrong_class", "numeric"),
    "a blob in TEXT": ("TEXT", None, ["a"], [b"a"], "wrong_class", None),
    "only blobs in TEXT": ("TEXT", None, [None], [b"a"], "wrong_class", "bytea"),
    "a text in REAL": ("REAL", None, [0.5], ["half"], "wrong_class", "text"),
    "an integer beyond 2^53 in a double": ("", "double precision", [0.5], [2**53 + 1], "rounding", "numeric"),
    "a NUL in TEXT": ("TEXT", None, ["a", "é"], ["a\0b"], "nul", {"type": "text", "on_nul": "strip"}),
    "a word in DECIMAL": ("DECIMAL(10,2)", None, [1.25], ["dear"], "not_a_number", "text"),
    "a third decimal in DECIMAL(10,2)": ("DECIMAL(10,2)", None, [1.25], [1.005], "rounding", "numeric"),
    "a float sum in DECIMAL(10,2)": ("DECIMAL(10,2)", None, [0.3], [0.1 + 0.2], "rounding", "numeric"),
    "an integer beyond int4": ("INTEGER", "integer", [1], [2**31], "out_of_range", "bigint"),
    "an integer beyond int2": ("INTEGER", "smallint", [1], [-40000], "out_of_range", "bigint"),
    "a text longer than varchar(3)": ("VARCHAR(3)", "varchar(3)", ["abc"], ["abcd"], "too_long", "text"),
    "trailing spaces in char(3)": ("TEXT", "char(3)", ["abc"], ["a "], "trailing_spaces", "text"),
    "a double in real": ("REAL", "real", [0.5], [0.1], "rounding", "double precision"),
    "2 in BOOLEAN": ("BOOLEAN", None, [0, 1], [2], "not_boolean", "bigint"),
    "a word in BOOLEAN": ("BOOLEAN", None, [0, 1, "yes", "off"], ["maybe"], "not_boolean", "text"),
    "'' in DATETIME": ("DATETIME", None, ["2024-01-01T00:00:00Z"], [""], "empty_text", None),
    "'' in DATE": ("DATE", None, ["2024-01-01"], [""], "empty_text", None),
    "a time in DATE": ("DATE", None, ["2024-01-01"], ["2024-01-01 10:00:00Z"], "has_time", "timestamptz"),
    "a month too many": ("DATE", None, ["2024-01-01"], ["2024-13-01"], "not_a_date", "text"),
    "a 30th of February": ("DATETIME", None, [], ["2024-02-30 00:00:00Z"], "not_a_time", "text"),
    "times PostgreSQL reads in its own way": (
        "DATETIME",
        None,
        ["2024-01-01T00:00:00Z"],
        ["01/02/2024", "1.2.2024", "02-01-24", "now", "today", "infinity", "2024-01-01 24:00:00", "May 1, 24"],
        "ambiguous_time",
        "text",
    ),
    "a seventh decimal": (
        "DATETIME", None, [], ["2024-01-01 00:00:00.1234567Z"], "rounding",
        {"type": "timestamptz", "on_finer": "truncate"},
    ),
    "a fourth decimal in timestamptz(3)": (
        "DATETIME", "timestamptz(3)", [], ["2024-01-01 00:00:00.1234Z"], "rounding", "timestamptz"
    ),
    "an offset in timestamp": (
        "TEXT", "timestamp", ["2024-01-01 00:00:00"], ["2024-01-01T00:00:00+02:00"], "offset_lost", "timestamptz"
    ),
    "seconds in DATETIME": (
        "DATETIME", None, [], [1700000000], "epoch", {"type": "timestamptz", "format": "epoch_s"}
    ),
    "milliseconds in DATETIME": (
        "DATETIME", None, [], [1700000000000], "epoch", {"type": "timestamptz", "format": "epoch_ms"}
    ),
    "microseconds in DATETIME": (
        "DATETIME", None, [], [1700000000000000], "epoch", {"type": "timestamptz", "format": "epoch_us"}
    ),
    "julian days in DATETIME": (
        "DATETIME", None, [], [2460310.5, 2460311.25], "epoch", {"type": "timestamptz", "format": "julian"}
    ),
    "numbers and times in one column": ("DATETIME", None, ["2024-01-01T00:00:00Z"], [1700000000], "epoch", "text"),
    "a text among epoch seconds": (
        "DATETIME", {"type": "timestamptz", "format": "epoch_s"}, [1700000000], ["at noon"], "wrong_class", "text"
    ),
    "naive times where the mapping refuses them": (
        "DATETIME",
        {"type": "timestamptz", "naive": "refuse"},
        ["2024-01-01T00:00:00Z"],
        ["2024-01-01T00:00:00"],
        "naive_time",
        {"type": "timestamptz", "naive": "utc"},
    ),
    "no UUID": ("UUID", None, [UUID, UUID.upper()], ["123e4567"], "not_a_uuid", "text"),
    "no JSON": ("JSON", None, ['{"a": 1}'], ["{a: 1}", "NaN", '{"a": Infinity}'], "not_json", "text"),
    "an escaped NUL in JSON": ("JSON", None, ['{"a": 1}'], ['{"a": "\\u0000"}'], "json_nul", "json"),
    "a name twice in JSON": ("JSON", None, ['{"a": 1}'], ['{"a": 1, "a": 2}'], "duplicate_key", "json"),
    "NULL where the mapping says not_null": (
        "TEXT",
        {"type": "text", "not_null": True},
        ["a"],
        [None],
        "null_in_not_null",
        {"type": "text", "not_null": False},
    ),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_a_value_that_cannot_arrive_is_found_with_its_count_keys_and_mending(tmp_path: Path, trap: str) -> None:
    """The advised line, once it is in the settings, leaves nothing of that kind to find."""
    declared, mapped, good, bad, code, advice = TRAPS[trap]
    rows = [(n, value) for n, value in enumerate([*good, *bad])]
    source = make_source(tmp_path / "a.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, a {declared})", {"t": rows})
    tables = {} if mapped is None else {"t": {"columns": {"a": mapped}}}
    found = [one for one in findings_of_values(source, tables) if one.code != "naive_time" or code == "naive_time"]
    assert [(one.severity, one.code, one.table, one.column, one.count) for one in found] == [
        ("warning", code, "t", "a", len(bad))
    ]
    assert found[0].sample_keys == tuple(str(n) for n, _ in rows[len(good) :][:5])
    if advice is None:
        assert code != "empty_text" or found[0].fix == """UPDATE "t" SET "a" = NULL WHERE "a" = ''"""
        return
    told = told_by(found[0].fix)
    assert told == {"t": {"columns": {"a": advice}}}
    if code != "nul":
        assert code not in {one.code for one in findings_of_values(source, told)}


def test_text_that_is_not_utf8_is_found_and_does_not_end_the_scan(tmp_path: Path) -> None:
    """One invalid byte fails a whole fetch of Python's: the rows around it are looked at all the same."""
    source = make_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, n INTEGER);"
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000) "
        "INSERT INTO t SELECT i, iif(i % 1000 = 7, CAST(x'66ff' AS TEXT), 'text é'), iif(i = 2500, 'x', i) FROM c",
    )
    found = {one.code: one for one in findings_of_values(source)}
    assert (found["bad_utf8"].count, found["bad_utf8"].sample_keys) == (3, ("7", "1007", "2007"))
    assert told_by(found["bad_utf8"].fix) == {"t": {"columns": {"a": {"type": "text", "on_bad_utf8": "strip"}}}}
    assert (found["wrong_class"].count, found["wrong_class"].sample_keys) == (1, ("2500",))


def test_every_bad_value_of_a_row_is_counted_not_only_the_first(tmp_path: Path) -> None:
    """A row that is bad in three columns shows in all three."""
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b DATE, c UUID)"
    source = make_source(tmp_path / "a.db", schema, {"t": [(1, "x", "y", "z"), (2, 2, "2024-01-01", UUID)]})
    found = [(one.column, one.code, one.count) for one in findings_of_values(source)]
    assert found == [("a", "wrong_class", 1), ("b", "not_a_date", 1), ("c", "not_a_uuid", 1)]


def test_a_uuid_key_in_upper_case_is_found_as_the_twin_it_would_become(tmp_path: Path) -> None:
    """ABCD and abcd are two keys in SQLite and one in PostgreSQL: text keeps both."""
    rows = [(UUID,), (UUID.upper(),), ("no uuid",)]
    source = make_source(tmp_path / "a.db", "CREATE TABLE t (id UUID PRIMARY KEY)", {"t": rows})
    found = {one.code: one for one in findings_of_values(source)}
    assert set(found) == {"uuid_case", "not_a_uuid"}
    assert found["uuid_case"].sample_keys == (repr(UUID.upper()),)
    assert told_by(found["uuid_case"].fix) == {"t": {"columns": {"id": "text"}}}


@pytest.mark.parametrize("naive", [None, "utc"])
def test_naive_times_are_a_warning_until_the_mapping_says_utc(tmp_path: Path, naive: str | None) -> None:
    """Z and offsets are no reason to warn; a date alone names no offset either."""
    times = ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00+00:00", "2024-01-01 00:00:00-05:30", None]
    times += ["2024-01-01 00:00:00", "2024-01-01T00:00", "2024-01-01", "2024-06-01 00:00:00.123456"]
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, a DATETIME)"
    source = make_source(tmp_path / "a.db", schema, {"t": list(enumerate(times))})
    mapped = {"t": {"columns": {"a": {"type": "timestamptz", "naive": naive}}}} if naive else {}
    found = findings_of_values(source, mapped)
    assert [(one.severity, one.code, one.count) for one in found] == ([] if naive else [("warning", "naive_time", 4)])
    if not naive:
        assert told_by(found[0].fix) == {"t": {"columns": {"a": {"type": "timestamptz", "naive": "utc"}}}}


def test_rows_whose_key_is_null_are_counted_and_named_by_their_rowids(tmp_path: Path) -> None:
    """Also when there are more of them than a page holds, and behind them the other rows are still looked at."""
    schema = "CREATE TABLE t (a TEXT, b TEXT, n INTEGER, PRIMARY KEY (a, b))"
    rows: list[tuple[object, ...]] = [("k", None, n) for n in range(2100)]
    rows += [(f"x{n}", "y", "bad" if n == 1500 else n) for n in range(2000)]
    source = make_source(tmp_path / "a.db", schema, {"t": rows})
    found = {one.code: one for one in findings_of_values(source)}
    assert (found["null_key"].column, found["null_key"].count) == ("b", 2100)
    assert found["null_key"].sample_keys == ("rowid 1", "rowid 2", "rowid 3", "rowid 4", "rowid 5")
    assert found["null_key"].fix == 'DELETE FROM "t" WHERE "b" IS NULL'
    assert (found["wrong_class"].count, found["wrong_class"].sample_keys) == (1, ("'x1500', 'y'",))


def test_a_hundred_bad_rows_scattered_in_many_are_all_found(tmp_path: Path, *, full: bool) -> None:
    """None is missed and none counted twice, whatever page it is on."""
    count = 10_000_000 if full else 50_000
    source = make_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER, at DATETIME);"
        f"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count}) INSERT INTO t "
        "SELECT i, 'name ' || i, i, '2024-01-01T00:00:00Z' FROM c;"
        f"UPDATE t SET name = 'a' || char(0) WHERE id % {count // 50} = 1;"
        f"UPDATE t SET at = '01/02/2024' WHERE id % {count // 50} = 2;",
    )
    found = findings_of_values(source)
    assert [(one.column, one.code, one.count) for one in found] == [("name", "nul", 50), ("at", "ambiguous_time", 50)]


def test_a_table_without_a_key_is_looked_through_too(tmp_path: Path) -> None:
    """Its findings have counts and examples, but no keys to show."""
    rows = [(1, "a"), ("x", "b\0"), (None, "c")]
    source = make_source(tmp_path / "a.db", "CREATE TABLE t (a INTEGER, b TEXT)", {"t": rows})
    found = [(one.column, one.code, one.count, one.sample_keys) for one in findings_of_values(source)]
    assert found == [("a", "wrong_class", 1, ()), ("b", "nul", 1, ())]

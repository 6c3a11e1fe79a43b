"""Values at the edge of their types: they arrive unaltered, or one line names table, key and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.pair import MANY

from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

# Type in PostgreSQL -> (value of SQLite, what PostgreSQL shows) that fit, and values it would round, cut or refuse.
FITTING: dict[str, tuple[list[tuple[object, str]], list[object]]] = {
    "timestamptz(3)": (
        [("2024-01-01 23:59:59.999", "2024-01-01 23:59:59.999+00"),
         ("2024-01-01T00:00:01.10Z", "2024-01-01 00:00:01.1+00")],
        ["2024-01-01 23:59:59.999999", "2024-01-01 00:00:00.1234Z"],
    ),
    "timestamptz(0)": ([("2024-01-01 23:59:59", "2024-01-01 23:59:59+00")], ["2024-01-01 23:59:59.5"]),
    "timestamp(1)": ([("2024-01-01 00:00:00.1", "2024-01-01 00:00:00.1")], ["2024-01-01 00:00:00.16"]),
    "timestamptz": (
        [("0001-01-01", "0001-01-01 00:00:00+00"), ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999+00")],
        ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+10:00", "2024-01-01 00:00:00.1234567", "2024-02-30", "now",
         "infinity", "\u0662024-01-01", "2024-01-01T00:00:00+20:00", "2024-01-01T00:00:00+05:30:15"],
    ),
    "time(0)": ([("12:00:00", "12:00:00")], ["12:00:00.6", "24:00:01", "\u0661\u0662:00:00"]),
    "numeric(40,2)": (
        [("123456789012345678901234567890.12", "123456789012345678901234567890.12"), ("1.500", "1.50"), (7, "7.00")],
        ["123456789012345678901234567890.125", "12345678901234567890123456789012345.129", "1" * 39, "1e38", "NaN"],
    ),
    "numeric": (
        [("1e30", "1" + "0" * 30), ("123456789.12345678901234567890123", "123456789.12345678901234567890123"),
         ("9" * 60, "9" * 60), ("-0.00", "0.00")],
        ["1e200000", "1e-20000", "1e999999999", "-1e999999999", "\u0661\u0662", "0x1F", "infinity", ""],
    ),
    "varchar(3)": ([("abc", "abc"), ("é面🎉", "é面🎉")], ["abcd", "abc "]),
    "real": ([(0.5, "0.5")], [0.1, 1e300]),
    "smallint": ([(-32768, "-32768")], [32768, "1", 1.0]),
    "uuid": ([(b"\0" * 16, "00000000-0000-0000-0000-000000000000")], ["{abcdef00-0000-4000-8000-000000000000}", b"\0"]),
    "boolean": ([(1, "true"), ("off", "false")], [2, "maybe", 1.0]),
    "jsonb": ([('{"a": 1e400}', None)], ['{"a":1,"\\u0061":2}', '"\\u0000"', '"\\ud800"', "{", "NaN", "[" * 100_000]),
}  # fmt: skip


def _make(make_pair: Make, type_sql: str) -> Pair:
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a)", tables={"t": {"columns": {"a": type_sql}}})
    pair.install()
    return pair


@pytest.mark.parametrize("type_sql", FITTING)
def test_what_fits_arrives_exactly_on_every_road(make_pair: Make, type_sql: str) -> None:
    """By the copy, by the lane for few rows and by the staged one, PostgreSQL shows the very value."""
    pair = _make(make_pair, type_sql)
    values = FITTING[type_sql][0]
    pair.insert("t", [(n, value) for n, (value, _) in enumerate(values)])
    pair.sync()
    pair.insert("t", [(1000 + n, value) for n, (value, _) in enumerate(values)])
    pair.sync()
    pair.insert("t", [(2000 + n, values[n % len(values)][0]) for n in range(MANY)])
    pair.sync()
    with pair.database.connect() as connection:
        found = connection.execute("SELECT id, a::text FROM t ORDER BY id").fetchall()
    assert len(found) == 2 * len(values) + MANY
    for ident, shown in found:
        expected = values[ident % 1000 % len(values)][1]
        assert expected is None or shown == expected
    assert pair.verify().equal


@pytest.mark.parametrize("type_sql", FITTING)
def test_what_does_not_fit_is_set_aside_by_key_and_column(make_pair: Make, type_sql: str) -> None:
    """Streamed alone or among many, each such value is told in one line, and the other rows arrive."""
    pair = _make(make_pair, type_sql)
    good = FITTING[type_sql][0][0][0]
    pair.insert("t", [(1, good)])
    pair.sync()
    for number, value in enumerate(FITTING[type_sql][1]):
        many = [(100 + n, good) for n in range(MANY if number == 0 else 1)]
        pair.insert("t", [*many, (7, value)])
        pair.sync()
        assert pair.quarantined() == [("t", "7", "a")], value
        assert "\n" not in pair.why()[0]
        assert len(pair.why()[0]) < 300
        assert pair.target("SELECT count(*) FROM t") == [(1 + len(many),)]
        pair.write("DELETE FROM t WHERE id > 1")
        pair.sync()
        assert pair.quarantined() == []


def test_an_exponent_beyond_all_bounds_has_a_reason_for_people(make_pair: Make) -> None:
    """A decimal that Python itself cannot hold is told like any other with too many digits."""
    pair = _make(make_pair, "numeric")
    pair.insert("t", [(7, "1e99999999999999999999")])
    pair.sync()
    assert pair.quarantined() == [("t", "7", "a")]
    assert "digits" in pair.why()[0]


@pytest.mark.parametrize(
    "type_sql",
    ['"char"', "name", "money", "interval day", "timetz", "bit(3)", "macaddr", "int[]", "int[3]", "xml", "point"],
)
def test_a_type_without_a_rule_is_refused_at_install(make_pair: Make, type_sql: str) -> None:
    """PostgreSQL would read text its own way: install names table and column, mapped or found in place."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", tables={"t": {"columns": {"a": type_sql}}})
    with pytest.raises(RefusedError, match=r"no rule for t\.a as "):
        pair.install()
    assert pair.target("SELECT to_regclass('t')") == [(None,)]
    pair.settings = pair.settings.model_copy(update={"tables": {}})
    pair.execute(f"CREATE TABLE t (id bigint PRIMARY KEY, a {type_sql})")
    with pytest.raises(RefusedError, match=r"public\.t\.a is .*: there is no rule for this type"):
        pair.install()


@pytest.mark.parametrize("base", ["timestamp(0)", "money", "numeric(5,1)", "time(0)", "varchar(3)"])
def test_a_domain_alters_nothing_either(make_pair: Make, base: str) -> None:
    """A domain over a type that rounds or cuts is refused, or its values are held to the type below it."""
    values = {
        "timestamp(0)": "2024-01-01 00:00:00.6",
        "money": "1.005",
        "numeric(5,1)": "1.55",
        "time(0)": "12:00:00.6",
    }
    value = values.get(base, "abc ")
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    pair.execute(f"CREATE DOMAIN below AS {base}", "CREATE TABLE t (id bigint PRIMARY KEY, a below)")
    pair.insert("t", [(1, value)])
    try:
        pair.install()
    except RefusedError:
        return
    pair.sync()
    assert pair.quarantined() == [("t", "1", "a")]


def test_an_enum_takes_its_words_and_refuses_others(make_pair: Make) -> None:
    """A type of the user's own is read by PostgreSQL; what it refuses is told like everything else."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'sad')")
    pair.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TABLE t (id bigint PRIMARY KEY, a mood)")
    pair.install()
    pair.sync()
    pair.insert("t", [(2, "ok"), (3, "Sad")])
    pair.sync()
    assert [key for _, key, _ in pair.quarantined()] == ["3"]
    assert "Sad" in pair.why()[0]
    pair.write("UPDATE t SET a = NULL WHERE id = 3")
    pair.sync()
    assert pair.target("SELECT id, a::text FROM t ORDER BY id") == [(1, "sad"), (2, "ok"), (3, None)]


def test_huge_reals_in_a_decimal_column_go_on_streaming(make_pair: Make) -> None:
    """1e30 and 1.5e300 in a DECIMAL column arrive by the copy and by single changes, to the last digit."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, a DECIMAL); INSERT INTO t VALUES (1, 1e30)")
    pair.install()
    pair.sync()
    for value in ("1.5e300", "-1e30", "5e-324", "0.1"):
        pair.write(f"UPDATE t SET a = {value}")
        pair.sync()
        with pair.database.connect() as connection:
            assert connection.execute(f"SELECT a = {value}::numeric FROM t".encode()).fetchall() == [(True,)]
        assert pair.verify().equal


WIDE = 1500
LARGE = {
    "row": (f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(f'c{n} INT' for n in range(WIDE))})", "too big"),
    "key": ("CREATE TABLE t (id TEXT PRIMARY KEY, v)", "index row"),
}


def _large(pair: Pair, what: str) -> str:
    """Insert what PostgreSQL cannot hold; return its key."""
    if what == "row":
        pair.insert("t", [(77, *range(WIDE))])
        return "77"
    key = pair.source("SELECT hex(randomblob(4000))")[0][0]
    pair.insert("t", [(key, 1)])
    return str(key)[:20]


@pytest.mark.parametrize("what", LARGE)
@pytest.mark.parametrize("road", ["copy", "few", "staged"])
def test_a_row_too_large_is_told_by_table_and_key(make_pair: Make, what: str, road: str) -> None:
    """Over 8 kB in a row or 2.7 kB in an index key: set aside under its key, wherever it comes from."""
    pair = make_pair(LARGE[what][0])
    pair.install()
    if road != "copy":
        pair.sync()
    if road == "staged":
        marks = "NULL" if what == "key" else ", ".join(["NULL"] * WIDE)
        pair.write(*(f"INSERT INTO t VALUES ('{n}', {marks})" for n in range(1000, 1000 + MANY)))
    key = _large(pair, what)
    pair.sync()
    ((table, shown, _),) = pair.quarantined()
    assert table == "t"
    assert key in shown
    assert LARGE[what][1] in pair.why()[0]


def test_a_row_too_large_without_a_key_names_its_table(make_pair: Make) -> None:
    """A table that is copied whole has no key to name; the table is named all the same."""
    pair = make_pair(f"CREATE TABLE t ({', '.join(f'c{n} INT' for n in range(WIDE))})")
    pair.install()
    pair.insert("t", [tuple(range(WIDE))])
    pair.sync()
    assert [(table, key) for table, key, _ in pair.quarantined()] == [("t", "(none)")]
    assert "too big" in pair.why()[0]

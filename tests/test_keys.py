"""Keys: two rows of the source never become one, whatever their keys' types; a key of NULL is never skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.pair import MANY

from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

# Declared type, type it is mapped to (None: the default), and two keys that SQLite tells apart and the type may not.
TWINS = {
    "datetime": ("DATETIME", None, "'2024-01-01 00:00:00'", "'2024-01-01T00:00:00Z'"),
    "timestamptz": ("TEXT", "timestamptz", "'2024-01-01 00:00:00'", "'2024-01-01T00:00:00Z'"),
    "timestamptz fraction": ("TEXT", "timestamptz", "'2024-01-01 00:00:00'", "'2024-01-01 00:00:00.000'"),
    "timestamptz day": ("TEXT", "timestamptz", "'2024-01-01 00:00:00'", "'2024-01-01'"),
    "timestamptz offset": ("TEXT", "timestamptz", "'2024-01-01 00:00:00'", "'2024-01-01 02:00:00+02:00'"),
    "timestamp": ("TEXT", "timestamp", "'2024-01-01 00:00:00'", "'2024-01-01T00:00:00'"),
    "epoch": ("", {"type": "timestamptz", "format": "epoch_s"}, "1", "1.0000001"),
    "julian": ("", {"type": "timestamptz", "format": "julian"}, "2440588.0", "2440588.000000001"),
    "time": ("TEXT", "time", "'09:30:00'", "'09:30'"),
    "time fraction": ("TEXT", "time", "'09:30:00'", "'09:30:00.0'"),
    "boolean": ("BOOLEAN", None, "1", "'true'"),
    "boolean words": ("TEXT", "boolean", "'yes'", "'true'"),
    "numeric": ("TEXT", "numeric", "'1.10'", "'1.1'"),
    "numeric exponent": ("", "numeric", "100", "'1e2'"),
    "double": ("", "double precision", "1.0", "'1'"),
    "real": ("", "real", "0.5", "0.500000001"),
    "text classes": ("", "text", "1", "'1'"),
    "uuid": ("UUID", None, "'abcdef00-0000-4000-8000-00000000000f'", "'ABCDEF00-0000-4000-8000-00000000000F'"),
    "jsonb": ("TEXT", "jsonb", "'{\"a\":1}'", "'{\"a\": 1}'"),
}
# One key to SQLite's index, two spellings of it in the changelog.
SAME_TO_SQLITE = {
    "numeric classes": ("", "numeric", "1", "1.0"),
    "numeric classes back": ("", "numeric", "1.0", "1"),
    "double classes": ("", "double precision", "1.0", "1"),
    "real classes": ("", "real", "1.0", "1"),
    "epoch classes": ("", {"type": "timestamptz", "format": "epoch_s"}, "0", "0.0"),
    "case": ("TEXT COLLATE NOCASE", None, "'ab'", "'AB'"),
}


def _sync(pair: Pair) -> bool:
    """Sync; return whether a row was set aside, for its key."""
    pair.sync()
    found = pair.quarantined()
    assert all((table, column) == ("t", "k") for table, _, column in found), found
    return bool(found)


def _make(make_pair: Make, twin: str, **settings: object) -> tuple[Pair, str, str]:
    declared, mapped, one, other = (TWINS | SAME_TO_SQLITE)[twin]
    tables = {} if mapped is None else {"t": {"columns": {"k": mapped}}}
    schema = f"CREATE TABLE t (k {declared} NOT NULL, v INTEGER, PRIMARY KEY (k)); INSERT INTO t VALUES ({one}, 1)"
    pair = make_pair(schema, tables=tables, **settings)
    pair.install()
    return pair, one, other


@pytest.mark.parametrize("twin", TWINS)
def test_two_rows_never_become_one(make_pair: Make, twin: str) -> None:
    """Both rows arrive, and one of them can go alone; or the one that would be the other goes to quarantine."""
    pair, _, other = _make(make_pair, twin)
    if _sync(pair):
        assert pair.target("SELECT * FROM t") == []
        return
    pair.write(f"INSERT INTO t VALUES ({other}, 2)")
    expected = [(1,)] if _sync(pair) else [(1,), (2,)]
    assert pair.target("SELECT v FROM t ORDER BY v") == expected
    pair.write("DELETE FROM t WHERE v = 2")
    assert not _sync(pair)
    assert pair.target("SELECT v FROM t") == [(1,)]
    pair.write(f"INSERT INTO t VALUES ({other}, 2)", "DELETE FROM t WHERE v = 1")
    expected = [] if _sync(pair) else [(2,)]
    assert pair.target("SELECT v FROM t") == expected
    assert pair.verify().equal


@pytest.mark.parametrize("twin", TWINS | SAME_TO_SQLITE)
def test_a_key_spelled_anew_is_never_lost_between_two_cycles(make_pair: Make, twin: str) -> None:
    """With one entry a cycle the new key arrives before the old one goes: the row stays, or is in quarantine."""
    pair, one, other = _make(make_pair, twin, apply_max_keys=1)
    if _sync(pair):
        return
    pair.write(f"UPDATE t SET k = {other}")
    expected = [] if _sync(pair) else [(1,)]
    assert pair.target("SELECT v FROM t") == expected
    assert pair.verify().equal
    pair.write(f"UPDATE t SET k = {one}, v = 3")
    assert not _sync(pair)
    assert pair.target("SELECT v FROM t") == [(3,)]
    assert pair.verify().equal


def _install_and_sync(pair: Pair) -> None:
    pair.install()
    pair.sync()


@pytest.mark.parametrize("base", ["citext", "domain over it"])
def test_a_citext_key_is_no_key(make_pair: Make, base: str) -> None:
    """A table found in place whose key equates 'abc' and 'ABC' is not filled, nor is one with a domain over it."""
    pair = make_pair("CREATE TABLE t (k TEXT PRIMARY KEY NOT NULL, v INTEGER); INSERT INTO t VALUES ('abc', 1)")
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"CREATE EXTENSION citext")
    kind = "citext"
    if base != "citext":
        kind = "folded"
        pair.execute("CREATE DOMAIN folded AS citext")
    pair.execute(f"CREATE TABLE t (k {kind} PRIMARY KEY, v bigint)")
    with pytest.raises(RefusedError, match=r"\bt\b.*\bk\b"):
        _install_and_sync(pair)
    assert pair.target("SELECT * FROM t") == []


def test_times_in_keys_arrive_as_the_text_they_are(make_pair: Make) -> None:
    """DATETIME and TIMESTAMP columns become text in a key, and timestamptz anywhere else."""
    pair = make_pair(
        "CREATE TABLE t (at DATETIME, n TIMESTAMP, seen DATETIME, PRIMARY KEY (at, n));"
        "INSERT INTO t VALUES ('2024-01-01T00:00:00Z', '2024-01-01', '2024-01-01T00:00:00Z')"
    )
    pair.install()
    pair.sync()
    types = dict(pair.target("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 't'"))
    assert types == {"at": "text", "n": "text", "seen": "timestamp with time zone"}
    assert pair.target("SELECT at, n FROM t") == [("2024-01-01T00:00:00Z", "2024-01-01")]


@pytest.mark.parametrize("rows", [1, MANY], ids=["few", "staged"])
@pytest.mark.parametrize("key", ["PRIMARY KEY (id)", "PRIMARY KEY (a, id)", "PRIMARY KEY (id, a)"])
def test_a_null_in_a_key_is_set_aside_beside_the_others(make_pair: Make, key: str, rows: int) -> None:
    """A row whose key holds a NULL names table and column, in every batch size, until it has a key."""
    pair = make_pair(f"CREATE TABLE t (id TEXT, a INT DEFAULT 0, v TEXT, {key}); INSERT INTO t VALUES ('a', 1, 'x')")
    pair.install()
    pair.sync()
    pair.insert("t", [(f"k{n}", n, "y") for n in range(rows)])
    pair.write("INSERT INTO t VALUES (NULL, 1, 'lost?')")
    pair.sync()
    assert [(table, column) for table, _, column in pair.quarantined()] == [("t", "id")]
    assert pair.target("SELECT count(*) FROM t") == [(rows + 1,)]
    pair.write("UPDATE t SET id = 'mended' WHERE id IS NULL")
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT count(*) FROM t") == [(rows + 2,)]
    assert pair.verify().equal


def test_a_null_in_a_key_is_set_aside_in_split_cycles(make_pair: Make) -> None:
    """Wherever the cycle ends in which the row arrives."""
    pair = make_pair("CREATE TABLE t (id TEXT PRIMARY KEY, v)", apply_max_keys=1)
    pair.install()
    pair.sync()
    pair.write("INSERT INTO t VALUES (NULL, 1)", *(f"INSERT INTO t VALUES ('k{n}', {n})" for n in range(5)))
    pair.sync()
    assert pair.quarantined() == [("t", "NULL", "id")]
    pair.write("DELETE FROM t WHERE id IS NULL")
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT count(*) FROM t") == [(5,)]


def test_a_collation_of_the_applications_own_outside_the_key_is_no_obstacle(make_pair: Make) -> None:
    """Only keys are looked up: other columns arrive whatever their order means to the application."""
    pair = make_pair("CREATE TABLE o (id INTEGER PRIMARY KEY)")
    pair.application.create_collation("backwards", lambda one, other: (one < other) - (one > other))
    pair.write("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT COLLATE backwards)")
    pair.insert("t", [(1, "b")])
    pair.install()
    pair.sync()
    pair.insert("t", [(2, "c")])
    pair.sync()
    assert pair.target("SELECT * FROM t ORDER BY k") == [(1, "b"), (2, "c")]
    assert pair.verify().equal

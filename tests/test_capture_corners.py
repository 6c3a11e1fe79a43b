"""Corners of SQLite's grammar: no trigger makes a statement fail, none misses a row, and what could is refused."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest
from test_capture import Captured

from cdcsync.edges import capture, triggers
from cdcsync.edges.schema import read_schema
from cdcsync.machine.check import check
from cdcsync.machine.context import Context
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

# What stands after DEFAULT, and whether SQLite 3.40 takes it. A bare or double-quoted word is a string there.
DEFAULTS = (
    *("pending", '"pending"', "[pending]", "`pending`", '"id"', "id", '"a ""b"""', "größe", "TRUE", "NULL"),
    *("'x'", "'it''s'", "''", "(lower('A'))", "('a' || 'b')", "CURRENT_TIMESTAMP", "current_date", "-5", "+3", "1e3"),
    *("0x1F", "x'00ff'", "(abs(-3))", "( 'a' ) /* why */", "'a' -- why\n"),
)


@pytest.mark.parametrize("default", DEFAULTS)
def test_a_default_of_any_form_makes_no_statement_fail(default: str) -> None:
    """With NOT NULL DEFAULT and UNIQUE, each statement the application may write works, and each victim is logged."""
    schema = f"CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT NOT NULL DEFAULT {default}, UNIQUE (s))"
    with contextlib.closing(sqlite3.connect(":memory:")) as probe:
        try:
            probe.execute(schema)
        except sqlite3.OperationalError:
            pytest.skip("this SQLite refuses the default itself")
    database = Captured(schema)
    database.run("INSERT INTO t (id) VALUES (1)")
    database.run("INSERT OR REPLACE INTO t (id, s) VALUES (2, NULL)")
    database.run("INSERT OR REPLACE INTO t (id, s) VALUES (3, NULL)")
    database.run("REPLACE INTO t (id) VALUES (4)")
    database.run("INSERT INTO t VALUES (5, 'other')")
    database.run("UPDATE OR REPLACE t SET s = NULL WHERE id = 5")
    if default != "NULL":
        assert database.connection.execute("SELECT id FROM t").fetchall() == [(5,)]


def test_the_oracle_finds_a_default_pasted_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a bare word in a body makes the statement fail that fires it; a column's name hides victims."""
    monkeypatch.setattr(triggers, "_default", lambda text: text)
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        test_a_default_of_any_form_makes_no_statement_fail("pending")
    with pytest.raises(AssertionError, match="without an entry"):
        test_a_default_of_any_form_makes_no_statement_fail('"id"')


def test_install_rehearses_its_triggers(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that would make the application's writes fail is found at install, and neither side changes."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT NOT NULL DEFAULT pending UNIQUE)")
    monkeypatch.setattr(triggers, "_default", lambda text: text)
    with pytest.raises(RefusedError, match="no such column: pending"):
        pair.install()
    assert pair.source("SELECT count(*) FROM sqlite_master WHERE name LIKE '%cdcsync%'") == [(0,)]
    assert pair.target("SELECT to_regclass('t'), to_regnamespace('cdcsync')") == [(None, None)]
    pair.write("INSERT INTO t (id) VALUES (1)")


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX u ON t (email) WHERE active = 1",
        "CREATE UNIQUE INDEX u ON t (email) WHERE active AND other IS NOT NULL",
        "CREATE UNIQUE INDEX u ON t (lower(email)) WHERE active = 1",
        "CREATE UNIQUE INDEX u ON t (coalesce(email, other), active)",
        "CREATE UNIQUE INDEX u ON t (email COLLATE NOCASE) WHERE other > active",
    ],
)
@pytest.mark.parametrize("keys", ["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY"])
def test_an_update_of_the_predicate_alone_logs_its_victim(keys: str, index: str) -> None:
    """A row that enters a partial index takes another's place there, though no indexed column changed."""
    database = Captured(f"CREATE TABLE t ({keys}, email TEXT, active INT, other INT);{index}")
    database.run("INSERT INTO t VALUES (1, 'a', 1, 5), (2, 'a', 0, NULL), (3, 'a', 0, NULL), (4, NULL, 0, 1)")
    for statement in ("active = 1", "other = 5", "active = 1, other = 5", "active = 0", "other = NULL"):
        for number in (2, 3, 1, 4):
            database.run(f"UPDATE OR REPLACE t SET {statement} WHERE id = {number}")


def test_the_oracle_finds_an_unwatched_predicate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: looking at the indexed columns alone misses a victim."""
    monkeypatch.setattr(triggers, "_may_collide", lambda _table: "old.email IS NOT new.email")
    with pytest.raises(AssertionError, match="without an entry"):
        test_an_update_of_the_predicate_alone_logs_its_victim(
            "id INTEGER PRIMARY KEY", "CREATE UNIQUE INDEX u ON t (email) WHERE active = 1"
        )


def test_a_lost_victim_of_a_partial_index_is_deleted_in_the_target(make_pair: Make) -> None:
    """The whole road: the row that the update displaced is gone on both sides."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, email TEXT, active INT);"
        "CREATE UNIQUE INDEX u ON t (email) WHERE active = 1; INSERT INTO t VALUES (1, 'a', 1), (2, 'a', 0)"
    )
    pair.install()
    pair.sync()
    pair.write("UPDATE OR REPLACE t SET active = 1 WHERE id = 2")
    pair.sync()
    assert pair.target("SELECT * FROM t") == pair.source("SELECT * FROM t") == [(2, "a", 1)]


@pytest.mark.parametrize(
    "unique",
    [
        "g TEXT AS (lower(a)) STORED UNIQUE",
        "g TEXT AS (lower(a)) VIRTUAL UNIQUE",
        "g TEXT AS (lower(a)), UNIQUE (g, a)",
    ],
)
def test_a_unique_index_on_a_generated_column_is_refused(make_pair: Make, unique: str) -> None:
    """SQLite hides its value from BEFORE triggers: check and install name table and index; skipped, all is well."""
    pair = make_pair(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, {unique}); CREATE TABLE o (id INTEGER PRIMARY KEY)"
    )
    with Context(pair.settings) as context:
        blocking = [(found.code, found.table) for found in check(context, _tick) if found.severity == "blocking"]
    assert blocking == [("generated_unique", "t")]
    with pytest.raises(RefusedError, match=r"unique index .* of t is on a generated column"):
        pair.install()
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []
    assert pair.target("SELECT to_regclass('o')") == [(None,)]
    tables = {"t": {"skip": True}}
    pair.settings = type(pair.settings)(**pair.settings.model_dump(exclude={"tables", "target_schema"}), tables=tables)
    pair.install()


def _tick(_table: str, _rows: int) -> None:
    """Nobody watches."""


def test_a_shadowed_rowid_beside_a_mapped_key_logs_victims(make_pair: Make) -> None:
    """rowid, _rowid_ and oid are columns and the key is another one: who loses the primary key's place is logged."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid INT, _rowid_ INT, oid INT, u TEXT NOT NULL UNIQUE);"
        "INSERT INTO t VALUES (1, 1, 1, 1, 'a'), (2, 2, 2, 2, 'b'), (3, 3, 3, 3, 'c')",
        tables={"t": {"key": ["u"]}},
    )
    pair.install()
    pair.sync()
    for statement in (
        "INSERT OR REPLACE INTO t VALUES (1, 9, 9, 9, 'd')",
        "INSERT OR REPLACE INTO t VALUES (2, 9, 9, 9, 'e')",
        "UPDATE OR REPLACE t SET id = 3, u = 'f' WHERE u = 'e'",
    ):
        pair.write(statement)
        pair.sync()
        assert pair.target("SELECT id, u FROM t ORDER BY id") == pair.source("SELECT id, u FROM t ORDER BY id")
    assert pair.target("SELECT id, u FROM t") == [(1, "d"), (3, "f")]


def test_a_shadowed_rowid_that_alone_changes_logs_its_victim(make_pair: Make) -> None:
    """An update of the primary key that leaves the mapped key alone displaces a row: it is deleted in the target."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, rowid INT, _rowid_ INT, oid INT, u TEXT NOT NULL UNIQUE);"
        "INSERT INTO t VALUES (1, 1, 1, 1, 'a'), (2, 2, 2, 2, 'b')",
        tables={"t": {"key": ["u"]}},
    )
    pair.install()
    pair.sync()
    pair.write("UPDATE OR REPLACE t SET id = 2 WHERE u = 'a'")
    pair.sync()
    assert pair.target("SELECT id, u FROM t") == [(2, "a")]


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX u ON t (lower(a), -- don't (\n b)",
        "CREATE UNIQUE INDEX u ON t (a /* , ( */, lower(b) /* x */)",
        "CREATE /* ( */ UNIQUE INDEX u -- on t (nothing)\n ON t (lower(a) -- lower\n COLLATE NOCASE /* ) */ DESC)",
        'CREATE UNIQUE INDEX "u(,)" ON t (lower(a) COLLATE "NOCASE", "b")',
        "CREATE UNIQUE INDEX u ON t (replace(a, '/*', ')'), b) -- the end",
    ],
)
def test_comments_in_an_index_are_no_part_of_it(index: str) -> None:
    """Comments with parentheses, commas and quotes in CREATE UNIQUE INDEX hide no victim and break no trigger."""
    database = Captured(f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);{index}")
    database.run("INSERT INTO t VALUES (1, 'a', 'b'), (2, 'c', 'd')")
    database.run("INSERT OR REPLACE INTO t VALUES (3, 'A', 'b')")
    database.run("INSERT OR REPLACE INTO t VALUES (4, 'a', 'b')")
    database.run("UPDATE OR REPLACE t SET a = 'a', b = 'b' WHERE id = 2")
    tables = read_schema(database.connection).tables
    capture.rehearse([(1, table, table.key) for table in tables])


OPERATORS = ("a || b", "a || '--' || b", "a ->> '$.x'", "a <= b", "a == b", "a <> b", "id << 2", "a != b", "1e3 + id")


@pytest.mark.parametrize(
    "expression",
    OPERATORS,
)
def test_an_index_on_an_expression_keeps_its_operators(expression: str) -> None:
    """Operators of two and three characters are one token: the trigger holds the expression as it was written."""
    database = Captured(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE UNIQUE INDEX u ON t ({expression})"
    )
    database.run("INSERT INTO t VALUES (1, '{}', 'b')")
    database.run("INSERT OR REPLACE INTO t VALUES (2, '{}', 'b')")
    database.run("UPDATE OR REPLACE t SET a = '{\"x\": 1}' WHERE id = 2")


def test_a_key_with_a_collation_of_the_applications_own_blocks(make_pair: Make) -> None:
    """The daemon could not look its rows up: install says so before anything changes."""
    pair = make_pair("CREATE TABLE o (id INTEGER PRIMARY KEY)")
    pair.application.create_collation("backwards", lambda one, other: (one < other) - (one > other))
    pair.write("CREATE TABLE t (k TEXT COLLATE backwards PRIMARY KEY, v TEXT COLLATE backwards)")
    pair.insert("t", [("a", "b"), ("c", "d")])
    with pytest.raises(RefusedError, match="key of t uses the collation backwards"):
        pair.install()
    assert pair.target("SELECT to_regclass('o')") == [(None,)]
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []


def test_check_lists_a_collation_of_the_applications_own(make_pair: Make) -> None:
    """The finding blocks, names table and column, and keeps no other finding from being told."""
    pair = make_pair("CREATE TABLE o (id INTEGER PRIMARY KEY)")
    pair.application.create_collation("backwards", lambda one, other: (one < other) - (one > other))
    pair.write("CREATE TABLE t (k TEXT COLLATE backwards PRIMARY KEY)")
    with Context(pair.settings) as context:
        blocking = [(f.code, f.table, f.column) for f in check(context, _tick) if f.severity == "blocking"]
    assert blocking == [("collation", "t", "k")]

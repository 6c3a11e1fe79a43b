"""Guarantee 2 at the triggers: statements end as they do without them, but for what any trigger changes in SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from support.oracle import Watched

from cdcsync.edges import capture
from cdcsync.edges.schema import read_schema

SPECIAL = ("x'00ff'", "x''", "9e999", "-9e999", "'{bad'", "char(0)", "zeroblob(5000)", "-0.0")


@pytest.mark.parametrize("value", SPECIAL)
@pytest.mark.parametrize("declared", ["TEXT", "BLOB", "REAL", "INT", "JSON", ""])
def test_b1_no_value_breaks_a_statement(declared: str, value: str) -> None:
    """BLOBs, infinities and text that is none, anywhere: json_object() would raise, and take the INSERT with it."""
    with Watched(
        f"CREATE TABLE t (k {declared} NOT NULL UNIQUE, u {declared} UNIQUE, v {declared}, g AS (u) UNIQUE)",
        "CREATE UNIQUE INDEX i ON t (u || v) WHERE v IS NOT NULL",
    ) as database:
        database.run(
            f"INSERT INTO t VALUES ({value}, {value}, {value})",
            f"REPLACE INTO t VALUES (1, {value}, NULL), (2, 3, {value})",
            f"UPDATE OR REPLACE t SET k = {value}, u = {value}",
            "DELETE FROM t",
        )


@pytest.mark.parametrize("index", ["(json_extract(body, '$.id'))", "(body ->> '$.id')", "(lower(body -> 'id'))"])
def test_b1_malformed_json_meets_the_applications_own_check(index: str) -> None:
    """The expression of an index on JSON would raise another error, before the CHECK is asked."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT CHECK (json_valid(body)))",
        f"CREATE UNIQUE INDEX i ON t {index}",
    ) as database:
        database.run(
            "INSERT INTO t VALUES (1, '{\"id\": 7}')",
            "INSERT INTO t VALUES (2, '{bad')",
            "INSERT OR IGNORE INTO t VALUES (2, '{bad')",
            "UPDATE t SET body = '{bad'",
            "REPLACE INTO t VALUES (3, '{\"id\": 7}')",
        )


def test_b1_malformed_json_outside_a_partial_index_is_no_error() -> None:
    """Its expression is asked of no row that the index does not hold."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, kind INT)",
        "CREATE UNIQUE INDEX i ON t (json_extract(body, '$.id')) WHERE json_valid(body)",
        "CREATE UNIQUE INDEX j ON t (body ->> '$.name') WHERE kind = '1'",
    ) as database:
        database.run(
            'INSERT INTO t VALUES (1, \'{"id": 7, "name": "a"}\', 1)',
            "INSERT INTO t VALUES (2, '{bad', 2)",
            "UPDATE t SET body = '{worse' WHERE id = 2",
            "REPLACE INTO t VALUES (3, '{\"id\": 7}', 3)",
            'UPDATE OR REPLACE t SET body = \'{"id": 7, "name": "a"}\', kind = 1 WHERE id = 2',
        )


def _captured(*schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for text in schema:
        connection.execute(text)
    tables = read_schema(connection).tables
    for text in capture.statements([(number, table, table.key) for number, table in enumerate(tables, 1)]):
        connection.execute(text)
    return connection


def test_a_schema_nobody_trusts_keeps_its_triggers_working() -> None:
    """With trusted_schema off a trigger may use harmless functions only."""
    with closing(
        _captured("CREATE TABLE t (id TEXT PRIMARY KEY, v REAL NOT NULL DEFAULT 1, g INT AS (v = '1') UNIQUE)")
    ) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("INSERT INTO t (id) VALUES ('a')")
        connection.execute("REPLACE INTO t VALUES ('b', NULL)")
        connection.execute("UPDATE t SET id = 'c', v = 2")
        connection.execute("DELETE FROM t")
        assert connection.execute("SELECT count(DISTINCT k1) FROM _cdcsync_log").fetchone() == (3,)


def test_b3_a_renamed_column_or_table_goes_on_being_captured() -> None:
    """SQLite rewrites our triggers; what they compute from the arriving row has names of its own."""
    with closing(
        _captured(
            "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x', b INT, g TEXT AS (lower(a)) UNIQUE)",
            "CREATE UNIQUE INDEX i ON t (a || b) WHERE b = '1'",
        )
    ) as connection:
        for statement in (
            "INSERT INTO t VALUES ('k', 'X', 1)",
            "ALTER TABLE t RENAME COLUMN a TO b2",
            "ALTER TABLE t RENAME COLUMN b TO a",
            "ALTER TABLE t RENAME TO other",
            "ALTER TABLE other RENAME COLUMN id TO the_id",
            "ALTER TABLE other ADD COLUMN more",
            "DELETE FROM _cdcsync_log",
            "REPLACE INTO other (the_id, b2) VALUES ('l', NULL)",
        ):
            connection.execute(statement)
        assert connection.execute("SELECT the_id FROM other").fetchall() == [("l",)]
        assert connection.execute("SELECT DISTINCT k1 FROM _cdcsync_log ORDER BY 1").fetchall() == [("k",), ("l",)]


BROKEN_REFERENCE = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, code)",
    "CREATE TABLE child (id INTEGER PRIMARY KEY, code REFERENCES parent (code))",
    "PRAGMA foreign_keys = ON",
)
# What SQLite does otherwise as soon as a table has triggers, whoever made them: see triggers/README.md.
ANY_TRIGGERS = {
    "a foreign key to columns that are not unique": (*BROKEN_REFERENCE, "INSERT INTO parent VALUES (1, 'a')"),
    "a STRICT type before a conflict": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT) STRICT",
        "INSERT INTO t VALUES (1, 1)",
        "INSERT OR IGNORE INTO t VALUES (1, 'no number')",
    ),
    "rows before a datatype mismatch": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "BEGIN",
        "INSERT OR FAIL INTO t VALUES (1, 1), ('no number', 2)",
    ),
    "the order of an UPDATE": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, place INT UNIQUE, v UNIQUE)",
        "INSERT INTO t VALUES (1, 20, 'a'), (2, 10, 'b')",
        "UPDATE OR IGNORE t SET v = 'c' WHERE place > 5",
    ),
    "a foreign key that SQLite overlooks": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up TEXT REFERENCES t ON DELETE SET NULL)",
        "PRAGMA foreign_keys = ON",
        "REPLACE INTO t VALUES (1, 2)",
    ),
    "a source that a cascade changes": (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, p REFERENCES parent ON DELETE CASCADE)",
        "PRAGMA foreign_keys = ON",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO child VALUES (1, 2), (2, 2), (3, 1)",
        "REPLACE INTO parent SELECT p, 'c' FROM child",
    ),
}


@pytest.mark.parametrize("what", ANY_TRIGGERS)
def test_what_any_trigger_changes_is_no_more_than_that(what: str) -> None:
    """The oracle answers for it that triggers which only write elsewhere do the same."""
    *statements, last = ANY_TRIGGERS[what]
    schema = [one for one in statements if one.startswith(("CREATE", "PRAGMA"))]
    with Watched(*schema) as database:
        database.run(*(one for one in statements if one not in schema), last)
        assert database.swapped() == 1


def test_a_refused_foreign_key_leaves_another_last_insert_rowid() -> None:
    """With any trigger the row is inserted before the foreign key is asked: the statement fails all the same."""
    with closing(
        _captured("CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p)")
    ) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            connection.execute("INSERT INTO c VALUES (70, 5)")
        assert connection.execute("SELECT last_insert_rowid(), changes()").fetchone() == (70, 0)
        assert connection.execute("SELECT count(*) FROM _cdcsync_log").fetchone() == (0,)

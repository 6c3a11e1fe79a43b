"""A cascade runs before its parent's AFTER triggers, and RAISE(FAIL) in it ends the statement: what changed stays."""

from __future__ import annotations

import pytest
from support.oracle import Watched

FOREIGN_KEYS = "PRAGMA foreign_keys = ON"
STOP = "CREATE TRIGGER stop AFTER %s ON c BEGIN SELECT RAISE(FAIL, 'no'); END"
CHILD = "CREATE TABLE c (id INTEGER PRIMARY KEY, p%s REFERENCES p (%s) ON UPDATE CASCADE ON DELETE CASCADE)"
HOLDS = ("INSERT INTO p (%s) VALUES (%s)", "INSERT INTO c VALUES (1, %s)")


@pytest.mark.parametrize(
    ("parent", "column", "before", "after"),
    [
        ("CREATE TABLE p (id INTEGER PRIMARY KEY, v)", "id", "1", "2"),
        ("CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)", "v", "'a'", "'b'"),
        ("CREATE TABLE p (id TEXT PRIMARY KEY, v)", "id", "'a'", "'A'"),
        ("CREATE TABLE p (id TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID", "id", "'a'", "'A'"),
        ("CREATE TABLE p (id TEXT PRIMARY KEY, v) WITHOUT ROWID", "id", "'05'", "'07'"),
        ("CREATE TABLE p (v UNIQUE, w)", "v", "'a'", "'b'"),
    ],
    ids=["rowid", "unique column", "text", "case", "number in text", "no key"],
)
@pytest.mark.parametrize("indexed", ["", " INTEGER UNIQUE"], ids=["", "indexed child"])
def test_an_update_that_a_cascade_stops_is_logged(
    parent: str, column: str, before: str, after: str, indexed: str
) -> None:
    """By the key the row had and the one it got."""
    if indexed and before == "'a'":
        indexed = " TEXT UNIQUE"
    child = CHILD % (indexed, column)
    with Watched(parent, child, STOP % "UPDATE", FOREIGN_KEYS) as watched:
        watched.run(HOLDS[0] % (column, before), HOLDS[1] % before)
        entries = watched.entries()
        watched.run(f"UPDATE p SET {column} = {after}")
        assert watched.rows(f"SELECT {column} IS {after} FROM p") == [(1,)], "the change stayed"
        assert watched.entries() > entries


def test_a_generated_key_that_a_cascade_stops_is_logged() -> None:
    """BEFORE triggers see no generated column of the arriving row: it is computed."""
    parent = "CREATE TABLE p (a TEXT NOT NULL, g TEXT NOT NULL AS (a || 'x') STORED UNIQUE)"
    with Watched(parent, CHILD % ("", "g"), STOP % "UPDATE", FOREIGN_KEYS) as watched:
        watched.run("INSERT INTO p (a) VALUES ('a')", "INSERT INTO c VALUES (1, 'ax')", "UPDATE p SET a = 'b'")
        assert watched.rows("SELECT g FROM p") == [("bx",)]


@pytest.mark.parametrize("key", ["", "id INTEGER PRIMARY KEY, "], ids=["no key", "key"])
@pytest.mark.parametrize("statement", ["DELETE FROM p", "REPLACE INTO p (v) VALUES ('a')"])
def test_a_delete_that_a_cascade_stops_is_logged(key: str, statement: str) -> None:
    """The row is gone, and its REPLACE left nothing in its place."""
    with Watched(f"CREATE TABLE p ({key}v UNIQUE)", CHILD % ("", "v"), STOP % "DELETE", FOREIGN_KEYS) as watched:
        watched.run(HOLDS[0] % ("v", "'a'"), HOLDS[1] % "'a'")
        entries = watched.entries()
        watched.run(statement)
        assert watched.rows("SELECT * FROM p") == []
        assert watched.entries() > entries


def test_an_insert_that_changes_nothing_marks_no_table_without_a_unique_index() -> None:
    """A marker has the table copied whole: only what may displace a row is marked before it is known to arrive."""
    with Watched("CREATE TABLE p (v NOT NULL, w)") as watched:
        watched.run("INSERT INTO p VALUES (1, 2)")
        entries = watched.entries()
        watched.run("INSERT OR IGNORE INTO p VALUES (NULL, 1)")
        assert watched.entries() == entries

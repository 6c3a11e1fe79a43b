"""What `plan` says about queries that will behave otherwise."""

from __future__ import annotations

import sqlite3

from support.ddl import mapping

from cdcsync.core.ddl import differences
from cdcsync.core.plan import table_plans
from cdcsync.edges.schema import read_schema


def named(script: str, **tables: object) -> list[tuple[str, str]]:
    """Return where the queries of a schema will behave otherwise."""
    with sqlite3.connect(":memory:") as source:
        source.executescript(script)
        schema = read_schema(source)
    source.close()
    found = differences(table_plans(schema, mapping(tables), {}))
    assert all(one.reason and one.suggestion for one in found)
    return [(one.table, one.what) for one in found]


ALWAYS = [("all tables", "LIKE"), ("all tables", "ORDER BY")]


def test_a_column_without_case_is_named() -> None:
    """Equality and order of NOCASE and RTRIM columns are not PostgreSQL's; other types have neither."""
    columns = "a TEXT COLLATE nocase UNIQUE, b TEXT COLLATE RTRIM, c INT COLLATE NOCASE"
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})"
    assert named(script) == [("t", "column a COLLATE NOCASE"), ("t", "column b COLLATE RTRIM"), *ALWAYS]


def test_texts_that_are_ordered_by_bytes_are_named() -> None:
    """Keys and indexed columns are those that queries order by."""
    script = "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT, b TEXT, c INT, u TEXT);"
    script += "CREATE INDEX i ON t (a, c); CREATE INDEX j ON t (u)"
    assert named(script, t={"columns": {"u": "uuid"}}) == [("t", "order of id, a"), *ALWAYS]


def test_a_foreign_key_to_a_parent_without_case_is_named() -> None:
    """SQLite finds the parent without case, PostgreSQL does not."""
    script = "CREATE TABLE p (id TEXT PRIMARY KEY COLLATE NOCASE); CREATE TABLE c (p TEXT REFERENCES p)"
    assert ("c", "foreign key (p) to p (id)") in named(script)


def test_nothing_is_said_of_what_is_not_there() -> None:
    """Without texts LIKE does not differ, and without tables nothing does."""
    assert named("CREATE TABLE t (id INTEGER PRIMARY KEY)") == [("all tables", "ORDER BY")]
    assert named("CREATE VIEW v AS SELECT 1") == []

"""The target's DDL of a real SQLite schema, and rows of many kinds on which both databases judge expressions."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from psycopg import sql

from cdcsync.core.codecs import codec_for
from cdcsync.core.ddl import target_ddl
from cdcsync.core.plan import table_plans
from cdcsync.core.sqltext.declarations import declarations
from cdcsync.core.sqltext.scope import Scope
from cdcsync.edges.schema import read_schema
from cdcsync.words.nouns import NotCarried, StorageClass, TablePlan, TargetStatement, Value
from cdcsync.words.settings import Settings

if TYPE_CHECKING:
    import psycopg

Built = tuple[tuple[TargetStatement, ...], tuple[NotCarried, ...]]
STORAGE: dict[type, StorageClass] = {
    int: "integer",
    float: "real",
    str: "text",
    bytes: "blob",
    type(None): "null",
}


def mapping(tables: dict[str, Any]) -> Settings:
    """Return settings that map tables."""
    return Settings.model_validate({"tables": tables})


def build(script: str, **tables: object) -> Built:
    """Build the target of a real SQLite database made by `script`, with a mapping of its tables."""
    with sqlite3.connect(":memory:") as source:
        source.executescript(script)
        schema = read_schema(source)
    source.close()
    plans = table_plans(schema, mapping(tables), {})
    return target_ddl(schema, plans, "app")


def texts(built: Built, *phases: str) -> list[str]:
    """Return the statements of some phases."""
    return [statement.sql for statement in built[0] if statement.phase in phases]


def names(built: Built, *phases: str) -> list[str]:
    """Return the names of the statements of some phases."""
    return [statement.name for statement in built[0] if statement.phase in phases]


def execute(postgres: psycopg.Connection, built: Built) -> None:
    """Run every statement."""
    for statement in built[0]:
        postgres.execute(sql.SQL(statement.sql))


SAMPLE = """CREATE TABLE s (
    k INTEGER PRIMARY KEY, t TEXT, n TEXT COLLATE NOCASE, v TEXT COLLATE RTRIM, i INT, j INT, r REAL,
    b BOOLEAN, d DATE, ts DATETIME, ts2 DATETIME, e INT, ms INT, u TEXT, num DECIMAL(10,2), x BLOB,
    "end" INT, js JSON
)"""
IDS = ("0e37df36-f698-11e6-8dd4-cb9ced3df976", "ffffffff-f698-11e6-8dd4-cb9ced3df976")
NOON, LATER = "2024-01-02T12:00:00Z", "2024-01-02T12:00:01Z"
ROWS: list[tuple[Value, ...]] = [
    (
        "abc",
        "Abc",
        "abc ",
        5,
        2,
        1.5,
        1,
        "2024-01-02",
        NOON,
        LATER,
        10,
        10500,
        IDS[0],
        "1.50",
        b"ab",
        3,
        "{}",
    ),
    (None,) * 17,
    ("", "", "", 0, 0, 0.0, 0, "1999-12-31", NOON, NOON, 0, 0, IDS[1], "0", b"", 0, "[]"),
    (
        "ABC",
        "aBC",
        "ABC",
        -7,
        3,
        -2.25,
        1,
        "2024-01-03",
        LATER,
        NOON,
        -1,
        -1,
        IDS[0],
        "-3.25",
        b"\xff",
        9,
        "1",
    ),
    ("éÀz_%\\", "ÉX", "5 ", 5, -3, 3.0, 0, "2024-02-01", NOON, None, 7, 7000, None, "7", b"x", 5, '"x"'),
    ("a]b^c-d", "user@x.org", "x", 1, 1, 0.5, 1, "2024-02-01", None, NOON, 1, 1, None, "0.5", b"a", 2, None),
    ("line\nbreak", "b", "B", 100, 7, 1e10, 0, None, None, None, None, None, None, None, None, None, None),
]
SAMPLE_TYPES = {
    "u": "uuid",
    "e": {"type": "timestamptz", "format": "epoch_s"},
    "ms": {"type": "timestamptz", "format": "epoch_ms"},
}


def sample() -> tuple[sqlite3.Connection, TablePlan, Scope]:
    """Return rows of many kinds in SQLite, and the plan of their table."""
    source = sqlite3.connect(":memory:")
    source.execute(SAMPLE)
    source.executemany(f"INSERT INTO s VALUES (NULL{', ?' * 17})", ROWS)
    plan = table_plans(read_schema(source), mapping({"s": {"columns": SAMPLE_TYPES}}), {})[0]
    collations = {d.column or "": d.text for d in declarations(SAMPLE) if d.kind == "collate"}
    return source, plan, Scope(plan, collations)


def on_both_sides(postgres: psycopg.Connection) -> tuple[sqlite3.Connection, Scope]:
    """Make the table of the sample with its rows in PostgreSQL too; return the source, and what its names mean."""
    source, plan, scope = sample()
    postgres.execute(sql.SQL(target_ddl(read_schema(source), [plan], "app")[0][0].sql))
    values = ", ".join(f"%s::{column.type_sql}" for column in plan.columns)
    for row in source.execute("SELECT * FROM s").fetchall():
        postgres.execute(f"INSERT INTO s VALUES ({values})", arrived(plan, row))
    return source, scope


def arrived(plan: TablePlan, row: tuple[Value, ...]) -> list[object]:
    """Return a row as PostgreSQL reads it."""
    codecs = [codec_for(column, key=False) for column in plan.columns]
    sent = [codec.one(STORAGE[type(value)], value) for codec, value in zip(codecs, row, strict=True)]
    return [None if value is None else codec.text(value) for codec, value in zip(codecs, sent, strict=True)]

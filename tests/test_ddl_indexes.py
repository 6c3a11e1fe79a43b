"""Indexes, and what they keep unique."""

from __future__ import annotations

import sqlite3

import psycopg
from support.ddl import build, execute, mapping, texts

from cdcsync.core.ddl import target_ddl
from cdcsync.core.plan import table_plans
from cdcsync.edges.schema import read_schema


def test_nocase_stays_unique_for_ascii_only(postgres: psycopg.Connection) -> None:
    """Where SQLite ignores case, PostgreSQL refuses the same values and takes the same values."""
    script = (
        "CREATE TABLE t (a TEXT PRIMARY KEY COLLATE NOCASE, b TEXT UNIQUE COLLATE RTRIM, c INT UNIQUE COLLATE NOCASE)"
    )
    built = build(script)
    assert texts(built, "unique") == [
        'ALTER TABLE "app"."t" ADD CONSTRAINT "t_c_key" UNIQUE ("c")',
        'CREATE UNIQUE INDEX "t_b_key" ON "app"."t" (rtrim("b", \' \'))',
        'CREATE UNIQUE INDEX "t_a_key" ON "app"."t" (lower("a" COLLATE "C"))',
    ]
    execute(postgres, built)
    source = sqlite3.connect(":memory:")
    source.execute(script)
    for row in [
        ("abc", "x", 1),
        ("ABC", "y", 2),
        ("é", "x ", 3),
        ("é", "z", 4),
        ("É", "X", 5),
        ("q", "p", 1),
    ]:
        taken = []
        for execute_on in (source.execute, postgres.execute):
            mark = "?, ?, ?" if execute_on == source.execute else "%s, %s, %s"
            try:
                execute_on(f"INSERT INTO t VALUES ({mark})", row)
                taken.append(True)
            except (sqlite3.IntegrityError, psycopg.errors.UniqueViolation):
                taken.append(False)
        assert taken[0] == taken[1], row
    source.close()


def test_indexes() -> None:
    """Partial, expression and descending indexes are carried; lower() is exact where uniqueness needs it."""
    built = build(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT, at DATETIME, j JSON);"
        "CREATE UNIQUE INDEX u1 ON t (lower(a) DESC, b) WHERE b > 0;"
        "CREATE UNIQUE INDEX u2 ON t (a, coalesce(at, ''));"
        "CREATE UNIQUE INDEX u3 ON t (json_extract(j, '$.x'));"
        "CREATE INDEX i1 ON t (lower(a), b DESC);"
        "CREATE INDEX i2 ON t (a COLLATE NOCASE, b + 1);"
        "CREATE INDEX i3 ON t (json_extract(j, '$.x[0].y'));"
        "CREATE INDEX i4 ON t (b) WHERE typeof(b) = round(b)"
    )
    assert sorted(texts(built, "unique", "index")) == [
        'CREATE INDEX "i1" ON "app"."t" (lower("a"), "b" DESC)',
        'CREATE INDEX "i2" ON "app"."t" (lower("a" COLLATE "C"), ("b" + 1))',
        'CREATE INDEX "i3" ON "app"."t" (("j" #>> ARRAY[\'x\', \'0\', \'y\']))',
        'CREATE UNIQUE INDEX "u1" ON "app"."t" (lower("a" COLLATE "C") DESC, "b") WHERE "b" > 0',
    ]
    assert sorted(left.what for left in built[1]) == ["index i4", "index u2", "index u3"]


def test_collation_of_the_application() -> None:
    """A collation PostgreSQL does not know is listed, and the index compares bytes."""
    source = sqlite3.connect(":memory:")
    source.create_collation("german", lambda a, b: (a > b) - (a < b))
    source.execute("CREATE TABLE t (a TEXT, b TEXT COLLATE german UNIQUE)")
    schema = read_schema(source)
    source.close()
    built = target_ddl(schema, table_plans(schema, mapping({}), {}), "app")
    assert texts(built, "unique") == ['ALTER TABLE "app"."t" ADD CONSTRAINT "t_b_key" UNIQUE ("b")']
    assert [left.what for left in built[1]] == ["collation german of UNIQUE (b)"]

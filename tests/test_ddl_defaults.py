"""Defaults: said in PostgreSQL for the column's type, or listed."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING

import pytest
from support.ddl import build, execute, texts

if TYPE_CHECKING:
    import psycopg


TIMES = """
CREATE TABLE times (
    id TEXT PRIMARY KEY DEFAULT (lower(hex(randomblob(16)))),
    t1 TEXT DEFAULT (datetime('now')), t2 TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    t3 TEXT DEFAULT CURRENT_DATE, t4 TEXT DEFAULT CURRENT_TIME, t5 TEXT DEFAULT (strftime('%d.%m.%Y %% %j')),
    n1 INTEGER DEFAULT (unixepoch()), n2 INTEGER DEFAULT (strftime('%s', 'now')),
    n3 INTEGER DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    n4 INTEGER DEFAULT (unixepoch() * 1000), r REAL DEFAULT (julianday('now')),
    w DATETIME DEFAULT (datetime('now', '+2 hours')), d DATE DEFAULT (date('now')), "end" INTEGER,
    CHECK (w IS NULL OR n1 > 0), CHECK ("end" > 0)
);
"""


def test_present_moments_read_alike(postgres: psycopg.Connection) -> None:
    """Defaults that ask for the time give text of the same form and numbers of the same moment."""
    with sqlite3.connect(":memory:") as source:
        source.executescript(TIMES)
        source.execute("INSERT INTO times (w) VALUES (NULL)")
        wanted = source.execute("SELECT id, t1, t2, t3, t4, t5, n1, n2, n3, n4, r FROM times").fetchone()
    source.close()
    execute(postgres, build(TIMES))
    postgres.execute("INSERT INTO times DEFAULT VALUES")
    got = postgres.execute("SELECT id, t1, t2, t3, t4, t5, n1, n2, n3, n4, r FROM times").fetchone()
    assert got is not None
    for there, here in zip(wanted[:6], got[:6], strict=True):
        assert re.sub("[0-9a-f]", "9", there) == re.sub("[0-9a-f]", "9", here)
    assert wanted[1][:10] == got[1][:10] == got[3]
    for there, here in zip(wanted[6:10], got[6:10], strict=True):
        assert there == pytest.approx(here, abs=30_000)
    assert wanted[10] == pytest.approx(got[10], abs=1e-3)
    moved = postgres.execute("SELECT w - now() > '119 minutes', d = (now() AT TIME ZONE 'UTC')::date FROM times")
    assert moved.fetchone() == (True, True)


UUID4 = (
    "(lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)),2) || "
    "'-' || substr('89ab',abs(random()) % 4 + 1, 1) || substr(hex(randomblob(2)),2) || '-' || "
    "hex(randomblob(6))))"
)
DEFAULTS = [
    ("BOOLEAN", "0", "false"),
    ("BOOLEAN", "TRUE", "true"),
    ("BOOLEAN", "'false'", "false"),
    ("TEXT", "'it''s'", "'it''s'"),
    ("TEXT", '"user"', "'user'"),
    ("TEXT", "Draft", "'Draft'"),
    ("TEXT", "5", "'5'"),
    ("TEXT", "('a' || 'b')", "'a' || 'b'"),
    ("TEXT", r"'a\b'", r"E'a\\b'"),
    ("TEXT", UUID4, "CAST(gen_random_uuid() AS text)"),
    ("UUID", UUID4, "gen_random_uuid()"),
    ("UUID", "(lower(hex(randomblob(16))))", "gen_random_uuid()"),
    ("INTEGER", "-5", "-5"),
    ("INTEGER", "(-5)", "-5"),
    ("INTEGER", "'7'", "7"),
    ("INTEGER", "1.0", "1"),
    (
        "INTEGER",
        "(CAST(unixepoch('subsec') * 1000 AS INT))",
        "CAST(floor(extract(epoch FROM CURRENT_TIMESTAMP) * 1000) AS bigint)",
    ),
    ("REAL", "(unixepoch('now', 'subsec'))", "round(extract(epoch FROM CURRENT_TIMESTAMP), 3)"),
    ("TEXT", "(1 + 2)", "'3'"),
    (
        "TEXT",
        "('u_' || lower(hex(randomblob(4))))",
        "'u_' || encode(substr(sha256(uuid_send(gen_random_uuid())), 1, 4), 'hex')",
    ),
    ("TEXT", "(hex(randomblob(16)))", "upper(replace(CAST(gen_random_uuid() AS text), '-', ''))"),
    ("BLOB", "(randomblob(4))", "substr(sha256(uuid_send(gen_random_uuid())), 1, 4)"),
    ("INTEGER", "0x1F", "31"),
    ("INTEGER", "0xFFFFFFFFFFFFFFFF", "-1"),
    ("INTEGER", "9223372036854775807", "9223372036854775807"),
    ("INTEGER", "(60 * 60 * 24 * 365 * 100)", "3153600000"),
    ("INTEGER", "NULL", None),
    (
        "INTEGER",
        "(strftime('%Y', 'now'))",
        "CAST(to_char(CURRENT_TIMESTAMP AT TIME ZONE 'UTC', 'YYYY') AS bigint)",
    ),
    (
        "INTEGER",
        "(CAST(strftime('%s', 'now') AS INT))",
        "CAST(floor(extract(epoch FROM CURRENT_TIMESTAMP)) AS bigint)",
    ),
    ("REAL", "1", "1.0"),
    ("NUMERIC(5,2)", "1.5", "1.5"),
    ("BLOB", "x'00FF'", r"'\x00ff'::bytea"),
    ("JSON", "'{\"a\": 1}'", "'{\"a\": 1}'"),
    ("JSON", "(json_array())", "'[]'"),
    ("DATETIME", "CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
    ("DATETIME", "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) /* utc */", "CURRENT_TIMESTAMP"),
    ("DATETIME", "'2024-01-01 00:00:00'", "'2024-01-01 00:00:00+00:00'"),
    ("DATETIME", "(datetime('now', '+7 days'))", "(CURRENT_TIMESTAMP + INTERVAL '604800 seconds')"),
    ("DATE", "(date('now'))", "CAST(CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS date)"),
]


@pytest.mark.parametrize(("declared", "default", "wanted"), DEFAULTS)
def test_default(declared: str, default: str, wanted: str | None, postgres: psycopg.Connection) -> None:
    """A default is said in PostgreSQL for the column's type, and PostgreSQL takes it."""
    built = build(f"CREATE TABLE t (c {declared} DEFAULT {default})")
    prefix = 'ALTER TABLE "app"."t" ALTER COLUMN "c" SET DEFAULT '
    assert texts(built, "default") == ([] if wanted is None else [prefix + wanted])
    assert built[1] == ()
    execute(postgres, built)
    postgres.execute("INSERT INTO t DEFAULT VALUES")


@pytest.mark.parametrize(
    ("declared", "default", "reason"),
    [
        ("BOOLEAN", "2", "neither 0 nor 1"),
        ("DATETIME", "''", "no ISO-8601 time"),
        ("DATETIME", "CURRENT_TIME", "does not fit"),
        ("DATETIME", "(datetime('now', 'localtime'))", "localtime"),
        ("INTEGER", "'abc'", "storage class text"),
        ("INTEGER", "CURRENT_TIMESTAMP", "as text in a column of numbers"),
        ("INTEGER", "(julianday('now'))", "keep the fraction"),
        ("INTEGER", "(unixepoch('now', 'subsec'))", "keep the fraction"),
        ("TEXT", "(datetime('now', 'utc'))", "'utc'"),
        ("INTEGER", "9e999", "storage class real"),
        ("INTEGER", "(- -5)", "no single expression"),
        ("TEXT", "(-'abc')", "is used as a number"),
        ("TEXT", "(lower(hex(randomblob(64))))", "no random value"),
        ("TEXT", "9223372036854775808", "digits of its own"),
        ("TEXT", f"('a-' || {UUID4})", "counts from the end"),
        ("TEXT", "(strftime('%w', 'now'))", "no equivalent in to_char"),
        ("TEXT", "(printf('%d', 1))", "no sure equivalent"),
        ("JSON", "'{'", "Expecting property name"),
        ("UUID", "''", "no UUID"),
        ("BLOB", "''", "storage class text"),
    ],
)
def test_default_that_is_not_carried(declared: str, default: str, reason: str) -> None:
    """A default without equivalent is listed with its reason and a way out."""
    statements, left = build(f"CREATE TABLE t (c {declared} DEFAULT {default})")
    assert [statement.phase for statement in statements] == ["table"]
    assert reason in left[0].reason
    assert left[0].suggestion


RANDOM = [
    ("TEXT", UUID4, "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    ("TEXT", "(lower(hex(randomblob(20))))", "[0-9a-f]{40}"),
    ("TEXT", "('k' || hex(randomblob(32)))", "k[0-9A-F]{64}"),
    ("INTEGER", "(random())", "-?[0-9]+"),
    ("INTEGER", "(abs(random()) % 10)", "[0-9]"),
    ("BLOB", "(randomblob(16))", r"\\x[0-9a-f]{32}"),
]


@pytest.mark.parametrize(("declared", "default", "form"), RANDOM)
def test_random_defaults_differ_and_have_their_form(
    declared: str, default: str, form: str, postgres: psycopg.Connection
) -> None:
    """Each row gets a value of its own in the form that SQLite gives it."""
    execute(postgres, build(f"CREATE TABLE t (c {declared} DEFAULT {default})"))
    postgres.execute("INSERT INTO t SELECT FROM generate_series(1, 2)")
    values = [value for (value,) in postgres.execute("SELECT c::text FROM t")]
    assert all(re.fullmatch(form, value) for value in values), values
    assert len({*values}) == 2 or form == "[0-9]"


def test_default_of_the_mapping() -> None:
    """The mapping's default and check are taken verbatim in place of the source's at that column."""
    column = {"default": "now()", "check": "c < now() + '{1}'::text::interval"}
    built = build("CREATE TABLE t (c DATETIME DEFAULT 'odd' CHECK (c <> ''))", t={"columns": {"c": column}})
    assert texts(built, "default", "check") == [
        'ALTER TABLE "app"."t" ALTER COLUMN "c" SET DEFAULT now()',
        'ALTER TABLE "app"."t" ADD CONSTRAINT "t_c_check" CHECK (c < now() + \'{1}\'::text::interval)',
    ]
    assert [left.reason for left in built[1]] == ["the mapping gives c a check of its own"]

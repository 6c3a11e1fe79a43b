"""The text of the triggers: complete, for some tables, and of an age that every application's SQLite understands."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.oracle import SHARING, Game
from support.oracle_sides import Plan, RefusedSchemaError, Side

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import capture, triggers
from cdcsync.edges.schema import read_schema

if TYPE_CHECKING:
    from cdcsync.edges.triggers import Captured

CHANGELOG = """
CREATE TABLE _cdcsync_log (seq INTEGER PRIMARY KEY, tbl, at, {keys});
CREATE TABLE _cdcsync_meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""

USERS = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT COLLATE NOCASE UNIQUE, name TEXT)"
USERS_CAPTURED = """
CREATE TRIGGER "_cdcsync_1_after_insert" AFTER INSERT ON "users" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) VALUES (1, julianday('now'), new."id");
END;
CREATE TRIGGER "_cdcsync_1_after_update" AFTER UPDATE ON "users" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) VALUES (1, julianday('now'), new."id");
END;
CREATE TRIGGER "_cdcsync_1_before_delete" BEFORE DELETE ON "users" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) VALUES (1, julianday('now'), old."id");
END;
CREATE TRIGGER "_cdcsync_1_before_update" BEFORE UPDATE ON "users"
WHEN old."id" COLLATE BINARY IS NOT new."id" COLLATE BINARY OR typeof(old."id") <> typeof(new."id")
  OR old."email" COLLATE BINARY IS NOT new."email" COLLATE BINARY BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), old."id"
    WHERE old."id" COLLATE BINARY IS NOT new."id" COLLATE BINARY OR typeof(old."id") <> typeof(new."id")
    OR old."email" COLLATE BINARY IS NOT new."email" COLLATE BINARY;
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), new."id"
    WHERE old."id" COLLATE BINARY IS NOT new."id" COLLATE BINARY OR typeof(old."id") <> typeof(new."id");
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."id"
    FROM "users" AS victim WHERE victim."email" = new."email" COLLATE "NOCASE" AND victim.rowid <> old.rowid;
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."id"
    FROM "users" AS victim WHERE victim.rowid = new.rowid AND victim.rowid <> old.rowid;
END;
CREATE TRIGGER "_cdcsync_1_before_insert" BEFORE INSERT ON "users" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."id"
    FROM "users" AS victim WHERE victim."email" = new."email" COLLATE "NOCASE";
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."id"
    FROM "users" AS victim WHERE victim.rowid = new.rowid;
END;
"""

PRICES = """CREATE TABLE "price list" (
  sku TEXT NOT NULL DEFAULT 'none', country TEXT COLLATE NOCASE, cents INT UNIQUE ON CONFLICT REPLACE,
  PRIMARY KEY (country, sku)
) WITHOUT ROWID"""
PRICES_CAPTURED = """
CREATE TRIGGER "_cdcsync_1_after_insert" AFTER INSERT ON "price list" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) VALUES (1, julianday('now'), new."country", new."sku");
END;
CREATE TRIGGER "_cdcsync_1_after_update" AFTER UPDATE ON "price list" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) VALUES (1, julianday('now'), new."country", new."sku");
END;
CREATE TRIGGER "_cdcsync_1_before_delete" BEFORE DELETE ON "price list" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) VALUES (1, julianday('now'), old."country", old."sku");
END;
CREATE TRIGGER "_cdcsync_1_before_update" BEFORE UPDATE ON "price list"
WHEN old."country" COLLATE BINARY IS NOT new."country" COLLATE BINARY OR typeof(old."country") <> typeof(new."country")
  OR old."sku" COLLATE BINARY IS NOT new."sku" COLLATE BINARY OR typeof(old."sku") <> typeof(new."sku")
  OR old."cents" COLLATE BINARY IS NOT new."cents" COLLATE BINARY
  OR CAST(new."country" AS NUMERIC) = new."country" OR CAST(new."sku" AS NUMERIC) = new."sku" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), old."country", old."sku"
    WHERE old."country" COLLATE BINARY IS NOT new."country" COLLATE BINARY
    OR typeof(old."country") <> typeof(new."country")
    OR old."sku" COLLATE BINARY IS NOT new."sku" COLLATE BINARY OR typeof(old."sku") <> typeof(new."sku")
    OR old."cents" COLLATE BINARY IS NOT new."cents" COLLATE BINARY;
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), new."country",
    (SELECT coalesce(new."sku", ('none')) WHERE typeof(coalesce(new."sku", ('none'))) = 'blob'
      UNION ALL
      SELECT CAST(coalesce(new."sku", ('none')) AS TEXT) WHERE typeof(coalesce(new."sku", ('none'))) <> 'blob')
    WHERE old."country" COLLATE BINARY IS NOT new."country" COLLATE BINARY
    OR typeof(old."country") <> typeof(new."country")
    OR old."sku" COLLATE BINARY IS NOT new."sku" COLLATE BINARY OR typeof(old."sku") <> typeof(new."sku");
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), new."country",
    (SELECT coalesce(new."sku", ('none')) WHERE typeof(coalesce(new."sku", ('none'))) = 'blob'
      UNION ALL
      SELECT CAST(coalesce(new."sku", ('none')) AS TEXT) WHERE typeof(coalesce(new."sku", ('none'))) <> 'blob')
    WHERE CAST(new."country" AS NUMERIC) = new."country"
    OR CAST(coalesce(new."sku", ('none')) AS NUMERIC) = coalesce(new."sku", ('none'));
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), victim."country", victim."sku"
    FROM "price list" AS victim WHERE victim."country" = new."country" COLLATE "NOCASE"
    AND victim."sku" = coalesce(new."sku", ('none')) COLLATE "BINARY";
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), victim."country", victim."sku"
    FROM "price list" AS victim WHERE victim."cents" = new."cents" COLLATE "BINARY";
END;
CREATE TRIGGER "_cdcsync_1_before_insert" BEFORE INSERT ON "price list" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), new."country",
    (SELECT coalesce(new."sku", ('none')) WHERE typeof(coalesce(new."sku", ('none'))) = 'blob'
      UNION ALL
      SELECT CAST(coalesce(new."sku", ('none')) AS TEXT) WHERE typeof(coalesce(new."sku", ('none'))) <> 'blob')
    WHERE CAST(new."country" AS NUMERIC) = new."country"
    OR CAST(coalesce(new."sku", ('none')) AS NUMERIC) = coalesce(new."sku", ('none'));
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), victim."country", victim."sku"
    FROM "price list" AS victim WHERE victim."country" = new."country" COLLATE "NOCASE"
    AND victim."sku" = coalesce(new."sku", ('none')) COLLATE "BINARY";
  INSERT INTO _cdcsync_log (tbl, at, k1, k2) SELECT 1, julianday('now'), victim."country", victim."sku"
    FROM "price list" AS victim WHERE victim."cents" = new."cents" COLLATE "BINARY";
END;
"""

DOCUMENTS = """CREATE TABLE documents (
  slug TEXT PRIMARY KEY, body TEXT CHECK (json_valid(body)), state TEXT, number INT AS (body ->> '$.n') UNIQUE
)"""
DRAFT = (
    "CREATE UNIQUE INDEX draft ON documents (lower(slug) COLLATE RTRIM DESC, state = 1) WHERE documents.state <> 'old'"
)
DOCUMENTS_CAPTURED = """
CREATE TRIGGER "_cdcsync_1_after_insert" AFTER INSERT ON "documents" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), stored."slug"
    FROM "documents" AS stored WHERE stored.rowid = new.rowid;
END;
CREATE TRIGGER "_cdcsync_1_after_update" AFTER UPDATE ON "documents" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), stored."slug"
    FROM "documents" AS stored WHERE stored.rowid = new.rowid;
END;
CREATE TRIGGER "_cdcsync_1_before_delete" BEFORE DELETE ON "documents" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) VALUES (1, julianday('now'), old."slug");
END;
CREATE TRIGGER "_cdcsync_1_before_update" BEFORE UPDATE ON "documents"
WHEN old."slug" COLLATE BINARY IS NOT new."slug" COLLATE BINARY OR typeof(old."slug") <> typeof(new."slug")
  OR old."state" COLLATE BINARY IS NOT new."state" COLLATE BINARY OR typeof(old."state") <> typeof(new."state")
  OR old."body" COLLATE BINARY IS NOT new."body" COLLATE BINARY OR typeof(old."body") <> typeof(new."body")
  OR old.rowid <> new.rowid BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), old."slug"
    WHERE old."slug" COLLATE BINARY IS NOT new."slug" COLLATE BINARY OR typeof(old."slug") <> typeof(new."slug")
    OR old."body" COLLATE BINARY IS NOT new."body" COLLATE BINARY OR typeof(old."body") <> typeof(new."body");
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), new."slug"
    WHERE old."slug" COLLATE BINARY IS NOT new."slug" COLLATE BINARY OR typeof(old."slug") <> typeof(new."slug");
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE (lower(slug) COLLATE RTRIM)
      = +(SELECT (lower(slug) COLLATE RTRIM) FROM (SELECT new."slug" AS "slug")) COLLATE "RTRIM"
    AND (state = 1)
      = +(SELECT (state = 1) FROM (SELECT
          (SELECT "state" WHERE typeof("state") = 'blob'
            UNION ALL SELECT CAST("state" AS TEXT) WHERE typeof("state") <> 'blob') AS "state"
        FROM (SELECT new."state" AS "state"))) COLLATE "BINARY"
    AND (state <> 'old') AND victim.rowid <> old.rowid;
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim."number"
      = +(SELECT CASE WHEN (coalesce(json_valid(body), 1)) THEN (body ->> '$.n') END
        FROM (SELECT new."body" AS "body")) COLLATE "BINARY" AND victim.rowid <> old.rowid;
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim."slug" = new."slug" COLLATE "BINARY" AND victim.rowid <> old.rowid;
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim.rowid = new.rowid AND victim.rowid <> old.rowid;
END;
CREATE TRIGGER "_cdcsync_1_before_insert" BEFORE INSERT ON "documents" BEGIN
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE (lower(slug) COLLATE RTRIM)
      = +(SELECT (lower(slug) COLLATE RTRIM) FROM (SELECT new."slug" AS "slug")) COLLATE "RTRIM"
    AND (state = 1)
      = +(SELECT (state = 1) FROM (SELECT
          (SELECT "state" WHERE typeof("state") = 'blob'
            UNION ALL SELECT CAST("state" AS TEXT) WHERE typeof("state") <> 'blob') AS "state"
        FROM (SELECT new."state" AS "state"))) COLLATE "BINARY"
    AND (state <> 'old');
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim."number"
      = +(SELECT CASE WHEN (coalesce(json_valid(body), 1)) THEN (body ->> '$.n') END
        FROM (SELECT new."body" AS "body")) COLLATE "BINARY";
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim."slug" = new."slug" COLLATE "BINARY";
  INSERT INTO _cdcsync_log (tbl, at, k1) SELECT 1, julianday('now'), victim."slug"
    FROM "documents" AS victim WHERE victim.rowid = new.rowid;
END;
"""

NOTES = "CREATE TABLE notes (what)"
NOTES_CAPTURED = """
CREATE TRIGGER "_cdcsync_1_insert" AFTER INSERT ON "notes" BEGIN
  INSERT INTO _cdcsync_log (tbl, at) VALUES (1, julianday('now'));
END;
CREATE TRIGGER "_cdcsync_1_update" BEFORE UPDATE ON "notes" BEGIN
  INSERT INTO _cdcsync_log (tbl, at) VALUES (1, julianday('now'));
END;
CREATE TRIGGER "_cdcsync_1_delete" BEFORE DELETE ON "notes" BEGIN
  INSERT INTO _cdcsync_log (tbl, at) VALUES (1, julianday('now'));
END;
"""

LAST = """
CREATE TABLE _cdcsync_tables (number INTEGER PRIMARY KEY, name TEXT NOT NULL, shape TEXT NOT NULL);
CREATE VIEW _cdcsync_last AS SELECT 1;
"""


def _captured(*schema: str) -> list[Captured]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for text in schema:
            connection.execute(text)
        return [(number, one, one.key) for number, one in enumerate(read_schema(connection).tables, 1)]


@pytest.mark.parametrize(
    ("schema", "keys", "expected"),
    [
        ((USERS,), "k1", USERS_CAPTURED),
        ((PRICES,), "k1, k2", PRICES_CAPTURED),
        ((DOCUMENTS, DRAFT), "k1", DOCUMENTS_CAPTURED),
        ((NOTES,), "k1", NOTES_CAPTURED),
    ],
    ids=["integer key", "composite key", "computed indexes", "no key"],
)
def test_everything_that_install_runs(schema: tuple[str, ...], keys: str, expected: str) -> None:
    """Word for word, but for line breaks."""
    rendered = "".join(f"{text};" for text in capture.statements(_captured(*schema)))
    assert _words(rendered) == _words(CHANGELOG.format(keys=keys) + expected + LAST)


def _words(text: str) -> list[str]:
    return re.sub(r"\s+", " ", text.replace("(\n", "(")).replace("; ", ";").strip().split(";")


# What SQLite learned after 3.8.0, and words that are no words there.
YOUNGER = {
    "UPSERT": r"\bON CONFLICT\b",
    "window functions": r"\b(OVER|FILTER|PARTITION)\b",
    "row values": r"\([^()]*,[^()]*\) *(=|<|>|IN\b)",
    "RETURNING": r"\bRETURNING\b",
    "JSON operators": r"->",
    "IS DISTINCT FROM": r"\bDISTINCT FROM\b",
    "NULLS FIRST": r"\bNULLS\b",
    "TRUE and FALSE": r"\b(TRUE|FALSE)\b",
    "common table expressions": r"\bWITH\b",
    "generated columns": r"\b(GENERATED|VIRTUAL)\b|\) STORED\b",
    "STRICT": r"\bSTRICT\b",
    "MATERIALIZED": r"\bMATERIALIZED\b",
    "young functions": r"\b(json\w*|iif|unixepoch|format|printf|concat\w*|unhex|octet_length|string_agg|likely)\(",
    "hexadecimal numbers": r"\b0x",
    "numbers with underscores": r"\d_\d",
    "UPDATE FROM": r"\bUPDATE\b.*\bFROM\b",
    "RIGHT and FULL JOIN": r"\b(RIGHT|FULL)\b",
}
# Tables with everything that an old SQLite lets a table have.
OLD_SCHEMA = (
    "CREATE TABLE a (id INTEGER PRIMARY KEY, u TEXT COLLATE NOCASE UNIQUE ON CONFLICT FAIL, v DEFAULT TRUE NOT NULL)",
    "CREATE TABLE b (k REAL NOT NULL DEFAULT 'x', m BLOB, n INT, PRIMARY KEY (k, m), UNIQUE (n DESC, k COLLATE RTRIM))",
    "CREATE TABLE c (k TEXT DEFAULT 5, n REAL NOT NULL DEFAULT (random()), PRIMARY KEY (k, n)) WITHOUT ROWID",
    "CREATE TABLE d (rowid, oid, _rowid_, k TEXT NOT NULL UNIQUE)",
    "CREATE TABLE e (what)",
    "CREATE UNIQUE INDEX i ON a (v) WHERE u IS NOT NULL AND a.v > 5",
    "CREATE UNIQUE INDEX j ON b (n COLLATE NOCASE) WHERE k <> 'x'",
)


@pytest.mark.parametrize("what", YOUNGER)
def test_b4_triggers_use_no_word_that_sqlite_3_8_does_not_know(what: str) -> None:
    """The application's SQLite compiles them; where it cannot, the whole database is unusable."""
    captured = _captured(*OLD_SCHEMA)
    rendered = [text for one in captured for text in triggers.trigger_statements(*one)]
    assert len(rendered) == 4 * 5 + 3
    for text in rendered:
        outside_names = re.sub(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", "x", text)
        assert not re.search(YOUNGER[what], outside_names, re.IGNORECASE), text


def test_the_rule_knows_young_words_when_it_sees_them() -> None:
    """Planted: each of them is noticed."""
    young = """INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING RETURNING a -> 'b'; SELECT sum(a) OVER (),
    (a, b) = (1, 2),
    a IS NOT DISTINCT FROM b, TRUE, 0x1F, 1_000, iif(a, b, c) FROM a RIGHT JOIN b ORDER BY a NULLS FIRST;
    WITH x AS MATERIALIZED (SELECT 1) UPDATE t SET a = 1 FROM x; CREATE TABLE t (a AS (1) STORED) STRICT"""
    missing = [what for what, rule in YOUNGER.items() if not re.search(rule, young, re.IGNORECASE)]
    assert missing == []


def test_b3_triggers_name_no_column_that_the_application_could_drop() -> None:
    """DROP COLUMN fails where a trigger names the column; ours name those that no application could drop anyway."""
    for seed in range(0, 1_500, SHARING):
        try:
            plan = Plan(Game.of(seed).schema, mapped_keys=False)
        except RefusedSchemaError:
            continue
        with closing(Side(plan, "bare")) as bare, closing(Side(plan, "captured")) as captured:
            for _, table, _ in plan.captured:
                for column in table.columns:
                    drop = f"ALTER TABLE {sqlite_name(table.name)} DROP COLUMN {sqlite_name(column.name)}"
                    assert _works(captured, drop) == _works(bare, drop), f"{table.sql} {drop}"


def _works(side: Side, statement: str) -> bool:
    side.connection.execute("BEGIN")
    try:
        side.connection.execute(statement)
    except sqlite3.Error:
        return False
    finally:
        side.connection.execute("ROLLBACK")
    return True

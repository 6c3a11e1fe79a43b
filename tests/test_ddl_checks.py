"""CHECKs are split, renamed, named, and found in any text."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.ddl import build, mapping, texts

from cdcsync.core.ddl import target_ddl
from cdcsync.core.plan import table_plans
from cdcsync.core.sqltext.declarations import index_text
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.scope import Scope
from cdcsync.core.sqltext.translate import translate
from cdcsync.words.nouns import Column, Table


def test_checks_are_split_renamed_and_named() -> None:
    """Parts joined by AND are carried each on its own, under the target's column names and distinct names."""
    built = build(
        "CREATE TABLE t (a INT CONSTRAINT pos NOT NULL CHECK (a > 0)"
        " CHECK (a < 9 AND (A <> 5 AND hex(a) <> '')), b TEXT CONSTRAINT same CHECK (b <> ''),"
        " CONSTRAINT same CHECK (a > length(b)) CHECK (typeof(a) = round(a)))",
        t={"columns": {"a": {"target": "Amount"}}},
    )
    prefix = 'ALTER TABLE "app"."t" ADD CONSTRAINT '
    assert texts(built, "source_check") == [
        prefix + '"t_Amount_check" CHECK ("Amount" > 0) NOT VALID',
        prefix + '"t_Amount_check_2" CHECK (("Amount" < 9) AND ("Amount" <> 5)) NOT VALID',
        prefix + '"same" CHECK ("b" <> \'\') NOT VALID',
        prefix + '"same_2" CHECK ("Amount" > length("b")) NOT VALID',
    ]
    assert [left.what for left in built[1]] == ["CHECK (HEX(\"a\") <> '')", 'CHECK (TYPEOF("a") = ROUND("a"))']


def test_conflict_clauses_are_listed() -> None:
    """Clauses that change what a statement does are listed; ABORT is what PostgreSQL does anyway."""
    built = build(
        "CREATE TABLE t (a INTEGER PRIMARY KEY ON CONFLICT REPLACE, b TEXT NOT NULL ON CONFLICT ABORT,"
        " c INT UNIQUE ON CONFLICT FAIL, UNIQUE (a, c) ON CONFLICT IGNORE)"
    )
    places = [("REPLACE", "a"), ("FAIL", "c"), ("IGNORE", "a constraint of the table")]
    assert [left.what for left in built[1]] == [f"ON CONFLICT {action} at {place}" for action, place in places]
    assert all(left.suggestion for left in built[1])


def test_a_column_without_case_is_checked_with_case() -> None:
    """A citext column would take ABC for abc, where SQLite's CHECK does not."""
    script = "CREATE TABLE t (c TEXT CHECK (c = 'abc'), j JSON CHECK (json_valid(j)), d TEXT CHECK (json_valid(d)))"
    built = build(script, t={"columns": {"c": "citext"}})
    assert [text.split("CHECK ")[1] for text in texts(built, "source_check")] == [
        "(CAST(\"c\" AS text) = 'abc') NOT VALID",
        '("d" IS JSON) NOT VALID',
    ]
    assert built[1] == ()


def test_odd_create_table_text() -> None:
    """Constraints are found in text that parsers of SQL stumble over, and nowhere else."""
    built = build(
        """CREATE TABLE [a "(b] ( -- CHECK (1)
        "check" unsigned big int default (cast('1' as int)) check /* here */ ("check">0 -- and (here
        ), 'quoted' TEXT DEFAULT 'CHECK (2)' NOT NULL ON CONFLICT REPLACE, `x y` AS ('') CHECK ([x y] = 'y'),
        CONSTRAINT "un ique" UNIQUE ('quoted', "check") CHECK (quoted <> ')'))"""
    )
    assert texts(built, "source_check", "unique") == [
        'ALTER TABLE "app"."a ""(b" ADD CONSTRAINT "un ique" UNIQUE ("quoted", "check")',
        'ALTER TABLE "app"."a ""(b" ADD CONSTRAINT "a ""(b_check_check" CHECK ("check" > 0) NOT VALID',
        'ALTER TABLE "app"."a ""(b" ADD CONSTRAINT "a ""(b_x y_check" CHECK ("x y" = \'y\') NOT VALID',
        'ALTER TABLE "app"."a ""(b" ADD CONSTRAINT "a ""(b_3_check" CHECK ("quoted" <> \')\') NOT VALID',
    ]
    assert "ON CONFLICT REPLACE at quoted" in [left.what for left in built[1]]


PIECES = re.split(
    r"\s+",
    """a b i u ts "a" 'x' x'0f' 1 2.5 -1 ( ) ( ) , + - * / % || = == <> < IS NOT NULL IN LIKE GLOB ESCAPE AND
    OR     BETWEEN CASE WHEN THEN ELSE END CAST AS TEXT length( lower( coalesce( substr( date( json_extract(
    datetime('now') strftime('%s','now') CURRENT_TIMESTAMP COLLATE NOCASE CHECK CONSTRAINT UNIQUE REFERENCES
    DEFAULT " ' [ -- /* ;""",
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join))
def test_odd_text_never_raises(text: str) -> None:
    """Whatever text stands in a schema, it is carried or listed."""
    columns = (
        Column("a", "INT", default=text),
        Column("ts", "DATETIME", default=text),
        Column("u", "", default=text),
    )
    table = Table("t", f"CREATE TABLE t (a INT CHECK ({text}), {text})", columns)
    schema: Any = type("Schema", (), {"tables": (table,)})()
    plan = table_plans(schema, mapping({}), {})[0]
    statements, _ = target_ddl(schema, [plan], "app")
    assert statements[0].phase == "table"
    index_text(f"CREATE INDEX i ON t ({text}) WHERE {text}")
    with suppress(UntranslatableError):
        translate(text, Scope(plan, {}))

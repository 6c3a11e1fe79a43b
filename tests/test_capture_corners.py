"""Corners of SQLite's grammar: no trigger makes a statement fail, and none misses a row."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING

import pytest
from support.oracle import Watched

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import capture
from cdcsync.edges.arriving import Arriving
from cdcsync.edges.schema import read_schema
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

# What may stand after DEFAULT. A bare or double-quoted word is a string there.
DEFAULTS = (
    *("pending", '"pending"', "[pending]", "`pending`", '"id"', "id", '"a ""b"""', "größe", "TRUE", "NULL"),
    *("'x'", "'it''s'", "''", "(lower('A'))", "('a' || 'b')", "CURRENT_TIMESTAMP", "current_date", "-5", "+3", "1e3"),
    *("0x1F", "x'00ff'", "(abs(-3))", "( 'a' ) /* why */", "'a' -- why\n", "(strftime('%s', 'now'))"),
)


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("declared", ["TEXT", "INT", ""])
def test_a_default_of_any_form_makes_no_statement_fail(declared: str, default: str) -> None:
    """With NOT NULL DEFAULT and UNIQUE, each statement the application may write works, and each victim is logged."""
    table = f"CREATE TABLE t (id INTEGER PRIMARY KEY, s {declared} NOT NULL DEFAULT {default}, UNIQUE (s))"
    with Watched(table) as database:
        database.run(
            "INSERT INTO t (id) VALUES (1)",
            "INSERT OR REPLACE INTO t (id, s) VALUES (2, NULL)",
            "INSERT OR REPLACE INTO t (id, s) VALUES (3, NULL)",
            "REPLACE INTO t (id) VALUES (4)",
            "INSERT INTO t VALUES (5, 'other')",
            "UPDATE OR REPLACE t SET s = NULL WHERE id = 5",
        )


def test_install_rehearses_its_triggers(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trigger that would make the application's writes fail is found at install, and neither side changes."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT NOT NULL DEFAULT pending UNIQUE)")
    monkeypatch.setattr(Arriving, "_default", lambda _self, text: text)
    with pytest.raises(RefusedError, match="no such column: pending"):
        pair.install()
    assert pair.source("SELECT count(*) FROM sqlite_master WHERE name LIKE '%cdcsync%'") == [(0,)]
    assert pair.target("SELECT to_regclass('t'), to_regnamespace('cdcsync')") == [(None, None)]
    pair.write("INSERT INTO t (id) VALUES (1)")


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
        "UPDATE OR REPLACE t SET id = 1 WHERE u = 'f'",
    ):
        pair.write(statement)
        pair.sync()
        assert pair.target("SELECT id, u FROM t ORDER BY id") == pair.source("SELECT id, u FROM t ORDER BY id")
    assert pair.target("SELECT id, u FROM t") == [(1, "f")]


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX u ON t (lower(a), -- don't (\n b)",
        "CREATE UNIQUE INDEX u ON t (a /* , ( */, lower(b) /* x */)",
        "CREATE /* ( */ UNIQUE INDEX u -- on t (nothing)\n ON t (lower(a) -- lower\n COLLATE NOCASE /* ) */ DESC)",
        'CREATE UNIQUE INDEX "u(,)" ON t (lower(a) COLLATE "NOCASE", "b")',
        'CREATE UNIQUE INDEX "on (" ON t (lower(a) COLLATE "NOCASE" DESC, b COLLATE NOCASE ASC)',
        "CREATE UNIQUE INDEX u ON t (replace(a, '/*', ')'), b) -- the end",
        "CREATE UNIQUE INDEX u ON t (lower(a)) WHERE /* why */ b -- not\n IS NOT NULL -- the end",
        "CREATE UNIQUE INDEX u ON t (coalesce(a, 'b'), [b] || `a`)",
    ],
)
def test_comments_and_quotes_in_an_index_are_no_part_of_it(index: str) -> None:
    """Comments with parentheses, commas and quotes in CREATE UNIQUE INDEX hide no victim and break no trigger."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)", index) as database:
        database.run(
            "INSERT INTO t VALUES (1, 'a', 'b'), (2, 'c', 'd')",
            "INSERT OR REPLACE INTO t VALUES (3, 'A', 'b')",
            "INSERT OR REPLACE INTO t VALUES (4, 'a', 'b')",
            "UPDATE OR REPLACE t SET a = 'a', b = 'b' WHERE id = 2",
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('coalesce(a, "none")', "coalesce(a, 'none')"),
        ('coalesce("a", "A", "it\'s")', "coalesce(\"a\", \"A\", 'it''s')"),
        ('a COLLATE "NOCASE" = "x"', "a COLLATE \"NOCASE\" = 'x'"),
        ('"lower"(a) || CAST(a AS "TEXT")', '"lower"(a) || CAST(a AS "TEXT")'),
        ("t.a > main.t.a + 1.5", "a > a + 1.5"),
        ("a /* why */ > -- so\n 1", "a /* why */ > -- so\n 1"),
    ],
)
def test_an_expression_means_the_same_in_a_trigger(text: str, expected: str) -> None:
    """A double-quoted string is none to an SQLite without that misfeature; a table's name hides behind the alias."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        (table,) = read_schema(connection).tables
    assert Arriving(table).in_body(text) == expected


NAMES = (
    *('a "b"', "a'b", "a.b", "a b", "$table", "${key}", "{x}", "%s", "select", "größe", "[x]", "`", ";", "--", "/*"),
    *("new", "old", "victim", "stored", "rowid", "_cdcsync", "_CDCSYNCX", "sqlitex", "CDCSYNC_LOG", "seq", "k1", "at"),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", ["", " WITHOUT ROWID"])
def test_names_of_every_kind_are_quoted(name: str, options: str) -> None:
    """Quotes, spaces, dots, keywords, names of ours and of triggers' rows make no trigger fail and hide no row."""
    quoted = sqlite_name(name)
    with Watched(
        f"CREATE TABLE {quoted} ({quoted} TEXT PRIMARY KEY, other UNIQUE, made AS ({quoted} || other) UNIQUE){options}",
        f"CREATE UNIQUE INDEX {sqlite_name(name + ' i')} ON {quoted} (lower({quoted})) WHERE {quoted} <> 'x'",
    ) as database:
        database.run(
            f"INSERT INTO {quoted} VALUES ('a', 2), ('b', 3)",
            f"REPLACE INTO {quoted} VALUES ('A', 4)",
            f"REPLACE INTO {quoted} VALUES ('c', 3)",
            f"UPDATE OR REPLACE {quoted} SET {quoted} = 'C', other = 4",
            f"DELETE FROM {quoted}",
        )


@pytest.mark.parametrize(
    ("table", "index"),
    [
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c)", "(a)"),
        ("CREATE TABLE t (id TEXT PRIMARY KEY, a, b, c)", "(a, b DESC)"),
        ("CREATE TABLE t (id TEXT PRIMARY KEY, a NOT NULL DEFAULT 5, b, c) WITHOUT ROWID", "(a)"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c)", "(a COLLATE NOCASE)"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b INT, c)", "(a) WHERE b = 1 AND t.c IS NOT NULL"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c)", "(lower(a))"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b, c)", "(lower(a) COLLATE NOCASE DESC, b) WHERE c"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b, c)", "(a = '1', b)"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT AS (lower(a)), c)", "(b)"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT AS (a || 1) STORED, c)", "(b) WHERE c > 5"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a REAL, b REAL AS (a + 1), c)", "(b)"),
    ],
)
def test_victims_are_searched_by_index_not_by_a_scan(table: str, index: str) -> None:
    """A write costs the same whatever the number of rows."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(table)
        connection.execute(f"CREATE UNIQUE INDEX u ON t {index}")
        (found,) = read_schema(connection).tables
        rendered = capture.statements([(1, found, found.key)])
        inserting = next(text for text in rendered if "before_insert" in text)
        # EXPLAIN does not look into triggers: their statements are asked for one by one, NEW's values as parameters.
        selects = [part[part.index("SELECT") :] for part in inserting.split(";\n") if "victim" in part]
        assert len(selects) >= 2
        for select in selects:
            text = re.sub(r'new\.("\w+"|rowid)', ":new", select)
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", {"new": 1})]
            assert any(step.startswith("SEARCH victim") for step in plan), (select, plan)
            assert not any(step.startswith("SCAN victim") for step in plan), (select, plan)


def test_text_with_nul_and_text_that_is_not_utf8_are_keys_like_others() -> None:
    """The changelog holds every byte of them."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.text_factory = bytes
        connection.execute("CREATE TABLE t (id TEXT PRIMARY KEY, v UNIQUE)")
        (table,) = read_schema(_decoded(connection)).tables
        for text in capture.statements([(1, table, table.key)]):
            connection.execute(text)
        keys = ["CAST(x'610062' AS TEXT)", "CAST(x'6100' AS TEXT)", "CAST(x'ff' AS TEXT)", "x'ff'", "''"]
        for number, key in enumerate(keys):
            connection.execute(f"INSERT INTO t VALUES ({key}, {number})")
        connection.execute("DELETE FROM _cdcsync_log")
        connection.execute("REPLACE INTO t VALUES ('new', 0), ('new', 1), ('newer', 2), ('newest', 3), ('last', 4)")
        logged = connection.execute("SELECT DISTINCT typeof(k1), hex(k1) FROM _cdcsync_log").fetchall()
        assert {(b"text", b"610062"), (b"text", b"6100"), (b"text", b"FF"), (b"blob", b"FF"), (b"text", b"")} <= set(
            logged
        )


def _decoded(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return a copy that hands out text as text."""
    copy = sqlite3.connect(":memory:")
    connection.backup(copy)
    return copy

"""What no trigger can capture is refused by name and reason, before anything changes; the rest is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges.collisions import uncapturable
from cdcsync.edges.schema import read_schema
from cdcsync.machine.check import check
from cdcsync.machine.context import Context
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]


def _refused(*schema: str) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.create_function("known", 1, str, deterministic=True)
        connection.create_collation("backwards", lambda one, other: (one < other) - (one > other))
        for text in schema:
            connection.execute(text)
        (table,) = read_schema(connection).tables
        return list(uncapturable(table, table.key))


@pytest.mark.parametrize(
    ("column", "index", "reason"),
    [
        ("a", "(id % 10)", "it is made from id, which SQLite may choose only after BEFORE triggers have run"),
        ("a AS (id || 'x')", "(a)", "it is made from id, which SQLite may choose only after BEFORE triggers have run"),
        ("b AS (-id), a AS (b || 'x')", "(a)", "it is made from id, which SQLite"),
        ("a", "(known(a))", "it needs a function or collation that only the application knows"),
        ("a AS (known(b)) STORED, b", "(a)", "it needs a function or collation that only the application knows"),
        ("a", "(a = 'x' COLLATE backwards)", "it needs a function or collation that only the application knows"),
        ('a, "True"', '(a || "TRUE")', "it is made from a column whose name SQLite takes for a truth value"),
    ],
)
def test_a_unique_index_no_trigger_can_compute_is_named_with_the_reason(column: str, index: str, reason: str) -> None:
    """Its value in the arriving row is not known before the row is there, or not to us."""
    found = _refused(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column})", f"CREATE UNIQUE INDEX u ON t {index}")
    assert [(what, told[: len(reason)]) for what, told in found] == [("unique index u", reason)]


@pytest.mark.parametrize(
    ("column", "index"),
    [
        ("a", "(id, a)"),
        ("a", "(a, id % 10, id)"),
        ("a", "(a) WHERE id > 5"),
        ("a COLLATE backwards", "(a)"),
        ("a AS (lower(b)), b", "(a)"),
        ("a AS (lower(b)) STORED, b", "(a, lower(b)) WHERE b > 'x'"),
        ('"true", a', '("true", a)'),
        ("a", "(rowid_ + 1)"),
    ],
)
def test_a_unique_index_that_can_be_captured_is_not_refused(column: str, index: str) -> None:
    """A collation or function that is not computed with is the application's own affair."""
    schema = f"CREATE TABLE t (id INTEGER PRIMARY KEY, rowid_, {column})"
    assert _refused(schema, f"CREATE UNIQUE INDEX u ON t {index}") == []


@pytest.mark.parametrize("made_from", ["a", "f + 0", "CAST(f AS NUMERIC)"])
def test_a_key_generated_from_floats_is_named_with_the_reason(made_from: str) -> None:
    """SQLite hands its whole numbers to triggers as integers: the changelog would hold another key."""
    found = _refused(f"CREATE TABLE t (a, f REAL AS (a), k REAL AS ({made_from}) NOT NULL UNIQUE)")
    assert found == [
        ("key column k", "it is generated from floats, whose whole numbers SQLite hands to triggers as integers")
    ]


def _tick(_table: str, _rows: int) -> None:
    """Nobody watches."""


def test_check_and_install_refuse_for_the_same_reason_until_the_table_is_skipped(make_pair: Make) -> None:
    """Neither side changes; the way out is a line in the settings."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE UNIQUE INDEX u ON t (id % 10);"
        "CREATE TABLE o (id INTEGER PRIMARY KEY)"
    )
    with Context(pair.settings) as context:
        blocking = [(found.code, found.table) for found in check(context, _tick) if found.severity == "blocking"]
    assert blocking == [("uncapturable", "t")]
    with pytest.raises(RefusedError, match=r"unique index u of t cannot be captured: it is made from id"):
        pair.install()
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []
    assert pair.target("SELECT to_regclass('o')") == [(None,)]
    tables = {"t": {"skip": True}}
    pair.settings = type(pair.settings)(**pair.settings.model_dump(exclude={"tables", "target_schema"}), tables=tables)
    pair.install()


def test_unique_generated_columns_are_captured_all_the_way(make_pair: Make) -> None:
    """Their victims are deleted in the target too."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, g TEXT AS (lower(a)) UNIQUE, h INT AS (length(a)) STORED);"
        "CREATE UNIQUE INDEX u ON t (h); INSERT INTO t VALUES (1, 'a'), (2, 'bb')"
    )
    pair.install()
    pair.sync()
    pair.write("REPLACE INTO t VALUES (5, 'A')", "UPDATE OR REPLACE t SET a = 'cc' WHERE id = 5")
    pair.sync()
    assert (
        pair.target("SELECT id, a FROM t ORDER BY id") == pair.source("SELECT id, a FROM t ORDER BY id") == [(5, "cc")]
    )


def test_a_key_with_a_collation_of_the_applications_own_blocks(make_pair: Make) -> None:
    """The daemon could not look its rows up: install says so before anything changes."""
    pair = make_pair("CREATE TABLE o (id INTEGER PRIMARY KEY)")
    pair.application.create_collation("backwards", lambda one, other: (one < other) - (one > other))
    pair.write("CREATE TABLE t (k TEXT COLLATE backwards PRIMARY KEY, v TEXT COLLATE backwards)")
    pair.insert("t", [("a", "b"), ("c", "d")])
    with Context(pair.settings) as context:
        blocking = [(f.code, f.table, f.column) for f in check(context, _tick) if f.severity == "blocking"]
    assert blocking == [("collation", "t", "k")]
    with pytest.raises(RefusedError, match="key of t uses the collation backwards"):
        pair.install()
    assert pair.target("SELECT to_regclass('o')") == [(None,)]
    assert pair.source("SELECT name FROM sqlite_master WHERE name LIKE '%cdcsync%'") == []


@pytest.mark.parametrize("name", ["_CDCSYNC_LOG", "_Cdcsync_Tables"])
def test_a_table_whose_name_sqlite_takes_for_one_of_ours_blocks(make_pair: Make, name: str) -> None:
    """SQLite ignores case in names; the application's table stays as it is."""
    pair = make_pair(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v); INSERT INTO {name} VALUES (1, 'kept')")
    with Context(pair.settings) as context:
        assert "our_name" in {found.code for found in check(context, _tick) if found.severity == "blocking"}
    with pytest.raises(RefusedError, match=name):
        pair.install()
    assert pair.source(f"SELECT v FROM {name}") == [("kept",)]


def test_a_table_named_like_ours_but_for_its_case_is_captured_and_kept(make_pair: Make) -> None:
    """It is the application's own: uninstall takes only what we made."""
    tables = {"_CDCSYNC_NOTES": {"target": "notes"}}
    pair = make_pair("CREATE TABLE _CDCSYNC_NOTES (id INTEGER PRIMARY KEY, v TEXT UNIQUE)", tables=tables)
    pair.install()
    pair.write("INSERT INTO _CDCSYNC_NOTES VALUES (1, 'a'), (2, 'b')", "REPLACE INTO _CDCSYNC_NOTES VALUES (3, 'a')")
    pair.sync()
    assert pair.target("SELECT id, v FROM notes ORDER BY id") == [(2, "b"), (3, "a")]
    pair.uninstall()
    assert pair.source("SELECT name FROM sqlite_master WHERE sql IS NOT NULL") == [("_CDCSYNC_NOTES",)]

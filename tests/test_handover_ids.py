"""Ids go on behind every id SQLite ever gave out, wherever PostgreSQL can go on at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

IDS = """
CREATE TABLE high (id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO high VALUES (700, 1); DELETE FROM high;
CREATE TABLE negative (id INTEGER PRIMARY KEY, v); INSERT INTO negative VALUES (-5, 1);
CREATE TABLE empty (id INTEGER PRIMARY KEY, v);
CREATE TABLE fresh (id INTEGER PRIMARY KEY AUTOINCREMENT, v);
CREATE TABLE "last" (id INTEGER PRIMARY KEY, v); INSERT INTO "last" VALUES (9223372036854775807, 1);
CREATE TABLE "Odd.na%me" (id INTEGER PRIMARY KEY, v); INSERT INTO "Odd.na%me" VALUES (41, 1);
"""


def test_ids_go_on_behind_every_id_that_was_given(make_pair: Make) -> None:
    """Above AUTOINCREMENT's high-water mark and max(id), from 1 in empty tables; the end of all ids is remarked."""
    pair = make_pair(IDS)
    pair.install()
    pair.sync()
    report = pair.drain()
    assert report.handover is not None
    assert [remark.partition(":")[0] for remark in report.handover.remarks] == ["last.id"]
    next_ids = {"high": 701, "negative": 1, "empty": 1, "fresh": 1, '"Odd.na%me"': 42}
    for table, expected in next_ids.items():
        with pair.database.connect() as connection:
            found = connection.execute(f"INSERT INTO {table} (v) VALUES (NULL) RETURNING id".encode()).fetchall()
        assert found == [(expected,)], table


@pytest.mark.parametrize(
    "column",
    [
        "note TEXT DEFAULT 'AUTOINCREMENT'",
        "v /* no autoincrement here */",
        '"autoincrement" INT',
        "v -- autoincrement\n",
    ],
)
def test_the_word_autoincrement_alone_is_no_high_water_mark(make_pair: Make, column: str) -> None:
    """A source without AUTOINCREMENT has no sqlite_sequence, whatever its comments, names and defaults say."""
    pair = make_pair(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {column}); INSERT INTO t (id) VALUES (5)")
    pair.install()
    pair.sync()
    assert pair.drain().handed_over
    pair.execute("INSERT INTO t DEFAULT VALUES")
    assert pair.target("SELECT max(id) FROM t") == [(6,)]


def test_a_sequence_too_narrow_for_the_ids_is_remarked(make_pair: Make) -> None:
    """An int identity found in place cannot go on after 3,000,000,000: a remark, and the handover is done."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v);"
        "INSERT INTO t VALUES (3000000000, 1); DELETE FROM t; INSERT INTO t VALUES (7, 1)"
    )
    pair.execute("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v bigint)")
    pair.install()
    pair.sync()
    report = pair.drain()
    assert report.handed_over
    assert report.handover is not None
    assert [remark.partition(":")[0] for remark in report.handover.remarks] == ["t.id"]

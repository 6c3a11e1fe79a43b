"""Cutover: fence, drain, prove, decide, hand over, switch; and the way back."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE);
CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE, at DATETIME);
CREATE TABLE loose (a, b);
INSERT INTO p (name) VALUES ('a'), ('b');
INSERT INTO c VALUES (1, 1, '2024-01-01 00:00:00');
INSERT INTO loose VALUES (1, 2);
"""

MOVED = r"moved to PostgreSQL at .*; to return run: cdcsync rollback"


def test_a_cutover_hands_over_what_was_proven_and_fences_sqlite_for_good(make_pair: Make) -> None:
    """Every row, sequences and foreign keys; SQLite refuses writes with a message that says where it all went."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.verify()
    pair.write("INSERT INTO p (name) VALUES ('late')", "INSERT INTO loose VALUES (3, 4)", "DELETE FROM c")
    report = pair.cutover()
    assert report.done, report
    assert report.row_counts["p"] == {"source": 3, "target": 3}
    assert report.row_counts["loose"] == {"source": 2, "target": 2}
    assert report.verified_keys >= 0
    keys = pair.target("SELECT convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f'")
    assert keys == [(True,)]
    for write in ("INSERT OR IGNORE INTO p (name) VALUES ('x')", "DELETE FROM p", "UPDATE loose SET a = 1"):
        with pytest.raises(sqlite3.OperationalError, match=MOVED):
            pair.application.execute(write)
    pair.execute("INSERT INTO p (name) VALUES ('new')")
    assert pair.target("SELECT max(id) FROM p") == [(4,)]


def test_a_rollback_gives_sqlite_back_as_it_was_and_guards_postgresql(make_pair: Make) -> None:
    """Then the stream goes on, and the next cutover works."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.verify()
    assert pair.cutover().done
    report = pair.rollback()
    assert report.done, report
    with pytest.raises(psycopg.Error, match="is being filled from SQLite"):
        pair.execute("INSERT INTO p (name) VALUES ('no')")
    pair.write("INSERT INTO p (name) VALUES ('again')", "DELETE FROM p WHERE id = 1")
    pair.sync()
    assert pair.verify().equal
    again = pair.cutover()
    assert again.done, again
    assert pair.target("SELECT name FROM p ORDER BY id") == [("b",), ("again",)]


def test_a_rollback_refuses_where_postgresql_was_written_to_unless_that_is_discarded(make_pair: Make) -> None:
    """It says which tables; discarded, the rows SQLite never had are gone after the next run."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.verify()
    assert pair.cutover().done
    pair.execute("INSERT INTO p (name) VALUES ('pg')")
    report = pair.rollback()
    assert not report.done
    assert report.target_writes == {"p": 1}
    with pytest.raises(sqlite3.OperationalError, match="moved"):
        pair.application.execute("DELETE FROM c")
    assert pair.rollback(discard=True).done
    pair.sync()
    assert pair.verify().equal
    assert pair.target("SELECT name FROM p WHERE name = 'pg'") == []

"""Traps A9 to A12: what no trigger sees, what has none, and what is left alone."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.oracle import Watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')"


def _unseen(pair: Pair) -> list[tuple[str, str]]:
    """Return table and key of what a full verification finds after everything in the changelog has been applied."""
    pair.sync()
    return [(found.table, found.key) for found in pair.verify().shown]


def _change_unseen(path: Path) -> None:
    """Change a row of a captured database as if its triggers had been off, or had never been there."""
    with closing(sqlite3.connect(path)) as other:
        (end,) = other.execute("SELECT max(seq) FROM _cdcsync_log").fetchone()
        other.execute("UPDATE t SET v = 'other' WHERE id = 2")
        other.execute("DELETE FROM _cdcsync_log WHERE seq > ?", (end,))
        other.commit()
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a9_rows_written_with_triggers_switched_off_are_found_by_verification(make_pair: Make) -> None:
    """SQLITE_DBCONFIG_ENABLE_TRIGGER leaves no trace: Python 3.11 cannot set it, so its effect is made by hand."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    _change_unseen(pair.path)
    assert _unseen(pair) == [("t", "2")]


def test_a9_rows_written_by_the_backup_api_are_found_by_verification(make_pair: Make, tmp_path: Path) -> None:
    """It writes pages, not rows: so does .restore."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    with closing(sqlite3.connect(tmp_path / "elsewhere.db")) as elsewhere:
        pair.application.backup(elsewhere)
        _change_unseen(tmp_path / "elsewhere.db")
        elsewhere.backup(pair.application)
    assert _unseen(pair) == [("t", "2")]


def test_a9_rows_of_a_file_copied_over_the_database_are_found_by_verification(make_pair: Make, tmp_path: Path) -> None:
    """The same by cp, into the same file."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.application.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(pair.path, tmp_path / "copy.db")
    _change_unseen(tmp_path / "copy.db")
    pair.application.close()
    with (tmp_path / "copy.db").open("rb") as new, pair.path.open("r+b") as old:
        shutil.copyfileobj(new, old)
    pair.application = sqlite3.connect(pair.path, isolation_level=None)
    assert _unseen(pair) == [("t", "2")]


def test_a10_virtual_tables_and_their_shadows_are_left_alone(make_pair: Make) -> None:
    """SQLite allows no triggers on FTS5; its shadow tables must have none."""
    pair = make_pair(
        f"{SCHEMA}; CREATE VIRTUAL TABLE search USING fts5 (body); INSERT INTO search VALUES ('some words');"
        "CREATE TRIGGER index_it AFTER INSERT ON t BEGIN INSERT INTO search VALUES (new.v); END"
    )
    pair.install()
    ours = pair.source("SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '_cdcsync_1%'")
    assert ours == [("t",)]
    pair.write("INSERT INTO t VALUES (3, 'more words')", "INSERT INTO search (search) VALUES ('optimize')")
    assert pair.source("SELECT count(*) FROM search WHERE search MATCH 'words'") == [(2,)]
    assert _unseen(pair) == []
    assert pair.target("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'") == [("t",)]


def test_a11_dropping_a_parent_logs_the_children_that_go_with_it() -> None:
    """DROP TABLE deletes implicitly where foreign keys are on: the parent's triggers are silent, the children's not."""
    with Watched(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id TEXT PRIMARY KEY, p REFERENCES parent ON DELETE CASCADE)",
        "CREATE TABLE grandchild (id INTEGER PRIMARY KEY, c REFERENCES child ON DELETE SET NULL)",
        "PRAGMA foreign_keys = ON",
    ) as database:
        database.run(
            "INSERT INTO parent VALUES (1)",
            "INSERT INTO child VALUES ('a', 1), ('b', NULL)",
            "INSERT INTO grandchild VALUES (1, 'a'), (2, 'b')",
        )
        before = database.entries()
        database.script("DROP TABLE parent")
        logged = database.rows(f"SELECT DISTINCT tbl, k1 FROM _cdcsync_log WHERE seq > {before} ORDER BY tbl, k1")
        assert logged == [(2, "a"), (3, 1)]
        assert database.rows("SELECT * FROM grandchild") == [(1, None), (2, "b")]


def test_a12_a_blob_written_in_place_is_found_by_verification(make_pair: Make) -> None:
    """sqlite3_blob_open fires no trigger, whatever is done with the blob."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    (before,) = pair.source("SELECT max(seq) FROM _cdcsync_log")
    with pair.application.blobopen("t", "v", 2) as blob:
        blob.write(b"owt")
    assert pair.source("SELECT max(seq) FROM _cdcsync_log") == [before]
    assert _unseen(pair) == [("t", "2")]


@pytest.mark.parametrize("statement", ["VACUUM", "REINDEX", "ANALYZE"])
def test_a6_rowids_that_vacuum_numbers_anew_do_no_harm(make_pair: Make, statement: str) -> None:
    """No trigger fires, and none need: keys are columns, and the rowid of a table without one is no key."""
    pair = make_pair("CREATE TABLE t (id TEXT PRIMARY KEY, v); CREATE TABLE n (what)")
    pair.install()
    pair.write("INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3)", "INSERT INTO n VALUES (1), (2), (3)")
    pair.write("DELETE FROM t WHERE id = 'a'", "DELETE FROM n WHERE what = 1")
    pair.sync()
    pair.application.execute(statement)
    pair.write("UPDATE t SET v = 4 WHERE id = 'c'", "REPLACE INTO t VALUES ('b', 5)", "UPDATE n SET what = 6")
    assert _unseen(pair) == []
    assert pair.target("SELECT id, v FROM t ORDER BY id") == [("b", "5"), ("c", "4")]

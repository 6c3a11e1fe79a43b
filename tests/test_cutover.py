"""Cutover: fence, drain, prove, decide, hand over, switch; and the way back."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import psycopg
import pytest

from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.words.errors import RefusedError, TargetError

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


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """A source that can be cut over at once."""
    made = make_pair(SCHEMA)
    made.make_ready()
    return made


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_cutover_hands_over_what_was_proven_and_fences_sqlite_for_good(make_pair: Make, journal: str) -> None:
    """Every row, sequences and foreign keys; SQLite refuses writes with a message that says where it all went."""
    pair = make_pair(SCHEMA)
    pair.application.execute(f"PRAGMA journal_mode = {journal}")
    pair.make_ready()
    pair.write("INSERT INTO p (name) VALUES ('late')", "INSERT INTO loose VALUES (3, 4)", "DELETE FROM c")
    report = pair.cutover()
    assert report.done, report
    assert report.row_counts["p"] == {"source": 3, "target": 3}
    assert report.row_counts["loose"] == {"source": 2, "target": 2}
    assert any("app_role is not set" in remark for remark in report.remarks)
    keys = pair.target("SELECT convalidated FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f'")
    assert keys == [(True,)]
    for write in ("INSERT OR IGNORE INTO p (name) VALUES ('x')", "DELETE FROM p", "UPDATE loose SET a = 1"):
        with pytest.raises(sqlite3.OperationalError, match=MOVED):
            pair.application.execute(write)
    pair.execute("INSERT INTO p (name) VALUES ('new')")
    assert pair.target("SELECT max(id) FROM p") == [(4,)]


def test_a_rollback_gives_sqlite_back_as_it_was_and_guards_postgresql(pair: Pair) -> None:
    """Then the stream goes on, and the next cutover works."""
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


def test_a_rollback_refuses_where_postgresql_was_written_to_unless_that_is_discarded(pair: Pair) -> None:
    """It says which tables; discarded, the rows SQLite never had are gone after the next run."""
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


def test_a_rehearsal_leaves_everything_as_it_was(pair: Pair) -> None:
    """It tells the pause and hands nothing over."""
    before = pair.source("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
    report = pair.cutover(rehearse=True)
    assert (report.done, report.rehearsed) == (True, True)
    assert report.pause_seconds is not None
    assert pair.source("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2") == before
    assert pair.target("SELECT count(*) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f'") == [(0,)]
    pair.write("DELETE FROM p WHERE id = 1")
    pair.sync()
    assert pair.verify().equal


def test_a_cutover_that_was_cut_after_the_decision_goes_on(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then neither side accepts writes, and every other verb says what to do."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    with pytest.raises(sqlite3.OperationalError, match=MOVED):
        pair.application.execute("DELETE FROM c")
    with pytest.raises(psycopg.Error, match="is being filled from SQLite"):
        pair.execute("INSERT INTO p (name) VALUES ('no')")
    assert pair.target("SELECT state FROM cdcsync.status") == [("fenced",)]
    for verb in (pair.sync, pair.drain):
        with pytest.raises(RefusedError, match="run cdcsync cutover to go on, or cdcsync rollback"):
            verb()
    assert pair.cutover().done
    pair.execute("INSERT INTO p (name) VALUES ('yes')")


def test_a_cutover_that_was_cut_after_the_decision_can_go_back(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written to PostgreSQL, whose guard is still on."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    assert pair.rollback().done
    pair.write("DELETE FROM c")
    pair.sync()
    assert pair.verify().equal


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_uninstall_leaves_the_fence_up_until_told_otherwise(pair: Pair) -> None:
    """No stale process writes to the old file; everything else of ours is gone."""
    assert pair.cutover().done
    pair.uninstall()
    assert pair.source("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%cdcsync%'") == []
    with pytest.raises(sqlite3.OperationalError, match=MOVED):
        pair.application.execute("DELETE FROM c")
    pair.execute("INSERT INTO p (name) VALUES ('free')")
    pair.uninstall(lift_fence=True)
    pair.application.execute("DELETE FROM c")


def test_nothing_to_go_back_from_is_told(make_pair: Make) -> None:
    """Before any cutover."""
    pair = make_pair(SCHEMA)
    pair.install()
    with pytest.raises(RefusedError, match="nothing was handed over"):
        pair.rollback()


def test_going_back_without_postgresql_needs_to_be_told_to_it_later(pair: Pair) -> None:
    """It refuses unless target writes may be lost; then SQLite is free, and `run` asks for the other half."""
    assert pair.cutover().done
    there = pair.settings.target
    pair.change_settings(target="host=127.0.0.1 port=1 dbname=gone")
    with pytest.raises(TargetError, match="--discard-target-writes"):
        pair.rollback()
    assert pair.rollback(discard=True).done
    pair.change_settings(target=there)
    pair.write("INSERT INTO p (name) VALUES ('on SQLite again')")
    with pytest.raises(RefusedError, match="run cdcsync rollback --discard-target-writes"):
        pair.run_once()
    assert pair.rollback(discard=True).done
    pair.run_once()
    assert pair.verify().equal


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE p ADD COLUMN later TEXT",
        "ALTER TABLE c DROP COLUMN at",
        "DROP TABLE c",
        "ALTER TABLE p RENAME TO q",
        "DROP TRIGGER _cdcsync_1_after_insert",
    ],
)
@pytest.mark.parametrize("way", ["forth", "back"])
def test_a_schema_changed_after_the_decision_bars_no_way(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, change: str, way: str
) -> None:
    """No fence stops DDL: a cutover that was cut goes on with what was proven, or the application goes back."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    pair.application.execute(change)
    if way == "forth":
        report = pair.cutover()
        assert report.done, report
        assert any("after the decision: PostgreSQL is as it was before" in remark for remark in report.remarks)
        pair.execute("INSERT INTO c VALUES (2, 2, NULL)")
    else:
        assert pair.rollback().done
        pair.application.execute("DELETE FROM loose")


def test_a_table_lost_in_postgresql_after_the_decision_is_not_handed_over(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would have its rows; the way back is named."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    pair.execute("DROP TABLE loose")
    report = pair.cutover()
    assert not report.done
    assert "neither side accepts writes" in str(report.reason)
    assert pair.rollback().done
    pair.sync()
    assert pair.verify().equal


def test_uninstall_waits_until_a_decided_cutover_is_gone_on_with(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would leave a fenced source, a target without its foreign keys, and nothing that knows the way from there."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    for lift in (False, True):
        with pytest.raises(RefusedError, match="run cdcsync cutover to go on, or cdcsync rollback"):
            pair.uninstall(lift_fence=lift)
    assert pair.cutover().done
    pair.uninstall()

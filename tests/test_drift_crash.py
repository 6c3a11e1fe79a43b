"""A sync that is killed after any commit of either side while it answers a drift: the next one ends right."""

from __future__ import annotations

from itertools import count, product
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.pq import TransactionStatus
from support.pair import Pair, wipe

from cdcsync.edges import capture
from cdcsync.edges.target import Target
from cdcsync.machine import look

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Database

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE item (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER);
CREATE UNIQUE INDEX item_name ON item (name);
CREATE TABLE note (body TEXT);
CREATE TABLE pair (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO parent VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO item VALUES (1, 1, 'a', 10), (2, 1, 'b', 20), (3, 2, 'c', 30), (4, 2, 'd', 40);
INSERT INTO note VALUES ('n');
INSERT INTO pair VALUES ('x', 1), ('y', 2);
"""


def _rebuilt(name: str) -> tuple[str, ...]:
    """Return the twelve steps, with rows that nobody logs."""
    return (
        "CREATE TABLE made (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER)",
        f"INSERT INTO made SELECT id, parent, {name}, n FROM item",
        "DROP TABLE item",
        "ALTER TABLE made RENAME TO item",
        "CREATE UNIQUE INDEX item_name ON item (name)",
    )


WRITES = ("DELETE FROM item WHERE id = 3", "INSERT INTO item (id, parent, name) VALUES (50, 2, 'new')")
DRIFTS = {
    "rebuilt": (*_rebuilt("name || '!'"), *WRITES),
    "unique values swapped": (*_rebuilt("CASE id WHEN 1 THEN 'b' WHEN 2 THEN 'a' ELSE name END"), *WRITES),
    "column with a default": ("ALTER TABLE item ADD COLUMN q INTEGER NOT NULL DEFAULT 4", *WRITES),
    "column": ("ALTER TABLE item ADD COLUMN q TEXT", "UPDATE item SET q = 'q' WHERE id = 2", *WRITES),
    "column dropped": ("ALTER TABLE item DROP COLUMN n", *WRITES),
    "column renamed": ("ALTER TABLE item RENAME COLUMN n TO m", *WRITES),
    "table dropped": ("DROP TABLE pair", *WRITES),
    "table renamed": ("ALTER TABLE pair RENAME TO couple", "DELETE FROM couple WHERE a = 'x'", *WRITES),
    "table created": ("CREATE TABLE fresh (id INTEGER PRIMARY KEY, v)", "INSERT INTO fresh VALUES (1, 'x')", *WRITES),
    "index dropped": ("DROP INDEX item_name", *WRITES),
    "index created": ("CREATE UNIQUE INDEX pair_b ON pair (b)", "INSERT OR REPLACE INTO pair VALUES ('z', 1)", *WRITES),
    "other history": ("DELETE FROM _cdcsync_log", "UPDATE item SET n = 77 WHERE id = 1"),
    "copy dropped": WRITES,
    "guard dropped": WRITES,
}
IN_POSTGRESQL = {
    "copy dropped": ("DROP TABLE item",),
    "guard dropped": ("DROP TRIGGER _cdcsync_guard ON item", "DELETE FROM item WHERE id = 2"),
}
MEANWHILE = {
    "nothing": (),
    "writes": (
        "INSERT INTO item (id, parent, name) VALUES (60, 2, 'a?')",
        "UPDATE parent SET name = name || '?'",
        "DELETE FROM item WHERE id = 1",
        "INSERT INTO note VALUES ('m')",
    ),
    "another drift": (
        "CREATE TABLE other (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
        "INSERT INTO other SELECT id, name || '+' FROM parent",
        "DROP TABLE parent",
        "ALTER TABLE other RENAME TO parent",
        "ALTER TABLE item ADD COLUMN later INTEGER DEFAULT 9",
    ),
    "log cleared": ("DELETE FROM _cdcsync_log", "UPDATE item SET parent = 1"),
}
GAPS = "SELECT count(*) FROM cdcsync.drift WHERE since < until AND until <= closed_at"
UNSEEN = {"rebuilt", "unique values swapped", "other history", "guard dropped"}
"""Drifts in which rows changed without an entry: each is told as a gap."""

USUAL = [
    ("rebuilt", "writes"),
    ("unique values swapped", "nothing"),
    ("other history", "another drift"),
    ("table renamed", "log cleared"),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Pair every drift with everything that can happen meanwhile where `--full` is given, else a few."""
    every = list(product(DRIFTS, MEANWHILE))
    metafunc.parametrize(("drift", "meanwhile"), every if metafunc.config.getoption("--full") else USUAL)


class Killed(BaseException):
    """What kill -9 is to a process: nothing after it runs."""


class Death:
    """Lets this process work until it has committed so many times, in SQLite or PostgreSQL; then nothing works."""

    def __init__(self, commits: int, patch: pytest.MonkeyPatch) -> None:
        """Count from now on."""
        self._left = commits
        execute, control, reinstall = Target.execute, Target.control, capture.reinstall

        def counted_execute(target: Target, /, *arguments: Any, **parameters: Any) -> Any:
            self._refuse_the_dead()
            alone = target.connection.info.transaction_status == TransactionStatus.IDLE
            done = execute(target, *arguments, **parameters)
            if alone and str(done.statusmessage).startswith(("INSERT", "UPDATE", "DELETE")):
                self._committed()
            return done

        def counted_control(target: Target, statement: Any) -> str | None:
            self._refuse_the_dead()
            answer = control(target, statement)
            if answer == "COMMIT":
                self._committed()
            return answer

        def counted_reinstall(*arguments: Any, **named: Any) -> float:
            self._refuse_the_dead()
            seconds = reinstall(*arguments, **named)
            self._committed()
            return seconds

        patch.setattr(Target, "execute", counted_execute)
        patch.setattr(Target, "control", counted_control)
        patch.setattr(capture, "reinstall", counted_reinstall)

    def _committed(self) -> None:
        self._left -= 1
        self._refuse_the_dead()

    def _refuse_the_dead(self) -> None:
        if self._left <= 0:
            raise Killed


def killed(pair: Pair, commits: int) -> bool:
    """Sync, and die after so many commits; tell whether it came to that."""
    with pytest.MonkeyPatch.context() as patch:
        Death(commits, patch)
        try:
            pair.sync()
        except Killed:
            return True
    return False


def test_killed_after_any_commit_of_an_answer(
    tmp_path: Path, shared_database: Database, monkeypatch: pytest.MonkeyPatch, drift: str, meanwhile: str
) -> None:
    """Whatever comes between death and restart, both sides are equal, the drift is closed and capture works."""
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)
    for commits in count(1):
        wipe(shared_database)
        folder = tmp_path / str(commits)
        folder.mkdir()
        with Pair(folder, shared_database, SCHEMA, new_tables="capture") as pair:
            pair.install()
            pair.sync()
            pair.write(*DRIFTS[drift])
            pair.execute(*IN_POSTGRESQL.get(drift, ()))
            if not killed(pair, commits):
                break
            pair.write(*MEANWHILE[meanwhile])
            try:
                _ends_right(pair)
                assert drift not in UNSEEN or pair.target(GAPS) != [(0,)]
            except Exception as error:
                error.add_note(f"killed after commit {commits}")
                raise
    assert commits > 5, "an answer has more commits than that"
    wipe(shared_database)


def _ends_right(pair: Pair) -> None:
    pair.sync()
    # No row that could have been missed so far: that is for the comparison to find.
    pair.write("INSERT INTO item (id, parent, name) VALUES (160, 2, 'last')", "UPDATE item SET id = 400 WHERE id = 4")
    pair.write("DELETE FROM parent WHERE id = 3", "INSERT INTO note VALUES ('last')")
    pair.sync()
    report = pair.verify()
    assert report.equal, report.shown
    unsettled = "SELECT table_name, kind FROM cdcsync.drift WHERE closed_at IS NULL AND kind <> 'dropped'"
    assert pair.target(unsettled) == []
    unique = "SELECT count(*) FROM pg_constraint WHERE contype = 'u' AND conrelid = 'parent'::regclass"
    assert pair.target(unique) == [(1,)]
    ours = pair.source("SELECT count(*) FROM sqlite_master WHERE name = 'item_name'")
    assert pair.target("SELECT count(*) FROM pg_indexes WHERE indexname = 'item_name'") == ours

"""Triggers go in, and come off, a few at a time: the write lock is never held for long, and a kill harms nobody."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges import capture, write_lock
from cdcsync.edges.schema import read_schema
from cdcsync.words.errors import SchemaMovedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cdcsync.edges.triggers import Captured

TABLES = 60
INSTALL = """
import sys, time
from pathlib import Path
from cdcsync.edges import capture, write_lock
from test_capture_steps import captured
write_lock.STEP_SECONDS, write_lock.TURN_SECONDS = 0.0005, 0.05
path = Path(sys.argv[1])
getattr(capture, sys.argv[2])(path, *captured(path) if sys.argv[2] == "install" else ())
"""


def captured(path: Path) -> tuple[list[Captured], int]:
    """Return what is to be captured, and the version of the schema."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [table for table in read_schema(connection).tables if not table.name.startswith("_cdcsync")]
        version = connection.execute("PRAGMA schema_version").fetchone()[0]
    return [(number, table, table.key) for number, table in enumerate(tables, 1)], version


@pytest.fixture(params=["wal", "delete"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database of many tables."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute("BEGIN")
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT UNIQUE, v)")
        connection.commit()
    return path


@pytest.fixture
def at_each_turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have something done whenever the write lock was given back, by the number of times that was."""
    monkeypatch.setattr(write_lock, "STEP_SECONDS", 0.0)

    def plan(act: Callable[[int], None]) -> None:
        turns = iter(range(1, 1_000_000))
        monkeypatch.setattr(write_lock.time, "sleep", lambda _: act(next(turns)))

    return plan


def _ours(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM sqlite_master WHERE name GLOB '_cdcsync*'").fetchone()[0])


def _write(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
        for number in range(TABLES):
            connection.execute(f"REPLACE INTO t{number} (name) VALUES (?)", (name,))


def _logged(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT seq, tbl FROM _cdcsync_log ORDER BY seq").fetchall()


def test_the_lock_is_given_back_between_the_triggers_of_many_tables(path: Path) -> None:
    """No stretch is as long as all of them."""
    held = capture.install(path, *captured(path))
    assert held.times > 1
    assert held.longest_seconds < held.seconds
    assert f"{held.longest_seconds * 1000:.1f} ms at most" in str(held)
    away = capture.uninstall(path)
    assert away.times >= 1
    assert _ours(path) == 0


def test_what_is_written_between_two_steps_is_logged_behind_the_first_entry(
    path: Path, at_each_turn: Callable[[Callable[[int], None]], None]
) -> None:
    """The application has its turn, and position 1 keeps its anchor."""
    at_each_turn(lambda turn: _write(path, "one") if turn == TABLES else None)
    capture.install(path, *captured(path))
    entries = _logged(path)
    assert entries[0] == (1, 0)
    assert {table for _, table in entries[1:]} == set(range(1, TABLES // 5 + 1))


def test_a_schema_that_changes_between_two_steps_ends_the_installation_and_leaves_nothing(
    path: Path, at_each_turn: Callable[[Callable[[int], None]], None]
) -> None:
    """What was looked at is no longer what is there."""

    def alter(turn: int) -> None:
        if turn == TABLES:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("ALTER TABLE t7 ADD COLUMN w")

    at_each_turn(alter)
    with pytest.raises(SchemaMovedError, match="run it again"):
        capture.install(path, *captured(path))
    assert _ours(path) == 0
    _write(path, "after")


def test_an_installation_that_was_overtaken_leaves_the_other_ones_triggers(
    path: Path, at_each_turn: Callable[[Callable[[int], None]], None]
) -> None:
    """Two operators at once: one is told to look again, and what the other made stays."""

    def overtake(turn: int) -> None:
        if turn == TABLES:
            capture.install(path, *captured(path))

    at_each_turn(overtake)
    with pytest.raises(SchemaMovedError):
        capture.install(path, *captured(path))
    assert _ours(path) == 5 * TABLES + 4
    _write(path, "after")


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_kill_between_two_steps_harms_nobody_and_is_mended_by_running_again(path: Path, verb: str) -> None:
    """The application goes on writing; the next install or uninstall finds what is left."""
    if verb == "uninstall":
        capture.install(path, *captured(path))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    before = _ours(path)
    child = subprocess.Popen([sys.executable, "-c", INSTALL, str(path), verb], env=environment)
    deadline = time.monotonic() + 30
    while abs(_ours(path) - before) < 20 and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    left = _ours(path)
    assert 0 < left < 5 * TABLES
    _write(path, "between")
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "_cdcsync_tables" not in names, "it would count as installed"
    capture.install(path, *captured(path))
    assert _ours(path) == 5 * TABLES + 4
    assert _logged(path) == [(1, 0)]
    capture.uninstall(path)
    assert _ours(path) == 0

"""The write-ahead log stays small: no read of cdcsync's lasts so long that the application cannot begin it again."""

from __future__ import annotations

import sqlite3
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest
from support import shop
from support.applications import Application, head_of
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes
    from support.proxy import Proxy

MIB = 1024 * 1024
LIMIT_BYTES = 64 * MIB
LOOK_SECONDS = 0.002
AS_FAST_AS_IT_CAN = 1e6
COMMITS, COMMITS_IN_FULL = 1_000, 30_000
"""Of 100 kB each: far more than the limit."""

WRITE_SECONDS = 1_200.0
BACKLOG = 300_000
LARGE_ROWS, LARGE_ROW_BYTES = 100_000, 4_000


class WalWatch:
    """Looks at the size of the write-ahead log from outside; `largest` is the most it ever was, in bytes."""

    def __init__(self, source: Path) -> None:
        """Look at this database's log."""
        self._wal = source.with_name(source.name + "-wal")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.largest = 0

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def assert_small(self, when: str) -> None:
        """Tell the largest size, which is below the limit."""
        told = f"{when}: the write-ahead log was {self.largest / MIB:.1f} MiB at most"
        sys.stdout.write(told + "\n")
        assert 0 < self.largest < LIMIT_BYTES, told

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            if self._wal.exists():
                self.largest = max(self.largest, self._wal.stat().st_size)


def _wait_for_commits(source: Path, commits: int) -> None:
    head = head_of(source)
    wait_until(lambda: head_of(source) >= head + commits, f"{commits} commits", WRITE_SECONDS)


def _refill(source: Path, customers: int) -> None:
    source.unlink()
    shop.create(source, customers=customers)


def test_wal_stays_small_through_copy_and_stream(
    cli: Cli, source: Path, database: Database, processes: Processes, *, full: bool
) -> None:
    """Under a load of hundreds of megabytes, written as fast as the disk takes them, it stays below 64 MiB."""
    _refill(source, 200_000 if full else 5_000)
    application = Application(processes, "bulky", source, AS_FAST_AS_IT_CAN)
    with WalWatch(source) as watch:
        daemon = cli.daemon("--install", state="copying" if full else None)
        cli.wait_for_state("streaming", daemon)
        _wait_for_commits(source, COMMITS_IN_FULL if full else COMMITS)
    report = application.stop()
    watch.assert_small(f"copy and stream, {report.commits / 10:.0f} MB written")
    assert cli("drain", "--quiet-seconds", "0.1", "--json").json["drained"]
    assert_same(source, database)
    assert daemon.is_running()


@pytest.mark.parametrize("phase", ["copying", "streaming"])
def test_wal_stays_small_while_postgres_is_slow(
    proxied_cli: Cli, proxy: Proxy, source: Path, processes: Processes, *, phase: str, full: bool
) -> None:
    """No read transaction is open while PostgreSQL is waited for, in the copy neither."""
    _refill(source, 20_000)
    proxied_cli("install")
    if phase == "copying":
        proxy.delay(0.02)
    daemon = proxied_cli.daemon(state=phase)
    proxy.delay(0.2)
    application = Application(processes, "bulky", source, AS_FAST_AS_IT_CAN)
    with WalWatch(source) as watch:
        _wait_for_commits(source, COMMITS_IN_FULL if full and phase == "streaming" else COMMITS)
    assert proxied_cli.state() in {phase, "catching_up"}
    report = application.stop()
    watch.assert_small(f"{phase} with a slow target, {report.commits / 10:.0f} MB written")
    assert daemon.is_running()


def test_wal_stays_small_while_a_large_backlog_is_caught_up(
    cli: Cli, source: Path, database: Database, processes: Processes, *, full: bool
) -> None:
    """Hundreds of thousands of changes made while the daemon was down are read in pieces, while writes go on."""
    with closing(sqlite3.connect(source)) as db:
        db.execute("CREATE TABLE large (id INTEGER PRIMARY KEY, body TEXT)")
    cli("install")
    cli("run", "--once")
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        _make_backlog(db)
        if full:
            _make_large_backlog(db)
        # What the backlog itself left there is not what is looked at.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    head = head_of(source)
    application = Application(processes, "bulky", source, AS_FAST_AS_IT_CAN)
    with WalWatch(source) as watch:
        daemon = cli.daemon(state=None)
        wait_until(lambda: cli.applied() >= head, "the backlog is applied", WRITE_SECONDS)
    report = application.stop()
    watch.assert_small(f"catching up {head} changes, {report.commits / 10:.0f} MB written")
    assert daemon.is_running()
    assert cli("drain", "--quiet-seconds", "0.1", "--json").json["drained"]
    assert_same(source, database, ["prices", "large"])


def _make_backlog(db: sqlite3.Connection) -> None:
    """Insert rows in transactions of ordinary size, and delete a third of them again."""
    rows = BACKLOG * 3 // 4
    for first in range(0, rows, 10_000):
        db.execute("BEGIN")
        numbers = range(first, min(first + 10_000, rows))
        db.executemany("INSERT INTO prices VALUES (?, ?, 1)", ((f"backlog-{n}", n) for n in numbers))
        db.execute("COMMIT")
    db.execute("DELETE FROM prices WHERE day % 3 = 0")


def _make_large_backlog(db: sqlite3.Connection) -> None:
    """Insert rows of which one read takes hundreds of megabytes."""
    rows = ((n, "x" * LARGE_ROW_BYTES) for n in range(LARGE_ROWS))
    db.execute("BEGIN")
    db.executemany("INSERT INTO large VALUES (?, ?)", rows)
    db.execute("COMMIT")

"""The corners in which capture could harm an application: its schema changes, its authorizer, a lost changelog."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.applications import Application, head_of

from cdcsync.edges import capture
from cdcsync.machine import chores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.pair import Pair
    from support.processes import Processes

FAST = 5_000.0
PRUNED = "numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 20000)"
IDLE_SECONDS = 0.5
TABLES = 50
SCHEMA_TEXT = "SELECT type, name, sql FROM sqlite_master ORDER BY name"

INDEXED = """
CREATE TABLE by_expression (id TEXT PRIMARY KEY, name TEXT, spare, CHECK (id <> ''));
CREATE UNIQUE INDEX by_lower ON by_expression (lower(name));
CREATE TABLE by_part (id INTEGER PRIMARY KEY, name TEXT, open INTEGER, spare);
CREATE UNIQUE INDEX by_open ON by_part (name) WHERE open;
CREATE TABLE by_column (id INTEGER PRIMARY KEY, name TEXT UNIQUE, spare);
CREATE TABLE by_nothing (name, spare);
"""


def test_no_write_fails_while_cdcsync_is_installed_and_uninstalled(
    cli: Cli, source: Path, processes: Processes
) -> None:
    """A writer at full speed notices neither: triggers go before the log they write to, in one transaction."""
    with closing(sqlite3.connect(source)) as db:
        before = db.execute(SCHEMA_TEXT).fetchall()
    writer = Application(processes, "hasty", source, FAST, timeout=5)
    visitor = Application(processes, "visiting", source, rate=100)
    for _ in range(2):
        cli("install")
        cli("uninstall", "--target")
    reports = [writer.stop(), visitor.stop()]
    for report in reports:
        report.tell()
        assert not report.failures
    with closing(sqlite3.connect(source)) as db:
        assert db.execute(SCHEMA_TEXT).fetchall() == before


def test_install_of_fifty_tables_makes_a_busy_writer_wait_and_not_fail(
    cli: Cli, source: Path, processes: Processes
) -> None:
    """What install holds the write lock for is printed by it; what a writer waited is printed here."""
    with closing(sqlite3.connect(source)) as db:
        for number in range(TABLES):
            db.execute(f"CREATE TABLE t{number} (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v)")
    writer = Application(processes, "hasty", source, FAST, timeout=5)
    said = cli("install").out
    report = writer.stop()
    report.tell()
    sys.stdout.write(said)
    assert re.search(r"write lock was held for \d+\.\d ms", said)
    assert not report.failures


@pytest.mark.parametrize("kind", ["hasty", "deferred"])
def test_pruning_makes_no_writer_fail_that_waits_for_a_lock(
    cli: Cli, source: Path, processes: Processes, kind: str
) -> None:
    """It deletes in short transactions with pauses; what read-then-write transactions meet is counted here."""
    cli("install")
    with closing(sqlite3.connect(source)) as db:
        db.execute(
            f"INSERT INTO _cdcsync_log (tbl, at, k1) WITH RECURSIVE {PRUNED} SELECT 1, 2461000.5, n FROM numbers"
        )
        db.commit()
    head = head_of(source)
    writer = Application(processes, kind, source, FAST, timeout=5)
    longest = 0.0
    while (pruned := capture.prune(source, head, 24.0, chores.PRUNE_ENTRIES))[0]:
        longest = max(longest, pruned[1])
        time.sleep(chores.PRUNE_PAUSE_SECONDS)
    report = writer.stop()
    report.tell()
    sys.stdout.write(f"pruning held the write lock for {longest * 1000:.1f} ms at most\n")
    assert report.commits
    if kind == "hasty":
        assert not report.failures
    assert not report.kinds().keys() - {"SQLITE_BUSY: database is locked", "SQLITE_BUSY_SNAPSHOT: database is locked"}


def test_idle_daemon_leaves_every_byte_as_it_is(cli: Cli, source: Path) -> None:
    """While nobody writes, neither database nor write-ahead log changes, nor is either touched."""
    with closing(shop.open_as_application(source)) as application:
        cli("install")
        daemon = cli.daemon()
        application.execute("UPDATE customers SET name = 'in the log'")
        before = _bytes(source)
        time.sleep(IDLE_SECONDS)
        cli("verify")
        assert _bytes(source) == before
        assert daemon.is_running()


def _bytes(source: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in source.parent.glob("app.db*") if not path.name.endswith("-shm"))
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("table", ["by_expression", "by_part", "by_column", "by_nothing"])
def test_column_in_no_key_and_no_unique_index_can_be_dropped(make_pair: Callable[..., Pair], table: str) -> None:
    """Triggers name only columns that SQLite itself would not let go, so that migrations work while installed."""
    pair = make_pair(INDEXED)
    pair.install()
    pair.application.execute(f"ALTER TABLE {table} DROP COLUMN spare")
    pair.application.execute(f"ALTER TABLE {table} ADD COLUMN later DEFAULT 7")
    pair.application.execute(f"INSERT INTO {table} (name) VALUES ('written after it')")


@pytest.mark.parametrize(
    ("table", "column"), [("by_expression", "id"), ("by_expression", "name"), ("by_column", "name")]
)
def test_column_of_a_key_or_unique_index_is_refused_as_it_is_without_cdcsync(
    make_pair: Callable[..., Pair], tmp_path: Path, table: str, column: str
) -> None:
    """SQLite's own refusal comes first, word for word; nothing is changed by it."""
    pair = make_pair(INDEXED)
    dropped = f"ALTER TABLE {table} DROP COLUMN {column}"
    with closing(sqlite3.connect(tmp_path / "plain.db")) as plain:
        plain.executescript(INDEXED)
        with pytest.raises(sqlite3.OperationalError) as without:
            plain.execute(dropped)
    pair.install()
    with pytest.raises(sqlite3.OperationalError, match=f"^{re.escape(str(without.value))}$"):
        pair.application.execute(dropped)
    pair.application.execute(f"INSERT INTO {table} (id, name) VALUES (8, 'written after it')")


def test_authorizer_that_does_not_know_the_changelog_denies_the_write_and_can_tell_our_triggers(
    make_pair: Callable[..., Pair],
) -> None:
    """A connection that forbids unknown tables must allow what comes from a trigger of ours, whose name it is told."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    pair.install()
    known = {"t", "sqlite_master"}

    def strict(
        _action: int, table: str | None, _column: str | None, _database: str | None, _trigger: str | None
    ) -> int:
        return sqlite3.SQLITE_OK if table is None or table in known else sqlite3.SQLITE_DENY

    def mended(action: int, table: str | None, column: str | None, database: str | None, trigger: str | None) -> int:
        ours = trigger is not None and trigger.startswith("_cdcsync_")
        return sqlite3.SQLITE_OK if ours else strict(action, table, column, database, trigger)

    with closing(sqlite3.connect(pair.path, isolation_level=None)) as application:
        application.set_authorizer(strict)
        with pytest.raises(sqlite3.DatabaseError, match=r"not authorized|prohibited"):
            application.execute("INSERT INTO t VALUES (1, 'denied')")
        application.set_authorizer(mended)
        application.execute("INSERT INTO t VALUES (2, 'allowed')")
    assert pair.source("SELECT id FROM t") == [(2,)]
    assert pair.source("SELECT max(k1) FROM _cdcsync_log WHERE tbl > 0") == [(2,)]


def test_dropped_changelog_fails_the_applications_writes_and_every_verb_says_so(cli: Cli, source: Path) -> None:
    """Somebody drops the log and leaves its triggers: what is wrong and what mends it is named, and mends it."""
    cli("install")
    cli("run", "--once")
    with closing(shop.open_as_application(source)) as application:
        application.execute("DROP TABLE _cdcsync_log")
        with pytest.raises(sqlite3.OperationalError, match=r"no such table: main\._cdcsync_log"):
            application.execute("UPDATE customers SET name = 'refused'")
        for verb in ("lag", "status", "run"):
            result = cli(verb, expect=None)
            assert result.code
            said = result.out + result.err
            for part in ("changelog", "writes", "fail", "cdcsync install"):
                assert part in said, f"{verb}: {said}"
        cli("install")
        _write_again(application)


@pytest.mark.parametrize("table", ["_cdcsync_log", "_cdcsync_meta"])
def test_uninstall_frees_the_application_whatever_of_ours_was_dropped(cli: Cli, source: Path, table: str) -> None:
    """Nothing of ours is left and every write goes through, with one of our tables gone."""
    cli("install")
    with closing(shop.open_as_application(source)) as application:
        application.execute(f"DROP TABLE {table}")
        cli("uninstall", "--source-only")
        _write_again(application)
        ours = "SELECT name FROM sqlite_master WHERE name LIKE '\\_cdcsync\\_%' ESCAPE '\\'"
        assert application.execute(ours).fetchall() == []


def _write_again(application: sqlite3.Connection) -> None:
    # An UPDATE that fails to compile never looks whether the schema it knows is still the one of the file.
    application.execute("SELECT 1 FROM customers").fetchone()
    application.execute("UPDATE customers SET name = 'written'")

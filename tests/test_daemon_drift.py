"""Trap C3 and others, with the daemon at work: another file under its feet, a changelog gone, repair beside it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from support import shop
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database


def _copy(source: Path) -> Path:
    copy = source.with_name("copy.db")
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(copy)) as backup:
        live.backup(backup)
    return copy


def _put_in_place(copy: Path, source: Path) -> None:
    """Restore as one does while no application is running: the log of the old file goes first."""
    for suffix in ("-wal", "-shm"):
        source.with_name(source.name + suffix).unlink(missing_ok=True)
    os.replace(copy, source)  # noqa: PTH105  the very call that changes the inode


def _write(source: Path, *statements: str) -> None:
    with closing(shop.open_as_application(source)) as db:
        for statement in statements:
            db.execute(statement)


def _uninstalled(path: Path) -> None:
    """Leave nothing of cdcsync in a file, as if it had been copied before install."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for kind in ("trigger", "table"):
            names = db.execute("SELECT name FROM sqlite_master WHERE type = ? AND name GLOB '_cdcsync_*'", (kind,))
            for (name,) in names.fetchall():
                db.execute(f"DROP {kind} {name}")


def test_c3_a_backup_restored_under_the_daemon_is_followed(cli: Cli, database: Database, source: Path) -> None:
    """It sees the new inode, opens it, finds another history and mends every table; the gap is reported."""
    cli("install")
    daemon = cli.daemon()
    copy = _copy(source)
    _write(source, "UPDATE customers SET name = 'after the backup'", "DELETE FROM lines")
    wait_until(lambda: database.value("SELECT count(*) FROM lines") == 0, "the later writes arrive", 20)
    before = cli("status", "--json").json
    _put_in_place(copy, source)
    wait_until(lambda: cli("status", "--json").json["epoch"] != before["epoch"], "the new history is followed", 30)
    _write(source, "UPDATE customers SET name = 'in the old file' WHERE id = 1")
    cli.wait_for_state("streaming", daemon)
    wait_until(lambda: cli("verify", "--json", expect=None).json["equal"], "both sides are equal", 30)
    assert_same(source, database)
    found = cli("status", "--json").json
    assert found["drift"] == []
    assert {gap["kind"] for gap in found["gaps"]} == {"other history"}
    assert all(gap["since"] < gap["until"] < gap["closed_at"] for gap in found["gaps"])
    assert "another history" in daemon.err
    daemon.terminate()


def test_c3_a_file_from_before_install_stops_the_daemon_and_install_takes_it_back(
    cli: Cli, database: Database, source: Path
) -> None:
    """Exit 3 with the one command; then nothing of the newer file is left in the target."""
    cli("install")
    daemon = cli.daemon()
    copy = _copy(source)
    _uninstalled(copy)
    _write(source, "UPDATE customers SET name = 'lost'")
    _put_in_place(copy, source)
    assert daemon.wait() == 3
    assert "run cdcsync install" in daemon.err
    assert "run cdcsync install" in cli("lag", expect=3).out
    assert "knows this source" in cli("install").out
    cli("run", "--once")
    assert cli("verify", "--json").json["equal"]
    assert_same(source, database)


def test_b2_a_dropped_changelog_stops_the_daemon_with_the_way_out(cli: Cli, database: Database, source: Path) -> None:
    """Every write of the application fails until install has made it again; status and lag say so."""
    cli("install")
    daemon = cli.daemon()
    _write(source, "DROP TABLE _cdcsync_log")
    assert daemon.wait() == 3
    for verb, code in (("status", 1), ("lag", 3), ("run", 1)):
        said = cli(verb, expect=code)
        assert "has lost its changelog" in said.out + said.err, verb
    cli("install")
    _write(source, "UPDATE customers SET name = 'works again' WHERE id = 1")
    cli("run", "--once")
    assert_same(source, database)


def test_uninstall_frees_a_source_that_lost_its_changelog(cli: Cli, database: Database, source: Path) -> None:
    """Its triggers go, which made every write fail, and the guard is taken off."""
    cli("run", "--install", "--once")
    _write(source, "DROP TABLE _cdcsync_log")
    assert cli("uninstall").out.startswith("uninstalled")
    _write(source, "UPDATE customers SET name = 'free'")
    assert database.value("SELECT count(*) FROM pg_trigger WHERE tgname = '_cdcsync_guard'") == 0
    assert cli("uninstall").out == "not installed: nothing to do\n"


def test_verify_repair_beside_the_daemon_takes_over_and_gives_back(cli: Cli, database: Database, source: Path) -> None:
    """The daemon stands by while the tables are mended, and goes on streaming."""
    cli("install")
    daemon = cli.daemon()
    with database.server.admin(database.name) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("DELETE FROM customers WHERE id % 2 = 0")
        admin.execute("UPDATE orders SET total = -1")
    found = cli("verify", "--json", expect=1).json
    assert {t["name"] for t in found["tables"] if t["differences"]} == {"customers", "orders"}
    assert cli("verify", "--repair", "--json").json["equal"]
    _write(source, "UPDATE customers SET name = 'streamed' WHERE id = 1")
    wait_until(lambda: database.value("SELECT name FROM customers WHERE id = 1") == "streamed", "it streams on", 20)
    assert "standing by" in daemon.err
    assert_same(source, database)
    daemon.terminate()


def test_verify_repair_without_a_daemon_answers_drift_first(cli: Cli, database: Database, source: Path) -> None:
    """A rebuilt table is captured again and mended by the verb alone."""
    cli("run", "--install", "--once")
    with closing(shop.open_as_application(source)) as db:
        (text,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'prices'").fetchone()
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("ALTER TABLE prices RENAME TO prices_old")
        db.execute(text)
        db.execute("INSERT INTO prices SELECT * FROM prices_old")
        db.execute("DROP TABLE prices_old")
        db.execute("UPDATE prices SET price = price + 1")
    assert "prices was rebuilt" in cli("verify", expect=3).err
    assert [drift["kind"] for drift in cli("status", "--json").json["drift"]] == ["rebuilt"]
    assert "drift" in cli("lag", expect=1).out
    assert cli("verify", "--repair", "--json").json["equal"]
    assert cli("status", "--json").json["drift"] == []
    assert_same(source, database)

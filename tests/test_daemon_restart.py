"""Verbs run again at any moment: nothing is done twice, and a drain says the truth about the source."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import shop
from support.compare import assert_same, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Running

WRITES = {
    "INSERT": "INSERT INTO prices VALUES ('foreign', 1, 1)",
    "UPDATE": "UPDATE customers SET name = 'foreign'",
    "DELETE": "DELETE FROM lines",
    "TRUNCATE": "TRUNCATE orders, lines",
    "MERGE into nothing": "UPDATE customers SET name = 'foreign' WHERE false",
    "COPY": "COPY prices FROM STDIN",
}


def _versions(source: Path, database: Database) -> dict[str, list[tuple[str, str]]]:
    """Return the row versions of every table: xmin changes with any write, even of the same values."""
    return {table: database.rows(f"SELECT ctid::text, xmin::text FROM {table}") for table in tables_of(source)}


def test_run_once_again_changes_nothing(cli: Cli, database: Database, source: Path) -> None:
    """The second run writes no row; one after a change writes that row alone."""
    cli("install")
    assert cli("install").out.startswith("already installed")
    first = cli("run", "--once", "--json").json
    before = _versions(source, database)
    again = cli("run", "--once", "--json").json
    assert _versions(source, database) == before
    assert again["applied_seq"] == first["applied_seq"]
    assert again["rows"] == first["rows"]
    with closing(shop.open_as_application(source)) as db:
        db.execute("UPDATE customers SET name = 'once more' WHERE id = 3")
        db.execute("UPDATE customers SET name = name WHERE id = 4")
    cli("run", "--once")
    after = _versions(source, database)
    changed = {table for table in after if sorted(after[table]) != sorted(before[table])}
    assert changed == {"customers"}
    assert len(set(after["customers"]) - set(before["customers"])) == 1
    assert_same(source, database)


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "dead"])
def test_drain_works_with_the_daemon_alive_and_dead(
    cli: Cli, database: Database, source: Path, start_writer: Callable[..., Running], *, alive: bool
) -> None:
    """What the daemon has not applied yet `drain` applies, and the guard stays on."""
    writer = start_writer()
    cli("install")
    daemon = cli.daemon()
    if not alive:
        daemon.kill()
    assert writer.terminate() == 0
    report = cli("drain", "--json", "--quiet-seconds", "0.3").json
    assert report["drained"]
    assert report["quiet"]
    assert not report["handed_over"]
    assert report["new_changes"] == 0
    assert_same(source, database)
    with database.connect() as connection, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        connection.execute(b"DELETE FROM prices")
    if alive:
        cli.wait_for_state("streaming", daemon)
        with closing(shop.open_as_application(source)) as db:
            db.execute("UPDATE customers SET name = 'after the drain'")
        assert cli("drain", "--json", "--quiet-seconds", "0").json["drained"]
        assert daemon.is_running()
        assert daemon.terminate() == 0


def test_drain_fails_and_names_the_tables_while_writes_go_on(
    cli: Cli, source: Path, start_writer: Callable[..., Running]
) -> None:
    """A source that is not quiet is not handed over: exit 1, how many changes, in which tables."""
    assert source.exists()
    writer = start_writer()
    cli("install")
    daemon = cli.daemon()
    for options in ((), ("--handover",)):
        report = cli("drain", *options, "--json", expect=1).json
        assert not report["quiet"]
        assert not report["handed_over"]
        assert report["new_changes"] > 0
        assert report["tables"]
        assert set(report["tables"]) <= {"customers", "orders", "lines", "prices"}
    said = cli("drain", expect=1)
    assert "not quiet" in said.out
    cli.wait_for_state("streaming", daemon)
    assert writer.terminate() == 0
    assert json.loads(writer.out.splitlines()[-1])["errors"] == []
    assert daemon.is_running()


def test_handover_again_and_run_after_it_do_nothing_and_succeed(cli: Cli, database: Database, source: Path) -> None:
    """After the handover every verb that syncs ends with 0 and writes nothing, whatever happens to the old file."""
    cli("install")
    daemon = cli.daemon()
    assert cli("drain", "--handover", "--quiet-seconds", "0.2", "--json").json["handed_over"]
    assert daemon.wait() == 0
    with database.connect() as connection:
        connection.execute(b"INSERT INTO prices VALUES ('new world', 1, 1)")
    with closing(shop.open_as_application(source)) as db:
        db.execute("DELETE FROM customers")
    before = _versions(source, database)
    assert cli("drain", "--handover", "--json").json["handed_over"]
    cli("run", seconds=30)
    cli("run", "--once", seconds=30)
    assert _versions(source, database) == before
    assert cli("status", "--json").json["state"] == "cut_over"


def test_run_once_is_interrupted_by_sigterm_and_continued(
    cli: Cli, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Stopped before it was caught up, `run --once` says so with 1; the next one finishes."""
    source.unlink()
    shop.create(source, customers=10_000)
    cli("install")
    once = cli.start("run", "--once", "--copy-commit-rows", "500")
    cli.wait_for_state("copying", once)
    assert once.terminate() == 1, once.err
    assert "goes on from here" in once.out
    writer = start_writer(rate=50)
    cli("run", "--once")
    assert writer.terminate() == 0
    cli("drain", "--quiet-seconds", "0.2")
    assert_same(source, database)


def _try(database: Database, statement: str) -> None:
    with database.connect() as connection:
        if statement.startswith("COPY"):
            with connection.cursor().copy(statement.encode()) as copy:
                copy.write_row(("foreign", 2, 2))
        else:
            connection.execute(statement.encode())


def test_guard_refuses_foreign_writes_until_the_handover_lets_them_in(
    cli: Cli, database: Database, source: Path
) -> None:
    """INSERT, UPDATE, DELETE, TRUNCATE and COPY of other sessions fail, installed or streaming; then they pass."""
    cli("install")
    for _ in range(2):
        before = _versions(source, database)
        for name, statement in WRITES.items():
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="being filled from SQLite"):
                _try(database, statement)
            assert _versions(source, database) == before, name
        cli("run", "--once")
    cli("drain", "--handover", "--quiet-seconds", "0.1")
    for statement in WRITES.values():
        _try(database, statement)
    assert database.value("SELECT count(*) FROM prices WHERE product = 'foreign'") == 2
    assert database.value("SELECT count(*) FROM lines") == 0


def test_guard_switched_off_lets_foreign_writes_in(cli: Cli, database: Database, source: Path) -> None:
    """With guard = false other sessions may write from the start, and `verify` finds what they did."""
    assert source.exists()
    with (cli.cwd / "cdcsync.toml").open("a") as settings:
        settings.write("guard = false\n")
    cli("install")
    cli("run", "--once")
    _try(database, WRITES["INSERT"])
    _try(database, "UPDATE customers SET name = 'foreign' WHERE id = 1")
    _try(database, "DELETE FROM lines WHERE number = 0")
    report = cli("verify", "--json", expect=1).json
    assert not report["equal"]
    found = {(line["table"], line["column"]) for line in report["differences"]}
    assert found == {("prices", None), ("customers", "name"), ("lines", None)}


def test_ids_go_on_where_sqlite_would_have_gone_on(cli: Cli, database: Database, source: Path) -> None:
    """The next id is above the highest AUTOINCREMENT ever gave out, though its row was deleted."""
    with closing(sqlite3.connect(source)) as db, db:
        db.execute("INSERT INTO customers (id, email) VALUES (70001, 'gone@example.org')")
        db.execute("DELETE FROM customers WHERE id = 70001")
    cli("install")
    cli("run", "--once")
    cli("drain", "--handover", "--quiet-seconds", "0.1")
    assert database.value("INSERT INTO customers (email) VALUES ('next@example.org') RETURNING id") == 70002

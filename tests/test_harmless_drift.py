"""No false alarm: what a database's keepers do to it all day long is no drift."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import shop
from support.applications import head_of
from support.compare import assert_same
from support.waiting import wait_until

from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.status import status
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.pair import Pair
    from support.postgres import Database
    from support.processes import Running

TRIES = 1_000
TRIES_BESIDE_A_DAEMON, TRIES_BESIDE_A_DAEMON_IN_FULL = 100, 5_000
# What is done, and what undoes it; a captured row is written after either.
HARMLESS = {
    "vacuum": ("VACUUM", ""),
    "analyze": ("ANALYZE", "DROP TABLE IF EXISTS sqlite_stat4; DELETE FROM sqlite_stat1"),
    "reindex": ("REINDEX; REINDEX customers", "REINDEX lines_product"),
    "pragmas": ("PRAGMA optimize; PRAGMA user_version = 7", "PRAGMA user_version = 0; PRAGMA application_id = 9"),
    "temporary tables": (
        """
        CREATE TEMP TABLE orders (id); CREATE INDEX temp.orders_id ON orders (id);
        CREATE TEMP TABLE _cdcsync_log (seq); DROP TABLE temp._cdcsync_log
        """,
        "DROP TABLE temp.orders",
    ),
    "temporary trigger": (
        "CREATE TEMP TRIGGER fleeting AFTER INSERT ON main.customers BEGIN SELECT 1; END",
        "DROP TRIGGER fleeting",
    ),
    "fence": (
        """
        BEGIN IMMEDIATE;
        CREATE TRIGGER _cdcsync_fence_1 BEFORE INSERT ON customers BEGIN SELECT RAISE(ABORT, 'fence'); END;
        CREATE TRIGGER _cdcsync_fence_2 BEFORE UPDATE ON customers BEGIN SELECT RAISE(ABORT, 'fence'); END;
        ROLLBACK
        """,
        "",
    ),
    "index": ("CREATE INDEX passing ON customers (name, credit)", "DROP INDEX passing"),
    "index rolled back": ("BEGIN; CREATE UNIQUE INDEX passing_by ON lines (order_id, number); ROLLBACK", ""),
    "view": ("CREATE VIEW passing_view AS SELECT * FROM customers", "DROP VIEW passing_view"),
    "trigger": (
        "CREATE TRIGGER passing_trigger AFTER UPDATE ON customers WHEN new.id < 0 BEGIN DELETE FROM orders; END",
        "DROP TRIGGER passing_trigger",
    ),
    "checkpoint": ("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(RESTART)"),
}


def _after_each(db: sqlite3.Connection, random: Random, tries: int, look: Callable[[str], None]) -> None:
    """Do and undo them in random order, each at least once; write a row after each and let `look` see to it."""
    done: set[str] = set()
    names = list(HARMLESS)
    for number in range(tries):
        name = names[number] if number < len(names) else random.choice(names)
        do, undo = HARMLESS[name]
        db.executescript(undo if name in done else do)
        if undo:
            done ^= {name}
        db.execute("UPDATE customers SET credit = ? WHERE id = ?", (number, number % 50 + 1))
        db.execute("INSERT INTO prices VALUES ('passing', ?, ?)", (number, number))
        db.execute("DELETE FROM prices WHERE product = 'passing' AND day = ?", (number - 3,))
        look(name)


def test_housekeeping_is_no_drift_in_a_thousand_tries(make_pair: Callable[..., Pair]) -> None:
    """VACUUM, ANALYZE, REINDEX, TEMP objects, an open fence, plain indexes, views and triggers go unnoticed."""
    pair = make_pair(shop.SCHEMA)
    pair.insert("customers (email)", [(f"{number}@example.org",) for number in range(50)])
    pair.install()
    with Context(pair.settings) as context, Session(context) as session:
        session.take("drain")
        sync = Sync(session)
        bring_up(session, sync, lambda: None)
        tries = 0

        def look(name: str) -> None:
            nonlocal tries
            tries += 1
            assert sync.cycle().after == session.checkpoint.position, name
            if tries % 50 == 0:
                assert status(context)["drift"] == [], name

        _after_each(pair.application, Random(3), TRIES, look)
        assert tries == TRIES
        session.release()
    assert pair.verify().equal


def test_rows_that_vacuum_numbers_anew_stay_what_they_were(make_pair: Callable[..., Pair]) -> None:
    """Changes made before and after it are applied to the same rows, also where the rowid is all that names them."""
    pair = make_pair(f"{shop.SCHEMA} CREATE TABLE notes (text)")
    pair.insert("prices", [(f"product {number}", number, 0) for number in range(100)])
    pair.insert("notes", [(f"note {number}",) for number in range(100)])
    pair.install()
    pair.sync()
    pair.write("DELETE FROM prices WHERE day % 2", "DELETE FROM notes WHERE rowid % 2")
    before = pair.source("SELECT max(rowid) FROM notes")
    pair.application.execute("VACUUM")
    assert pair.source("SELECT max(rowid) FROM notes") != before, "VACUUM numbered no row anew"
    pair.write("UPDATE prices SET price = 1 WHERE day < 50", "UPDATE notes SET text = 'changed' WHERE rowid < 20")
    pair.sync()
    assert pair.verify().equal
    assert sorted(pair.target("SELECT text FROM notes")) == sorted(pair.source("SELECT text FROM notes"))


def test_housekeeping_beside_a_daemon_is_no_drift(
    cli: Cli, source: Path, database: Database, start_writer: Callable[..., Running], *, full: bool
) -> None:
    """The daemon goes on streaming through all of it, says nothing, and both sides are equal in the end."""
    cli("install")
    daemon = cli.daemon()
    writer = start_writer(rate=50)
    position = "SELECT applied_seq, state FROM cdcsync.status"
    with (
        closing(shop.open_as_application(source)) as db,
        psycopg.connect(database.conninfo(), autocommit=True) as there,
    ):

        def look(name: str) -> None:
            (head,) = db.execute("SELECT max(seq) FROM _cdcsync_log").fetchone()
            wait_until(lambda: daemon.is_running() and there.execute(position).fetchall()[0][0] >= head, name)

        _after_each(db, Random(4), TRIES_BESIDE_A_DAEMON_IN_FULL if full else TRIES_BESIDE_A_DAEMON, look)
    assert writer.terminate() == 0
    assert cli("drain", "--quiet-seconds", "0.1", "--json").json["drained"]
    told = cli("status", "--json").json
    assert (told["drift"], told["last_errors"], told["daemon"]["running"]) == ([], [], True)
    assert cli("verify", "--json").json["equal"]
    assert_same(source, database)
    worried = [line for line in daemon.err.splitlines() if "WARNING" in line or "ERROR" in line]
    assert not worried


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_open_fence_is_no_drift_to_who_reads_beside_it(cli: Cli, source: Path, journal: str) -> None:
    """While a transaction that made triggers is open, and after its ROLLBACK, the daemon streams on."""
    source.unlink()
    shop.create(source, customers=20, journal=journal)
    cli("install")
    daemon = cli.daemon()
    with closing(shop.open_as_application(source)) as db:
        db.executescript(HARMLESS["fence"][0].replace("ROLLBACK", ""))
        assert db.in_transaction
        told = cli("status", "--json").json
        assert (told["drift"], told["state"]) == ([], "streaming")
        db.execute("ROLLBACK")
        db.execute("UPDATE customers SET name = 'after'")
    wait_until(lambda: cli.applied() == head_of(source), "it streams on")
    assert daemon.is_running()

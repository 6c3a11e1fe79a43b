"""A daemon that waits, is asked to let go, loses a copy or its file under its feet, and says so where one looks."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from support import shop
from support.compare import assert_same
from support.processes import clean_environment
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

# The daemon with its longest waits made short.
IN_A_HURRY = """
from cdcsync.machine import chores, look
chores.RECHECK_SECONDS = look.MISSING_SECONDS = 1.0
from cdcsync.cli.main import main
main()
"""


def _write(source: Path, *statements: str) -> None:
    with closing(shop.open_as_application(source)) as db:
        for statement in statements:
            db.execute(statement)


@contextmanager
def _a_migration(source: Path) -> Iterator[threading.Event]:
    """Drop a trigger of ours, then change the schema again and again until the event is set or the block ends."""
    done = threading.Event()

    def migrate() -> None:
        with closing(shop.open_as_application(source)) as db:
            triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'prices'"
            (name,) = db.execute(triggers).fetchone()
            db.execute(f"DROP TRIGGER {name}")
            db.execute("UPDATE prices SET price = price + 1")
            while not done.wait(0.2):
                db.execute("CREATE VIEW passing AS SELECT 1")
                db.execute("DROP VIEW passing")

    thread = threading.Thread(target=migrate)
    thread.start()
    try:
        yield done
    finally:
        done.set()
        thread.join()


def test_a_daemon_that_waits_for_the_schema_says_so_and_lets_go(cli: Cli, database: Database, source: Path) -> None:
    """A drain takes over in the middle of the wait, which may take half a minute; the state is not streaming."""
    cli("install")
    daemon = cli.daemon()
    with _a_migration(source) as done:
        wait_until(lambda: "lost a trigger" in daemon.err, "the drift is noticed", 20)
        wait_until(lambda: cli.state() == "catching_up", "the state says so", 5)
        drain = cli.start("drain", "--quiet-seconds", "0.1")
        wait_until(lambda: "standing by" in daemon.err or not drain.is_running(), "the daemon lets go", 20)
        done.set()
    assert drain.wait() == 0, drain.err
    assert_same(source, database)
    cli.wait_for_state("streaming", daemon)
    assert daemon.terminate() == 0


def test_verify_repair_takes_over_while_the_daemon_waits_for_a_table(
    cli: Cli, database: Database, source: Path
) -> None:
    """Where a table is missing both wait for five seconds: it may be about to come back."""
    cli("install")
    daemon = cli.daemon()
    _write(source, "PRAGMA foreign_keys = OFF", "DROP TABLE prices")
    wait_until(lambda: "was dropped" in daemon.err, "the drift is noticed", 20)
    repaired = cli("verify", "--repair")
    assert "equal" in repaired.out
    assert "standing by" in daemon.err
    cli.wait_for_state("streaming", daemon)
    _write(source, "UPDATE customers SET name = 'after it' WHERE id = 1")
    wait_until(lambda: database.value("SELECT name FROM customers WHERE id = 1") == "after it", "it streams on", 20)


def test_what_is_dropped_in_postgresql_comes_back_with_the_next_write(
    cli: Cli, database: Database, source: Path
) -> None:
    """A copy or a column that is gone ends no daemon: the source has all that was in it."""
    cli("install")
    daemon = cli.daemon()
    with database.connect() as connection:
        connection.execute(b"DROP TABLE prices")
        connection.execute(b"ALTER TABLE customers DROP COLUMN credit")
    _write(source, "INSERT INTO prices VALUES ('new', 1, 1)", "UPDATE customers SET name = 'x' WHERE id = 2")
    wait_until(lambda: "captured from now on" in daemon.err or not daemon.is_running(), "it is made again", 20)
    cli.wait_for_state("streaming", daemon)
    wait_until(lambda: database.value("SELECT name FROM customers WHERE id = 2") == "x", "the writes arrive", 20)
    assert_same(source, database)
    assert daemon.terminate() == 0


def test_a_file_that_is_being_replaced_is_waited_for(cli: Cli, database: Database, source: Path) -> None:
    """`rm` and `cp` leave moments without a file, with an empty one and with half of one."""
    cli("install")
    daemon = cli.daemon()
    _write(source, "PRAGMA wal_checkpoint(TRUNCATE)")
    backup = shutil.copy(source, source.with_name("backup.db"))
    with closing(sqlite3.connect(backup, isolation_level=None)) as db:
        db.execute("UPDATE customers SET name = 'in the backup' WHERE id = 1")
    half = backup.read_bytes()[: backup.stat().st_size // 2]
    for suffix in ("", "-wal", "-shm"):
        source.with_name(source.name + suffix).unlink(missing_ok=True)
    for content, said in ((None, "does not exist"), (b"", "is empty"), (half, "is corrupt")):
        if content is not None:
            source.write_bytes(content)
        wait_until(lambda said=said: said in daemon.err or not daemon.is_running(), said, 20)  # type: ignore[misc]
        assert daemon.is_running(), daemon.err
    shutil.copy(backup, source)
    wait_until(lambda: database.value("SELECT name FROM customers WHERE id = 1") == "in the backup", "followed", 20)
    assert_same(source, database)
    assert daemon.terminate() == 0


def test_settings_that_name_a_dropped_column_end_no_daemon(cli: Cli, database: Database, source: Path) -> None:
    """Neither the one that sees it go nor the next; a name that never was ends it, and `status` says why."""
    settings = cli.cwd / "cdcsync.toml"
    settings.write_text('source = "../app.db"\n[tables.customers.columns]\ncredit = "numeric"\n')
    cli("install")
    daemon = cli.daemon()
    _write(source, "ALTER TABLE customers DROP COLUMN credit")
    wait_until(lambda: "lost its column credit" in daemon.err or not daemon.is_running(), "it is followed", 20)
    cli.wait_for_state("streaming", daemon)
    assert daemon.terminate() == 0
    daemon = cli.daemon()
    _write(source, "UPDATE customers SET name = 'after it' WHERE id = 1")
    wait_until(lambda: database.value("SELECT name FROM customers WHERE id = 1") == "after it", "it streams on", 20)
    assert daemon.terminate() == 0
    settings.write_text('source = "../app.db"\n[tables.never]\nskip = true\n')
    assert cli.start("run").wait() == 2
    settings.write_text('source = "../app.db"\n')
    found = cli("status", "--json").json
    assert found["state"] == "stopped"
    assert "no such table" in found["last_errors"][0]


def test_a_killed_daemon_did_not_look_until_its_last_heartbeat(cli: Cli, database: Database, source: Path) -> None:
    """The heart beats while nobody looks at the schema, so a gap begins at the last look, not at the last beat."""
    cli("install")
    daemon = cli.daemon()
    with closing(shop.open_as_application(source)) as db:
        db.execute("PRAGMA writable_schema = 1")
        db.execute("DELETE FROM sqlite_master WHERE tbl_name = 'prices' AND name LIKE '%_delete'")
    _write(source, "INSERT INTO prices VALUES ('unseen', 1, 1)")
    _write(source, "DELETE FROM prices WHERE product = 'unseen'")
    lost = time.time()
    beat = f"SELECT heartbeat_at > to_timestamp({lost}) + interval '0.5 s' FROM cdcsync.daemon"
    wait_until(lambda: database.value(beat), "a heartbeat after the loss", 20)
    daemon.kill()
    cli("run", "--once")
    assert_same(source, database)
    since = database.value("SELECT extract(epoch FROM since)::float8 FROM cdcsync.drift WHERE table_name = 'prices'")
    assert since <= lost


def test_a_drift_whose_way_out_was_taken_ends_while_the_daemon_runs(
    cli: Cli, database: Database, source: Path, processes: Processes
) -> None:
    """Once the told DROP TABLE is run, the next recheck of the daemon finds nothing left to tell."""
    cli("install")
    environment = clean_environment(**cli.environment)
    daemon = processes.start(sys.executable, "-c", IN_A_HURRY, "run", cwd=cli.cwd, environment=environment)
    cli.wait_for_state("streaming", daemon)
    _write(source, "PRAGMA foreign_keys = OFF", "DROP TABLE prices")
    told = "SELECT answer FROM cdcsync.drift WHERE kind = 'dropped' AND closed_at IS NULL"
    answer = wait_until(lambda: database.rows(told), "the drift is told", 20)[0][0]
    assert "drift" in cli("lag", expect=1).out
    cli.wait_for_state("streaming", daemon)
    with database.connect() as connection:
        connection.execute(answer.partition("until you run ")[2].encode())
    wait_until(lambda: not database.rows(told), "the drift is gone", 20)
    found = cli("status", "--json").json
    assert found["drift"] == []
    assert "prices" not in {table["name"] for table in found["tables"]}
    assert cli("lag").out.startswith("CDCSYNC OK")
    assert daemon.terminate() == 0

"""A source and its target driven in this very process: it saves the half second that each verb costs."""

from __future__ import annotations

import shlex
import sqlite3
import sys
from typing import TYPE_CHECKING, Any, Self

from psycopg import sql

from cdcsync.machine.context import Context
from cdcsync.machine.cutover import cutover
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.daemon import Daemon
from cdcsync.machine.drain import DrainReport, drain
from cdcsync.machine.gates import CutoverOptions
from cdcsync.machine.install import InstallReport, install, uninstall
from cdcsync.machine.mend import repair_different
from cdcsync.machine.quarantined import entries
from cdcsync.machine.retry import RetryReport, retry
from cdcsync.machine.rollback import RollbackReport, rollback
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up, copy_stale
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify import verify
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.settings import Settings
from support.postgres import ROLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.postgres import Database

MANY = 150
"""More keys than go row by row: a batch of this size is staged."""


class Pair:
    """One source, one database. `apply_max_keys = 1` splits every transaction into cycles of single entries."""

    def __init__(self, folder: Path, database: Database, schema: str, **settings: Any) -> None:
        """Make the source; `settings` are those of cdcsync."""
        self.path, self.database = folder / "app.db", database
        self.application = sqlite3.connect(self.path, isolation_level=None)
        self.application.execute("PRAGMA journal_mode = wal")
        self.application.execute("PRAGMA synchronous = OFF")
        self.application.executescript(schema)
        state = folder / "state"
        self.settings = Settings(source=self.path, target=database.conninfo(), state_dir=state, **settings)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the application's connection."""
        self.application.close()

    def reopen(self) -> None:
        """Let the application connect again."""
        self.application.close()
        self.application = sqlite3.connect(self.path, isolation_level=None)

    def change_settings(self, **settings: Any) -> None:
        """Use other settings from now on."""
        self.settings = self.settings.model_copy(update=settings)

    def map_otherwise(self, tables: dict[str, Any]) -> None:
        """Use another mapping from now on."""
        told = self.settings.model_dump(exclude={"tables", "target_schema"})
        self.settings = type(self.settings)(**told, tables=tables)

    def write(self, *statements: str) -> None:
        """Let the application write, in one transaction."""
        self.application.execute("BEGIN IMMEDIATE")
        for statement in statements:
            self.application.execute(statement)
        self.application.execute("COMMIT")

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Let the application insert rows, in one transaction."""
        marks = ", ".join("?" * len(rows[0]))
        self.application.execute("BEGIN IMMEDIATE")
        self.application.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        self.application.execute("COMMIT")

    def source(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the source."""
        return self.application.execute(query).fetchall()

    def target(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the target."""
        return self.database.rows(query)

    def force(self, *statements: str) -> None:
        """Write to the target past the guard and past its constraints, as an administrator can."""
        with self.database.server.admin(self.database.name) as admin:
            admin.execute(b"SET session_replication_role = replica")
            for statement in statements:
                admin.execute(statement.encode())

    def execute(self, *statements: str) -> None:
        """Run statements on the target as the role that syncs."""
        with self.database.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def psql(self) -> str:
        """Return a command that reaches the database, for hooks: it takes `-c SQL`."""
        reach = "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.argv[3].encode())"
        return shlex.join([sys.executable, "-W", "ignore", "-c", reach, self.database.conninfo()])

    def install(self) -> InstallReport:
        """Install."""
        with Context(self.settings) as context:
            return install(context)

    def sync(self) -> None:
        """Do what `run --once` does: copy what is not copied, catch up."""
        with Context(self.settings) as context, Session(context) as session:
            session.take("drain")
            try:
                bring_up(session, Sync(session), lambda: None)
                copy_stale(session)
            finally:
                session.release()

    def make_ready(self) -> None:
        """Install, copy and verify: it can be cut over at once."""
        self.install()
        self.sync()
        self.verify()

    def run_once(self) -> None:
        """Do what `run --once` does, as a daemon does it."""
        with Context(self.settings) as context:
            Daemon(context).run_once()

    def verify(self, names: list[str] | None = None, patience: float = 3.0) -> VerifyReport:
        """Verify."""
        with Context(self.settings) as context, Session(context) as session:
            return verify(session, names, patience, lambda _table, _rows: None)

    def repair(self) -> None:
        """Do what `verify --repair` does after it found differences."""
        with Context(self.settings) as context, Session(context) as session:
            report = verify(session, None, 3.0, lambda _table, _rows: None)
            repair_different(session, report, lambda: None)

    def quarantined(self) -> list[tuple[str, str, str]]:
        """Return table, key and column of each row in quarantine."""
        with Context(self.settings) as context, entries(context, None) as found:
            return [(one.table, one.row.shown_key, one.row.column) for one in found]

    def why(self) -> list[str]:
        """Return the reasons of what is in quarantine."""
        with Context(self.settings) as context, entries(context, None) as found:
            return [one.row.reason for one in found]

    def retry(self, table: str | None = None) -> RetryReport:
        """Do what `quarantine retry` does."""
        with Context(self.settings) as context:
            return retry(context, table)

    def drain(self, *, handover: bool = True, quiet_seconds: float = 0.0, accept_quarantine: int = 0) -> DrainReport:
        """Drain, and hand over unless told not to."""
        with Context(self.settings) as context:
            return drain(
                context,
                timeout=30,
                quiet_seconds=quiet_seconds,
                handover=handover,
                accept_quarantine=accept_quarantine,
            )

    def cutover(self, **options: Any) -> CutoverReport:
        """Cut over; without a backup unless it is asked for."""
        with Context(self.settings) as context:
            return cutover(context, CutoverOptions(**options))

    def rollback(self, *, discard: bool = False) -> RollbackReport:
        """Go back to SQLite."""
        with Context(self.settings) as context:
            return rollback(context, discard=discard)

    def uninstall(self, *, lift_fence: bool = False) -> None:
        """Uninstall; the control schema stays."""
        with Context(self.settings) as context:
            uninstall(context, drop_control=False, source_only=False, lift_fence=lift_fence)


def wipe(database: Database) -> None:
    """Leave the database as it was made."""
    with database.server.admin(database.name) as admin:
        admin.execute(b"DROP SCHEMA IF EXISTS cdcsync CASCADE")
        admin.execute(b"DROP SCHEMA public CASCADE")
        admin.execute(b"CREATE SCHEMA public")
        admin.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}").format(sql.Identifier(ROLE)))

"""A session with PostgreSQL: connecting, transactions, and which failures pass by themselves."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import BytesBinaryDumper

from cdcsync.edges.statements import postgres_statement
from cdcsync.words.errors import DriftError, LostCheckpointError, StopRequestedError, TargetError, UsageError

CONNECT_SECONDS = 10
_PERHAPS_SECRET = re.compile(r"[^\s'\"]*@")
LOST_CHECKPOINT = "CDC01"  # raised by cdcsync.advance in sql/control.sql

# SQLSTATE classes and codes of failures that pass: connection trouble, server starting or stopping, deadlock,
# serialization, lock timeout, a standby that will be promoted, full disk or memory.
_PASSING_CLASSES = ("08", "53", "57P")
_UNREACHABLE_CLASSES = ("08", "57P")
_PASSING_CODES = {"25006", "40001", "40P01", "55P03", "58030"}

# No such table, no such column: somebody changed the target under us.
_CHANGED = {"42P01", "42703"}


class Target:
    """One session, in autocommit; whoever made it closes it."""

    def __init__(self, conninfo: str, schema: str = "public", writer: str = "") -> None:
        """Connect; `writer` is the source's id, which lets this session past the guard.

        Raises TargetError, in one line and without a password, when PostgreSQL is out of reach or says no.
        """
        conninfo_parts(conninfo)
        try:
            self.connection = psycopg.connect(
                conninfo,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                application_name="cdcsync",
                keepalives=1,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                client_encoding="UTF8",
                # psycopg goes on counting a statement as prepared that a failed pipeline kept from the server, or
                # that a pooler forgot; preparing would save a tenth of a millisecond.
                prepare_threshold=None,
            )
            # Registered for the type's oid a dumper written in Python would come first; this one is written in C.
            self.connection.adapters.register_dumper(bytes, BytesBinaryDumper)
            self.ask("session.sql", "begin", schema=schema, writer=writer)
        except psycopg.Error as error:
            raise TargetError(_refusal(error)) from None
        self._stopping = threading.Event()

    def close(self) -> None:
        """End the session; its locks go with it."""
        with suppress(psycopg.Error):
            self.connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def execute(
        self, file: str, name: str, names: dict[str, sql.Composable] | None = None, /, **parameters: Any
    ) -> psycopg.Cursor[Any]:
        """Run a named statement; `names` fills its identifiers, `parameters` its values."""
        statement = postgres_statement(file, name)
        query = statement.format(**names) if names else statement
        return self.connection.execute(query, parameters or None)

    def ask(self, file: str, name: str, names: dict[str, sql.Composable] | None = None, /, **parameters: Any) -> Any:
        """Return the first row of a named statement, None if there is none."""
        return self.execute(file, name, names, **parameters).fetchone()

    def rows(
        self, file: str, name: str, names: dict[str, sql.Composable] | None = None, /, **parameters: Any
    ) -> list[Any]:
        """Return all rows of a named statement."""
        return self.execute(file, name, names, **parameters).fetchall()

    def control(self, statement: LiteralString) -> str | None:
        """Run a statement about transactions and return its command tag."""
        return self.connection.execute(statement).statusmessage

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction.

        Raises LostCheckpointError where the checkpoint was moved by somebody else, and TargetError where COMMIT
        answers ROLLBACK: PostgreSQL says so without an error when the transaction had failed before.
        """
        self.control("BEGIN")
        try:
            yield
            done = self.control("COMMIT")
        except BaseException as error:
            self.rollback()
            if isinstance(error, psycopg.Error) and (known := self._translated(error)) is not None:
                raise known from error
            raise
        if done != "COMMIT":
            message = f"COMMIT answered {done}: nothing of this transaction is stored; retries by itself"
            raise TargetError(message)

    def rollback(self) -> None:
        """Undo the transaction at hand; a lost connection has done so itself."""
        with suppress(psycopg.Error):
            self.control("ROLLBACK")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run the block so that its failure leaves the surrounding transaction usable."""
        self.control("SAVEPOINT cdcsync")
        try:
            yield
        except psycopg.Error:
            self.control("ROLLBACK TO SAVEPOINT cdcsync")
            # Rolling back keeps the savepoint: one around this one has the same name.
            self.control("RELEASE SAVEPOINT cdcsync")
            raise
        self.control("RELEASE SAVEPOINT cdcsync")

    def stop_soon(self) -> None:
        """Cancel what the session is doing, from another thread; it ends with StopRequestedError."""
        self._stopping.set()
        with suppress(psycopg.Error):
            self.connection.cancel_safe(timeout=1)

    def environment(self) -> dict[str, str]:
        """Return the PG* variables by which another process reaches this database; without the password."""
        info = self.connection.info
        told = {"PGHOST": info.host, "PGPORT": str(info.port), "PGUSER": info.user, "PGDATABASE": info.dbname}
        return {name: value for name, value in told.items() if value}

    def go_on(self) -> None:
        """Forget that a stop was asked for."""
        self._stopping.clear()

    @property
    def backend_pid(self) -> int:
        """The process id of the server's side of the session."""
        return self.connection.info.backend_pid

    def cut(self) -> None:
        """End the connection under whoever waits on it, from another thread; the wait fails at once."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def _translated(self, error: psycopg.Error) -> Exception | None:
        if error.sqlstate == LOST_CHECKPOINT:
            return LostCheckpointError(str(error))
        if error.sqlstate == "57014" and self._stopping.is_set():
            return StopRequestedError()
        if error.sqlstate in _CHANGED:
            return DriftError(f"PostgreSQL: {one_line(error)}")
        return None


def passes_by_itself(error: BaseException) -> bool:
    """Tell whether trying again later can succeed without anybody doing anything."""
    if isinstance(error, TargetError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state.startswith(_PASSING_CLASSES) or state in _PASSING_CODES


def is_out_of_reach(error: BaseException) -> bool:
    """Tell whether PostgreSQL did not let us in, or the connection is lost; a busy server is in reach."""
    if isinstance(error, TargetError):
        return True
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate.startswith(_UNREACHABLE_CLASSES)


def one_line(error: BaseException) -> str:
    """Return the message of an error without line breaks, and without the statement PostgreSQL quotes."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        message = " ".join(error.diag.message_primary.split())
        if isinstance(error, psycopg.errors.LockNotAvailable):
            message += ": another session of PostgreSQL holds a table; let it end, and run this again"
        return message
    return " ".join(str(error).split()) or type(error).__name__


def _refusal(error: psycopg.Error) -> str:
    # A password with an unescaped @ reaches libpq as part of the host.
    text = _PERHAPS_SECRET.sub("...@", one_line(error))
    # psycopg looks the host up, but not in the environment when it says which.
    text = text.replace("failed to resolve host None", f"failed to resolve host {os.environ.get('PGHOST', '')!r}")
    return (
        f"PostgreSQL lets nobody in: {text}; check that it runs, and --target or PGHOST, PGPORT, PGDATABASE, PGUSER "
        "and the password"
    )


def conninfo_parts(conninfo: str) -> dict[str, Any]:
    """Take a connection string apart. Raises UsageError, without quoting it, where libpq cannot read it."""
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.ProgrammingError:
        # libpq quotes what it could not read, and that may be the password.
        message = "target is no connection string libpq understands: see --target, or leave it empty and use PGHOST"
        raise UsageError(message) from None


def table_name(schema: str, table: str) -> sql.Identifier:
    """Return the quoted name of a target table."""
    return sql.Identifier(schema, table)


def column_list(names: list[str]) -> sql.Composed:
    """Return quoted column names, joined by commas."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)

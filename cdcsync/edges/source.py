"""The source database file: opened read-only, read in short transactions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

from cdcsync.core.drift import Registered, SchemaObject, TableDrift, find_drift
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.statements import sqlite_statement
from cdcsync.edges.wal_file import wal_bytes_used
from cdcsync.words.errors import (
    DriftError,
    NotInstalledError,
    PermanentStopError,
    ReadTooLongError,
    SourceBusyError,
    StopRequestedError,
    UsageError,
)

BUSY_SECONDS = 5.0
MIB = 1024 * 1024

WATCH_STEPS = 20_000
"""Steps of SQLite's machine between two looks at the write-ahead log: about a millisecond."""

PAUSE_SECONDS = 0.25
"""How long the application gets without a reader of ours after one that was too long."""

ENTRY_BYTES = 24
"""What an entry occupies beside its key."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lag:
    """Entries above a position, and the age of the oldest of them in seconds (0.0 if there is none)."""

    changes: int
    seconds: float


class Source:
    """A read-only connection to the source; it can be used by the thread that made it."""

    def __init__(self, path: Path, max_wal_mb: int = 32) -> None:
        """Open the file. Raises UsageError when it is missing, unreadable or no SQLite database.

        `max_wal_mb` is how large the write-ahead log may grow under one `read_bounded`.
        """
        self.path = path.absolute()
        self._max_wal_bytes = max_wal_mb * MIB
        refuse_unusable(self.path)
        self.identity = file_identity(self.path)
        # Chores run in whichever thread is free, and the daemon closes what they opened.
        self.connection = connect(self.path, mode="ro", shared=True)
        # Belt and braces: with query_only even a mistake of ours cannot write.
        self.connection.execute("PRAGMA query_only = 1")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one read transaction: every query inside sees the same state of the database.

        Raises SourceBusyError where the file stays locked, which passes by itself, NotInstalledError where the
        changelog is gone, StopRequestedError after `stop_soon`, PermanentStopError for anything else.
        """
        try:
            self.connection.execute("BEGIN")
            yield self.connection
        except sqlite3.DatabaseError as error:
            raise _unreadable(error, self.path) from error
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def read_bounded(self, most: int, read: Callable[[sqlite3.Connection, int], T]) -> tuple[T, int]:
        """Call `read` with how much to read at most, in a read transaction; return its result and that amount.

        A read under which the write-ahead log grows too far is given up and tried again with half: no checkpoint
        passes an open reader. The pause lets one finish, after which the log begins anew. Raises what `reading` does.
        """
        while True:
            try:
                with self.reading() if most == 1 else self._short_reading() as connection:
                    return read(connection, most), most
            except ReadTooLongError:
                most = max(1, most // 2)
            # Not inside the handler: the error's traceback keeps cursors alive, and they keep the transaction.
            time.sleep(PAUSE_SECONDS)

    @contextmanager
    def _short_reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one read transaction until the write-ahead log has grown too far: then ReadTooLongError is raised."""
        # Absolute, not from where it is now: every retry would add to it.
        limit = max(self._max_wal_bytes, self._wal_bytes_above(self._max_wal_bytes) + MIB)
        cut = False

        def watch() -> bool:
            nonlocal cut
            cut = cut or self._wal_bytes_above(limit) > limit
            return cut

        self.connection.set_progress_handler(watch, WATCH_STEPS)
        try:
            with self.reading() as connection:
                yield connection
        except StopRequestedError:
            if not cut:
                raise
            message = "the write-ahead log grew too far under one read"
            raise ReadTooLongError(message) from None
        finally:
            self.connection.set_progress_handler(None, 0)

    def _wal_bytes_above(self, limit: int) -> int:
        """Return how much of the write-ahead log is in use, 0 where even the file is no larger than `limit`."""
        return wal_bytes_used(self.path) if self.wal_bytes() > limit else 0

    def stop_soon(self) -> None:
        """End a long read, from another thread; it raises StopRequestedError."""
        self.connection.interrupt()

    def was_replaced(self) -> bool:
        """Tell whether the path names another file by now: the open connection would go on reading the old one."""
        try:
            return file_identity(self.path) != self.identity
        except FileNotFoundError:
            return True

    def journal_mode(self) -> str:
        """Return wal, delete, truncate, persist, memory or off."""
        return str(self.value("PRAGMA journal_mode"))

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log, 0 where there is none."""
        try:
            return self.path.with_name(self.path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def value(self, statement: str, *parameters: Any) -> Any:
        """Return the first column of the first row of a statement; None if there is no row."""
        row = self.connection.execute(statement, parameters).fetchone()
        return row[0] if row else None

    def ask(self, name: str, *parameters: Any, **names: str) -> Any:
        """Return the first column of the first row of a named statement of `sql/source.sql`."""
        return self.value(sqlite_statement("source.sql", name).substitute(names), *parameters)

    def rows(self, name: str, *parameters: Any, **names: str) -> list[Any]:
        """Return all rows of a named statement of `sql/source.sql`."""
        return self.connection.execute(sqlite_statement("source.sql", name).substitute(names), parameters).fetchall()

    def is_installed(self) -> bool:
        """Tell whether the changelog is there."""
        return bool(self.ask("is_installed"))

    def source_id(self) -> str | None:
        """Return the id the source was given at install, also where nothing else is left of it."""
        if not self.ask("has_meta"):
            return None
        return dict(self.rows("meta")).get("source_id")

    def schema_version(self) -> int:
        """Return SQLite's own counter of schema changes."""
        return int(self.value("PRAGMA schema_version"))

    def registered(self) -> list[Registered]:
        """Return the captured tables as they were when their triggers were made."""
        return [Registered(*row) for row in self.rows("registry")]

    def drift(self) -> tuple[TableDrift, ...]:
        """Return the captured tables that are not what they were, inside a read transaction."""
        return find_drift(self.registered(), schema_objects(self.connection))

    def lag(self, position: int) -> Lag:
        """Return how far a position is behind the head of the changelog."""
        with self.reading():
            changes = max(int(self.ask("head")) - position, 0)
            oldest = self.ask("oldest_pending", position)
        return Lag(changes, 0.0 if oldest is None else max(time.time() - oldest, 0.0))

    def log_bytes(self) -> int:
        """Return about what the changelog occupies: its entries times what the newest of them do.

        dbstat would tell exactly, and read every page of it in one statement.
        """
        keys = [name for (name,) in self.rows("log_columns") if name.startswith("k")]
        lengths = " + ".join(f"coalesce(length(CAST({sqlite_name(key)} AS BLOB)), 0)" for key in keys)
        sample = self.ask("entry_bytes", lengths=lengths) or 0.0
        return int(self.ask("log_entries") * (sample + ENTRY_BYTES))


def connect(path: Path, *, mode: str, shared: bool = False) -> sqlite3.Connection:
    """Open a database by URI in mode ro or rw, never creating one. Raises UsageError if it cannot be read.

    `shared`: threads that take turns may use it.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}"
    connection = None
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=not shared
        )
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        raise _unusable(path, error) from None
    return connection


def schema_objects(connection: sqlite3.Connection) -> list[SchemaObject]:
    """Return what capture depends on, as any connection sees it, an installing one before its commit included."""
    statement = sqlite_statement("source.sql", "schema_objects").template
    return [SchemaObject(*row) for row in connection.execute(statement)]


def file_identity(path: Path) -> tuple[int, int]:
    """Return device and inode: a rename over the path changes them, writing does not."""
    status = path.stat()
    return status.st_dev, status.st_ino


def refuse_unusable(path: Path) -> None:
    """Raise UsageError where the path is no readable file."""
    if not path.exists():
        message = f"source {path} does not exist: name the SQLite file with --source"
        raise UsageError(message)
    if not path.is_file():
        message = f"source {path} is not a file: name the SQLite file with --source"
        raise UsageError(message)
    if not os.access(path, os.R_OK):
        message = f"source {path} may not be read by this user: run as the user who owns it"
        raise UsageError(message)
    if path.stat().st_size == 0:
        message = f"source {path} is empty: it holds no database yet"
        raise UsageError(message)


def _hot_journal(path: Path, error: sqlite3.DatabaseError) -> SourceBusyError | None:
    """A connection that may not write cannot roll back what a killed application left half done."""
    if "readonly database" not in str(error):
        return None
    return SourceBusyError(
        f"source {path} was left in the middle of a transaction: it can be read when the application opens it again; "
        "retries by itself"
    )


def _unusable(path: Path, error: sqlite3.DatabaseError) -> Exception:
    text = str(error)
    if (hot := _hot_journal(path, error)) is not None:
        return hot
    if "locked" in text or "busy" in text:
        return SourceBusyError(f"source {path} is locked by another process: {text}; retry")
    if "not a database" in text:
        return UsageError(f"source {path} is not an SQLite database, or it is encrypted")
    if "malformed" in text:
        return UsageError(f"source {path} is corrupt ({text}): repair it with sqlite3's .recover first")
    return UsageError(f"source {path} cannot be opened: {text}; run as the user who owns it and its directory")


def _unreadable(error: sqlite3.DatabaseError, path: Path) -> Exception:
    text = str(error)
    if (hot := _hot_journal(path, error)) is not None:
        return hot
    if "locked" in text or "busy" in text:
        return SourceBusyError(f"source {path} stays locked by another process: {text}; retries by itself")
    if "interrupted" in text:
        return StopRequestedError()
    if text.startswith(("no such table", "no such column", "no such index")) and "_cdcsync_" not in text:
        return DriftError(f"the schema of {path} changed under a read: {text}")
    if "_cdcsync_" in text:
        return NotInstalledError(f"{path} is not installed any more ({text}): run cdcsync install")
    return PermanentStopError(f"source {path} cannot be read: {text}; does not retry by itself")

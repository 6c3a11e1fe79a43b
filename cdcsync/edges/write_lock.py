"""The write lock of the source: taken by asking again at once, held for one short transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cdcsync.edges.source import connect
from cdcsync.words.errors import SourceBusyError, UsageError

LOCK_SECONDS = 30.0


@contextmanager
def writing(path: Path, patience: float = LOCK_SECONDS) -> Iterator[sqlite3.Connection]:
    """Hold the write lock in a transaction that the block commits; else it is rolled back.

    Raises SourceBusyError where the lock is not to be had within `patience` seconds, UsageError where this user may not
    write.
    """
    with closing(connect(path, mode="rw")) as connection:
        begin_immediate(connection, path, patience)
        # Without a write-ahead log COMMIT waits for the application's open reads.
        connection.execute("PRAGMA busy_timeout = 5000")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def begin_immediate(connection: sqlite3.Connection, path: Path, patience: float) -> None:
    """Take the write lock. Raises what `writing` does."""
    # SQLite's own busy handler sleeps ever longer and loses against a busy writer; asking again at once wins.
    connection.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "readonly" in str(error):
                message = f"source {path} may not be written by this user: run as the user who owns it"
                raise UsageError(message) from None
            if time.monotonic() > deadline:
                message = f"source {path} stayed locked for {patience:g} s: {error}; try again"
                raise SourceBusyError(message) from None
            time.sleep(0.0005)
        else:
            return

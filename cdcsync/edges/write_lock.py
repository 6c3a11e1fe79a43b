"""The write lock of the source: taken by asking again at once, held for short transactions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cdcsync.edges.source import connect
from cdcsync.words.errors import SchemaMovedError, SourceBusyError, UsageError

LOCK_SECONDS = 30.0
STEP_SECONDS = 0.006
"""After this the lock is given back as soon as the work allows it."""
TURN_SECONDS = 0.02
"""How long everybody else has a turn then: SQLite's own waiters ask again after 1, 2, 5, 10, 15, 20 ms and so on."""


@dataclass(slots=True)
class LockHeld:
    """How long the write lock was held: at a stretch, altogether, and in how many stretches."""

    longest_seconds: float = 0.0
    seconds: float = 0.0
    times: int = 0

    def add(self, seconds: float) -> None:
        """Count one more stretch."""
        self.longest_seconds = max(self.longest_seconds, seconds)
        self.seconds += seconds
        self.times += 1

    def __str__(self) -> str:
        """Say it for people."""
        if self.times <= 1:
            return f"{self.seconds * 1000:.1f} ms"
        return f"{self.longest_seconds * 1000:.1f} ms at most, {self.seconds * 1000:.1f} ms in {self.times} steps"


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


def write_in_steps(path: Path, work: Callable[[sqlite3.Connection], Iterator[None]]) -> LockHeld:
    """Run `work` under the write lock, and give the lock back for a while now and then where `work` yields.

    What is done before a failure stays done. Returns how long the lock was held. Raises SchemaMovedError where somebody
    else changed the schema between two steps, and what `writing` does.
    """
    held = LockHeld()
    with closing(connect(path, mode="rw")) as connection:
        steps = work(connection)
        ended, version = False, None
        while not ended:
            if version is not None:
                time.sleep(TURN_SECONDS)
            begin_immediate(connection, path, LOCK_SECONDS)
            began = time.perf_counter()
            connection.execute("PRAGMA busy_timeout = 5000")
            try:
                if version is not None:
                    refuse_moved(connection, version)
                ended = all(time.perf_counter() < began + STEP_SECONDS for _ in steps)
                version = connection.execute("PRAGMA schema_version").fetchone()[0]
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                held.add(time.perf_counter() - began)
    return held


def refuse_moved(connection: sqlite3.Connection, schema_version: int) -> None:
    """Raise SchemaMovedError where the schema is not the one of that version any more."""
    if connection.execute("PRAGMA schema_version").fetchone()[0] != schema_version:
        message = "the schema of the source changed while cdcsync was looking at it: run it again"
        raise SchemaMovedError(message)

"""The fence: an open write transaction of the source, which the handover makes permanent and anything else lifts.

While it is open readers go on, and writers whose transaction begins with a write wait in their busy timeout. It ends
with the process that holds it, however that ends.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cdcsync.core.quoting import sqlite_name, sqlite_text
from cdcsync.edges.source import Source, connect
from cdcsync.edges.statements import sqlite_statement, trigger_template
from cdcsync.edges.write_lock import begin_immediate, writing
from cdcsync.words.errors import FenceLiftedError, RefusedError

EVENTS = ("INSERT", "UPDATE", "DELETE")

RETRY_SECONDS = 0.005
"""Between two attempts to commit past an open read, where there is no write-ahead log."""


class Fence:
    """The fence around one source; made by `fence`."""

    def __init__(self, connection: sqlite3.Connection, max_seconds: float, on_spent: Callable[[], None]) -> None:
        """It lifts itself after `max_seconds`, whatever its holder is waiting for, and then calls `on_spent`."""
        self._connection, self._on_spent = connection, on_spent
        self.since = time.monotonic()
        # The timer's thread and the holder's both end the transaction; SQLite sees one of them at a time.
        self._lock = threading.Lock()
        self._timer = threading.Timer(max_seconds, self._spent)
        self._timer.daemon = True
        self._timer.start()
        self.is_permanent = False
        self.is_spent = False
        """Whether the time ended it: whatever failed then failed for that."""

    def build(self, statements: Sequence[str], message: str) -> None:
        """Run what makes it. Raises FenceLiftedError where the time was spent meanwhile."""
        with self._lock:
            # After a rollback a statement would commit by itself.
            self.refuse_lifted()
            for statement in statements:
                self._connection.execute(statement)
            self._connection.execute(sqlite_statement("capture.sql", "add_meta").template, ("fence", message))

    def refuse_lifted(self) -> None:
        """Raise FenceLiftedError where the time was spent."""
        if not self.is_permanent and not self._connection.in_transaction:
            raise FenceLiftedError

    def make_permanent(self) -> None:
        """Commit: the one decision point. Raises FenceLiftedError where the time was spent before."""
        while True:
            with self._lock:
                self.refuse_lifted()
                try:
                    self._connection.execute("COMMIT")
                except sqlite3.OperationalError as error:
                    # Without a write-ahead log it waits for open reads.
                    if "locked" not in str(error):
                        raise
                else:
                    self.is_permanent = True
                    self._timer.cancel()
                    return
            time.sleep(RETRY_SECONDS)

    def lift(self) -> None:
        """Roll back, unless it is permanent: the writers that wait go on."""
        with self._lock:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _spent(self) -> None:
        self.lift()
        if not self.is_permanent:
            self.is_spent = True
            self._on_spent()

    def stop_clock(self) -> None:
        """Let the time not be spent any more; where it is, wait until everything has heard of that."""
        self._timer.cancel()
        self._timer.join()

    def close(self) -> None:
        """End it."""
        self.lift()
        self.stop_clock()
        self._connection.close()


@contextmanager
def fence(
    path: Path, tables: Sequence[tuple[int, str]], message: str, max_seconds: float, on_spent: Callable[[], None]
) -> Iterator[Fence]:
    """Fence the tables, given as number and name, for the block; after `max_seconds` it lifts itself: see Fence.

    `message` is what an application's write says once it is permanent. Raises SourceBusyError where the lock is not to
    be had within `max_seconds`.
    """
    connection = connect(path, mode="rw", shared=True)
    try:
        # A power failure must not take a decision back that PostgreSQL knows of, whatever SQLite was built to do.
        connection.execute("PRAGMA synchronous = FULL")
        begin_immediate(connection, path, max_seconds)
        held = Fence(connection, max_seconds, on_spent)
    except BaseException:
        connection.close()
        raise
    try:
        held.build(fence_statements(tables, message), message)
        yield held
    finally:
        held.close()


def fence_statements(tables: Sequence[tuple[int, str]], message: str) -> list[str]:
    """Return the statements that fence tables."""
    template = trigger_template("fence")
    return [
        template.substitute(
            trigger=sqlite_name(f"_cdcsync_fence_{number}_{event.lower()}"),
            event=event,
            table=sqlite_name(name),
            message=sqlite_text(message),
        )
        for number, name in tables
        for event in EVENTS
    ]


def fence_message(source: Source) -> str | None:
    """Return what a permanent fence says; None where there is none."""
    if not fence_triggers(source):
        return None
    # After uninstall the triggers are all that is left.
    return dict(source.rows("meta")).get("fence") if source.ask("has_meta") else "it was handed over"


def fence_triggers(source: Source) -> list[str]:
    """Return the names of the triggers of a permanent fence."""
    return [name for (name,) in source.rows("fence_triggers")]


def was_lifted_alone(source: Source) -> bool:
    """Tell whether the fence was lifted while PostgreSQL could not be asked: it still takes itself for handed over."""
    return bool(source.ask("has_meta")) and "lifted" in dict(source.rows("meta"))


def forget_lifted_alone(path: Path) -> None:
    """Forget that a fence was lifted alone. Raises what `writing` does."""
    with writing(path) as connection:
        connection.execute(sqlite_statement("capture.sql", "remove_meta").template, ("lifted",))
        connection.execute("COMMIT")


def lift_permanent(path: Path, alone: str | None = None) -> float:
    """Drop a permanent fence; return the seconds the write lock was held. Raises what `writing` does.

    `alone`: when that is done while PostgreSQL cannot be asked; it is remembered until it is done with PostgreSQL.
    """
    with writing(path) as connection:
        began = time.perf_counter()
        for (name,) in connection.execute(sqlite_statement("source.sql", "fence_triggers").template).fetchall():
            drop = sqlite_statement("capture.sql", "drop_trigger").substitute(name=sqlite_name(name))
            try:
                connection.execute(drop)
            except sqlite3.Error as error:
                refusal = f"the source refused to drop its fence ({error})"
                raise RefusedError(refusal) from error
        for name in ("fence", "lifted"):
            connection.execute(sqlite_statement("capture.sql", "remove_meta").template, (name,))
        if alone is not None:
            connection.execute(sqlite_statement("capture.sql", "add_meta").template, ("lifted", alone))
        connection.execute("COMMIT")
        return time.perf_counter() - began

"""Applications that write to the shop's database in the ways applications do, each a process of its own.

As a script: `python applications.py KIND FILE --rate N --timeout SECONDS`, until SIGTERM; its last line on stdout is
JSON: commits, the longest time one of them took, every error with its time. `applications.mjs` does it for Node.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.processes import Processes, Running

PATIENCE = 5.0
"""What Python's sqlite3, better-sqlite3 and Django wait for a lock, in seconds, unless told otherwise."""

HASTY = {"hasty", "hammer", "bulky", "plain"}
"""Kinds that do not wait at all: the least that another holds the lock is an error to them."""

ROWS = 50
"""The rows with these ids are changed again and again."""

BODY_BYTES = 50_000


@dataclass(frozen=True)
class Failure:
    """One error an application met: when, SQLite's name for it, and its text."""

    at: float
    name: str
    message: str


@dataclass(frozen=True)
class Report:
    """What an application has to tell."""

    kind: str
    commits: int
    longest: float
    failures: list[Failure]
    retries: dict[str, int]

    def kinds(self) -> Counter[str]:
        """Count the errors by what they say."""
        return Counter(f"{failure.name}: {failure.message}" for failure in self.failures)

    def tell(self) -> None:
        """Write it to the test's output: figures that are reported, not asserted."""
        longest = self.longest * 1000
        told = f"{self.kind}: {self.commits} commits, longest {longest:.1f} ms, errors {dict(self.kinds())}"
        sys.stdout.write(f"{told}, retries {self.retries}\n")

    def failures_outside(self, begin: float, end: float) -> list[Failure]:
        """Return the errors that were not met between two moments."""
        return [failure for failure in self.failures if not begin <= failure.at <= end]


class Application:
    """A started application."""

    def __init__(
        self,
        processes: Processes,
        kind: str,
        file: Path,
        rate: float = 300.0,
        timeout: float | None = None,
        javascript: Path | None = None,
    ) -> None:
        """Start it and wait until it writes. `javascript`: the folder with `applications.mjs` and its packages."""
        self._kind = kind
        waits = (0.0 if kind in HASTY else PATIENCE) if timeout is None else timeout
        command = (sys.executable, Path(__file__)) if javascript is None else ("node", javascript / "applications.mjs")
        self._running: Running = processes.start(*command, kind, file, "--rate", str(rate), "--timeout", str(waits))
        self._running.wait_for_line("writing")

    def stop(self) -> Report:
        """End it; return what it has to tell."""
        assert self._running.terminate() == 0, self._running.err
        told: dict[str, Any] = json.loads(self._running.out.splitlines()[-1])
        failures = [Failure(*failure) for failure in told["failures"]]
        return Report(self._kind, told["commits"], told["longest"], failures, told.get("retries", {}))


def head_of(source: Path) -> int:
    """Return the last entry of the changelog."""
    with closing(sqlite3.connect(source, timeout=30)) as db:
        return int(db.execute("SELECT max(seq) FROM _cdcsync_log").fetchone()[0])


def _hasty(db: sqlite3.Connection, number: int) -> None:
    """Write single statements, each its own transaction, and short transactions that begin with a write."""
    name = f"hasty-{os.getpid()}-{number // 4}"
    if number % 4 == 0:
        db.execute("INSERT INTO customers (email, name) VALUES (?, 'hasty')", (name,))
    elif number % 4 == 1:
        db.execute("UPDATE customers SET credit = ? WHERE id = ?", (number, number % ROWS + 1))
    elif number % 4 == 2:
        db.execute("REPLACE INTO customers (email, name) VALUES (?, 'replaced')", (name,))
    else:
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM customers WHERE email = ?", (name,))
        db.execute("INSERT INTO prices VALUES (?, 1, 1)", (name,))
        db.execute("COMMIT")


def _deferred(db: sqlite3.Connection, number: int) -> None:
    """Read first, write then: SQLite takes the write lock in the middle of the transaction."""
    db.execute("BEGIN")
    (credit,) = db.execute("SELECT credit FROM customers WHERE id = ?", (number % ROWS + 1,)).fetchone()
    changed = (credit or 0) + 1
    db.execute("UPDATE customers SET credit = ? WHERE id = ?", (changed, number % ROWS + 1))
    db.execute("COMMIT")


def _retrying(db: sqlite3.Connection, number: int) -> None:
    """Read first, write then, and begin again a little later where another writer holds the lock.

    SQLite does not let a transaction that has read wait for it: that could be for ever.
    """
    while True:
        try:
            return _deferred(db, number)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            db.execute("ROLLBACK")
            retries[error.sqlite_errorname] += 1
            time.sleep(0.01)


def _atomic(db: sqlite3.Connection, number: int) -> None:
    """Do as Django's nested atomic blocks do, get_or_create and save inside them."""
    email = f"atomic-{number // 2}"
    db.execute("BEGIN")
    db.execute("SAVEPOINT s1")
    found = db.execute("SELECT id, name FROM customers WHERE email = ?", (email,)).fetchone()
    if found is None:
        db.execute("SAVEPOINT s2")
        db.execute("INSERT INTO customers (email, name) VALUES (?, '')", (email,))
        db.execute("RELEASE SAVEPOINT s2")
    else:
        db.execute("UPDATE customers SET name = ? WHERE id = ?", (f"{found[1]} again", found[0]))
    db.execute("RELEASE SAVEPOINT s1")
    db.execute("COMMIT")


def _hammer(db: sqlite3.Connection, number: int) -> None:
    """Ask for the write lock, mostly in vain, and write now and then."""
    db.execute("BEGIN IMMEDIATE")
    if number % 50 == 0:
        db.execute("UPDATE customers SET credit = ? WHERE id = ?", (number, number // 50 % ROWS + 1))
    db.execute("COMMIT")


def _bulky(db: sqlite3.Connection, number: int) -> None:
    """Fill the write-ahead log: 100 kB a commit, of few rows."""
    changed = "UPDATE customers SET name = hex(randomblob(?)) WHERE id = ?"
    db.execute(changed, (BODY_BYTES, number % ROWS + 1))


def _visiting(db: sqlite3.Connection, number: int) -> None:
    """Open the file for one write and close it, as scripts do."""
    (file,) = (row[2] for row in db.execute("PRAGMA database_list"))
    with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as visit:
        _hasty(visit, number)


retries: Counter[str] = Counter()
"""What a transaction that read first had to begin again for, and then succeeded."""

KINDS: dict[str, Callable[[sqlite3.Connection, int], None]] = {
    "hasty": _hasty,
    "hammer": _hammer,
    "bulky": _bulky,
    "deferred": _deferred,
    "retrying": _retrying,
    "atomic": _atomic,
    "visiting": _visiting,
}


def main() -> int:
    """Write until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("file")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    options = parser.parse_args()
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    transaction = KINDS[options.kind]
    failures: list[tuple[float, str, str]] = []
    number, longest, due = 0, 0.0, time.monotonic()
    with closing(sqlite3.connect(options.file, timeout=options.timeout, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA synchronous = NORMAL")
        sys.stdout.write("writing\n")
        sys.stdout.flush()
        while not stopped:
            number += 1
            began = time.perf_counter()
            try:
                transaction(db, number)
            except sqlite3.Error as error:
                failures.append((time.time(), getattr(error, "sqlite_errorname", ""), str(error)))
                if db.in_transaction:
                    db.execute("ROLLBACK")
            longest = max(longest, time.perf_counter() - began)
            due = max(due + 1 / options.rate, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))
    told = {"commits": number - len(failures), "longest": longest, "failures": failures, "retries": retries}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

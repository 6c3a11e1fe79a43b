"""The write side of the source: putting the changelog and its triggers in, and taking them out again.

Nothing else in cdcsync opens the source for writing. Each function is one short transaction.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.source import Source, connect
from cdcsync.edges.statements import sqlite_statement
from cdcsync.edges.triggers import Captured, changelog_statements, trigger_statements
from cdcsync.words.errors import RefusedError, SourceBusyError, UsageError

LOCK_SECONDS = 30.0


def statements(captured: Sequence[Captured]) -> list[str]:
    """Return every statement `install` runs, in order. Executes nothing."""
    rendered = changelog_statements(captured)
    for number, table, key in captured:
        rendered.extend(trigger_statements(number, table, key))
    return rendered


def install(path: Path, captured: Sequence[Captured], schema_version: int) -> float:
    """Create changelog and triggers in one transaction; return the seconds the write lock was held.

    Raises RefusedError if the schema changed since `schema_version`, or a statement fails: the source is then
    as it was. Raises SourceBusyError if the lock cannot be had.
    """
    source_id, epoch = str(uuid.uuid4()), str(uuid.uuid4())
    rehearse(captured)
    rendered = statements(captured)
    with _writing(path) as connection:
        began = time.perf_counter()
        if connection.execute("PRAGMA schema_version").fetchone()[0] != schema_version:
            message = "the schema of the source changed while install was looking at it: run it again"
            raise RefusedError(message)
        for statement in rendered:
            _run(connection, statement)
        connection.execute(sqlite_statement("capture.sql", "genesis").template, (str(uuid.uuid4()),))
        registry = [(number, table.name) for number, table, _ in captured]
        connection.executemany(sqlite_statement("capture.sql", "add_table").template, registry)
        meta = [("source_id", source_id), ("epoch", epoch), ("installed_at", time.strftime("%FT%TZ", time.gmtime()))]
        meta.append(("schema_hash", Source.hash_of(connection)))
        connection.executemany(sqlite_statement("capture.sql", "add_meta").template, meta)
        connection.execute("COMMIT")
        return time.perf_counter() - began


def rehearse(captured: Sequence[Captured]) -> None:
    """Compile every trigger on an empty copy of its table. Raises RefusedError where one would fail later.

    SQLite looks at the names in a trigger's body only when a statement fires it: too late for the application.
    """
    for number, table, key in captured:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
            try:
                for sql in (table.sql, *(index.sql for index in table.indexes if index.unique and index.sql)):
                    empty.execute(sql)
            except sqlite3.Error:
                # It needs a function or collation that only the application registers.
                continue
            for statement in (*changelog_statements(captured), *trigger_statements(number, table, key)):
                _run(empty, statement)
            for event in ("insert", "update", "delete"):
                column = sqlite_name(next(column.name for column in table.columns if not column.generated))
                explain = sqlite_statement("capture.sql", f"explain_{event}")
                _run(empty, explain.substitute(table=sqlite_name(table.name), column=column))


def uninstall(path: Path) -> float:
    """Drop triggers, then tables, in one transaction; return the seconds the write lock was held.

    Triggers first: one that is left without its changelog makes every write of the application fail.
    """
    with _writing(path) as connection:
        began = time.perf_counter()
        for kind in ("trigger", "table"):
            for (name,) in connection.execute(sqlite_statement("capture.sql", f"our_{kind}s").template).fetchall():
                _run(connection, sqlite_statement("capture.sql", f"drop_{kind}").substitute(name=sqlite_name(name)))
        connection.execute("COMMIT")
        return time.perf_counter() - began


@contextmanager
def _writing(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, mode="rw")) as connection:
        # SQLite's own busy handler sleeps ever longer and loses against a busy writer; asking again at once wins.
        connection.execute("PRAGMA busy_timeout = 0")
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if "readonly" in str(error):
                    message = f"source {path} may not be written by this user: run as the user who owns it"
                    raise UsageError(message) from None
                if time.monotonic() > deadline:
                    message = f"source {path} stayed locked for {LOCK_SECONDS:.0f} s: {error}; try again"
                    raise SourceBusyError(message) from None
                time.sleep(0.0005)
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def _run(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        message = f"the source refused a statement of ours ({error}): {' '.join(statement.split())[:120]}"
        raise RefusedError(message) from error

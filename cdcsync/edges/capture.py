"""The write side of the source: putting changelog and triggers in, again after drift, and out; pruning.

Only this and the fence open the source for writing, each time for short transactions.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from cdcsync.core.drift import shapes
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.source import schema_objects
from cdcsync.edges.statements import sqlite_statement
from cdcsync.edges.triggers import Captured, changelog_statements, closing_statements, trigger_statements
from cdcsync.edges.write_lock import LockHeld, refuse_moved, write_in_steps, writing
from cdcsync.words.errors import RefusedError, SourceBusyError

PRUNE_LOCK_SECONDS = 0.1


def statements(captured: Sequence[Captured]) -> list[str]:
    """Return every statement `install` runs, in order. Executes nothing."""
    return [*changelog_statements(captured), *_all_triggers(captured), *closing_statements()]


def _all_triggers(captured: Sequence[Captured]) -> list[str]:
    return [statement for one in captured for statement in trigger_statements(*one)]


def install(path: Path, captured: Sequence[Captured], schema_version: int, source_id: str | None = None) -> LockHeld:
    """Create changelog and triggers, a few in each transaction; return how long the write lock was held.

    The registry comes last: until it is there the source counts as not installed, and what a kill leaves of an
    installation logs changes that nobody reads until the next one, or `uninstall`, takes it off.

    `source_id` is given where the target knows this source already: an older file without a changelog came back.
    Raises RefusedError if the schema changed since `schema_version`, or a statement fails: the source is then
    as it was, if the lock can be had for that once more. Raises SourceBusyError if the lock cannot be had.
    """
    rehearse(captured)
    opening, triggers, closing = changelog_statements(captured), _all_triggers(captured), closing_statements()

    def work(connection: sqlite3.Connection) -> Iterator[None]:
        refuse_moved(connection, schema_version)
        # What is left of an installation whose changelog somebody dropped makes every write fail.
        yield from _drop_all(connection)
        for statement in opening:
            _run(connection, statement)
        connection.execute(_statement("genesis"), (str(uuid.uuid4()),))
        for statement in triggers:
            _run(connection, statement)
            yield
        for statement in closing:
            _run(connection, statement)
        _write_registry(connection, [(number, table.name) for number, table, _ in captured])
        meta = {"source_id": source_id or str(uuid.uuid4()), "epoch": str(uuid.uuid4())}
        meta["installed_at"] = time.strftime("%FT%TZ", time.gmtime())
        connection.executemany(_statement("add_meta"), meta.items())

    try:
        return write_in_steps(path, work)
    except BaseException:
        with suppress(SourceBusyError):
            write_in_steps(path, _undo)
        raise


def _undo(connection: sqlite3.Connection) -> Iterator[None]:
    """Take off what an installation had made; not what another one, quicker than it, has finished."""
    if not connection.execute(_statement("has_registry")).fetchone()[0]:
        yield from _drop_all(connection)


def reinstall(
    path: Path,
    captured: Sequence[Captured],
    schema_version: int,
    *,
    anew: Collection[int],
    new_history: bool = False,
) -> LockHeld:
    """Make the triggers of the tables numbered `anew` again; the registry holds `captured` afterwards.

    Cut short, it leaves triggers younger than the registry's view behind, which count as made anew by somebody.

    `new_history` gives the changelog another epoch: the file is not the one its position was taken from.
    Returns how long the write lock was held. Raises what `install` does.
    """
    rehearse([one for one in captured if one[0] in anew])

    def work(connection: sqlite3.Connection) -> Iterator[None]:
        refuse_moved(connection, schema_version)
        for number in anew:
            for (name,) in connection.execute(_statement("triggers_of"), (number,)).fetchall():
                _drop(connection, "trigger", name)
        _widen_log(connection, max((len(key) for _, _, key in captured), default=1))
        for number, table, key in captured:
            for statement in trigger_statements(number, table, key) if number in anew else ():
                _run(connection, statement)
            yield
        # Made last, so that they lie behind every table and trigger of ours: see core.drift.
        for (name,) in connection.execute(_statement("our_views")).fetchall():
            _drop(connection, "view", name)
        connection.execute(_statement("drop_registry"))
        for statement in closing_statements():
            _run(connection, statement)
        _write_registry(connection, [(number, table.name) for number, table, _ in captured])
        if new_history:
            connection.execute(_statement("set_epoch"), (str(uuid.uuid4()),))
            connection.execute(_statement("begin_history"), (str(uuid.uuid4()),))

    return write_in_steps(path, work)


def prune(path: Path, below: int, least_age_hours: float, limit: int) -> tuple[int, float]:
    """Delete up to `limit` of the oldest entries below a position, in one short transaction.

    Returns how many and the seconds the write lock was held. Raises SourceBusyError where the lock is not to be had
    at once: there is always a later time for this.
    """
    with writing(path, PRUNE_LOCK_SECONDS) as connection:
        began = time.perf_counter()
        deleted = connection.execute(_statement("prune"), (below, least_age_hours / 24, limit)).rowcount
        connection.execute("COMMIT")
        return deleted, time.perf_counter() - began


def _write_registry(connection: sqlite3.Connection, names: Sequence[tuple[int, str]]) -> None:
    found = shapes(schema_objects(connection), dict(names))
    connection.executemany(_statement("add_table"), [(number, name, found[number]) for number, name in names])


def _widen_log(connection: sqlite3.Connection, width: int) -> None:
    present = {name for (name,) in connection.execute(_statement("log_columns"))}
    for place in range(1, width + 1):
        if f"k{place}" not in present:
            statement = sqlite_statement("capture.sql", "widen_log")
            _run(connection, statement.substitute(column=sqlite_name(f"k{place}")))


def _statement(name: str) -> str:
    return sqlite_statement("capture.sql", name).template


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


def uninstall(path: Path, *, keep_fence: bool = False) -> LockHeld:
    """Drop triggers, then tables, a few in each transaction; return how long the write lock was held.

    Raises what `writing` does, and SchemaMovedError where the application changed its schema meanwhile; what is left is
    dropped by the next call.
    """
    return write_in_steps(path, lambda connection: _drop_all(connection, keep_fence=keep_fence))


def _drop_all(connection: sqlite3.Connection, *, keep_fence: bool = False) -> Iterator[None]:
    """Without its registry the source is not installed any more; a trigger that outlived the log would fail.

    What there is is looked up under the lock: a fence may have been decided while it was waited for.
    """
    fence = sqlite_statement("source.sql", "fence_triggers").template
    spared = {name for (name,) in connection.execute(fence)} if keep_fence else set()
    connection.execute(_statement("drop_registry"))
    for kind in ("trigger", "view", "table"):
        for (name,) in connection.execute(_statement(f"our_{kind}s")).fetchall():
            if name not in spared:
                _drop(connection, kind, name)
                yield


def _drop(connection: sqlite3.Connection, kind: str, name: str) -> None:
    _run(connection, sqlite_statement("capture.sql", f"drop_{kind}").substitute(name=sqlite_name(name)))


def _run(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.Error as error:
        message = f"the source refused a statement of ours ({error}): {' '.join(statement.split())[:120]}"
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY:
            message += "; run cdcsync as the user who owns the file"
        raise RefusedError(message) from error

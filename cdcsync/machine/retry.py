"""Try rows in quarantine again: after the target or the mapping changed, nothing in the changelog says so."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from cdcsync.core import keys
from cdcsync.core.chunks import chunks
from cdcsync.edges.quarantine import Entry
from cdcsync.machine.batch import Batch, TableBatch, read_batch, refuse
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.snapshot import copy_whole
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import RefusedError, UsageError

ENTRIES = 500
"""Rows tried again in one transaction."""


@dataclass(frozen=True, slots=True)
class RetryReport:
    """How many rows were in quarantine, and how many still are."""

    before: int
    left: int


def retry(context: Context, table: str | None) -> RetryReport:
    """Try every row in quarantine again, or those of one table; a running daemon stands by meanwhile.

    Raises UsageError for an unknown table, and what `bring_up` raises.
    """
    with Session(context) as session:
        if session.checkpoint.state == "cut_over":
            message = "PostgreSQL was handed over: nothing is copied any more"
            raise RefusedError(message)
        if table is not None and table not in {progress.name for progress in session.checkpoint.tables}:
            message = f"no captured table is called {table!r}"
            raise UsageError(message)
        session.take("retry")
        try:
            sync = Sync(session)
            bring_up(session, sync, _no_watch)
            before = sum(session.quarantined.values())
            for entries in chunks(session.quarantine.entries(table), ENTRIES):
                _try_again(session, sync, entries)
            _copy_keyless(session, table)
            session.know_quarantine()
            return RetryReport(before, sum(session.quarantined.values()))
        finally:
            session.release()


def _no_watch() -> None:
    """A verb ends by signal."""


def _try_again(session: Session, sync: Sync, entries: list[Entry]) -> None:
    """Read rows by their keys, together with what is new in the changelog: both are then of one state."""
    began = time.perf_counter()
    with ExitStack() as spools:
        with session.source.reading():
            batch = read_batch(session, spools, None)
            changed = {table.number: set(table.looked_at()) for table in batch.tables}
            for entry in entries:
                # A row of the changelog is in the batch already.
                if entry.row.key and entry.row.identity not in changed.get(entry.number, ()):
                    _read_again(session, _table(batch, entry.number, spools), entry)
        sync.apply(batch, spools, began)


def _table(batch: Batch, number: int, spools: ExitStack) -> TableBatch:
    for table in batch.tables:
        if table.number == number:
            return table
    batch.tables.append(TableBatch(number, batch.before.seq, spools))
    return batch.tables[-1]


def _read_again(session: Session, table: TableBatch, entry: Entry) -> None:
    reader, connection = session.readers[entry.number], session.source.connection
    key = keys.load(entry.row.key)
    table.look_at([entry.row.identity])
    if any(storage == "null" for storage, _ in key):
        if rows := reader.keys.count(connection, key):
            table.set_aside(reader.keys.null_rows(key, rows))
        return
    row = reader.by_key(connection, key, lambda bad: refuse(session, table, bad))
    if row is not None:
        table.rows.add([row])


def _copy_keyless(session: Session, table: str | None) -> None:
    for progress in session.checkpoint.tables:
        wanted = table is None or progress.name == table
        if wanted and progress.number in session.quarantined and not session.plans[progress.number].key:
            copy_whole(session, progress)

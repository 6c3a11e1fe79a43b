"""The ways a batch's rows reach one table, from the fastest to the one that sets aside what PostgreSQL refuses."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from cdcsync.edges.writer import TableWriter
from cdcsync.machine.batch import Batch, TableBatch
from cdcsync.machine.refusals import explain_all, refused, tell
from cdcsync.machine.session import Session
from cdcsync.words.nouns import QuarantinedRow

Write = Callable[[Session, Batch, TableBatch], list[QuarantinedRow]]
"""Writes a batch's changes of one table inside a transaction; returns the rows PostgreSQL refused."""


def upsert(session: Session, _batch: Batch, table: TableBatch) -> list[QuarantinedRow]:
    """Delete what is gone, upsert the rest."""
    writer = _without_gone(session, table)
    if table.rows.count:
        writer.upsert_many(session.target, table.rows.chunks())
    return []


def replace(session: Session, _batch: Batch, table: TableBatch) -> list[QuarantinedRow]:
    """Delete all keys before inserting: where two rows swap a unique value, every form of upsert fails."""
    writer = _without_gone(session, table)
    if table.rows.count:
        writer.replace_many(session.target, table.rows.chunks())
    return []


def set_aside(session: Session, batch: Batch, table: TableBatch) -> list[QuarantinedRow]:
    """The same, finding the rows PostgreSQL refuses by halves; the others arrive.

    Raises UniqueViolation for a batch that ends before the head: a row that comes later may take the value away.
    """
    target, reader = session.target, session.readers[table.number]
    writer = _without_gone(session, table)
    # All of them before the first row is inserted: one that is still there could hold a value of a later one.
    writer.delete_many(target, ([reader.keys.of(row) for row in rows] for rows in table.rows.chunks()))
    bad = [
        found
        for rows in table.rows.chunks()
        for found in refused(target, rows, lambda part: writer.copy(target, [part]))
    ]
    for _, error in bad:
        if isinstance(error, psycopg.errors.UniqueViolation) and not batch.complete:
            raise error
    with session.source.reading() as connection:
        return explain_all(reader, bad, reader.keys.logged(connection, table.low, batch.after.seq))


def settle(session: Session, batch: Batch, table: TableBatch, refused_there: list[QuarantinedRow]) -> None:
    """Write down which rows are set aside from now on, and let those go that are not any more."""
    again = {row.identity for row in table.refused()} | {row.identity for row in refused_there}
    session.quarantine.release(table.number, (one for one in table.looked_at() if one not in again))
    session.quarantine.put(table.number, table.refused(), batch.after.seq)
    session.quarantine.put(table.number, refused_there, batch.after.seq)
    tell(session.plans[table.number].name, [*table.refused(), *refused_there])


def _without_gone(session: Session, table: TableBatch) -> TableWriter:
    writer = session.writers[table.number]
    if table.gone.count:
        writer.delete_many(session.target, table.gone.chunks())
    return writer

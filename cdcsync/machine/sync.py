"""Streaming: one read transaction of the source, one transaction of the target, the position with the rows.

position --read--> batch (keys in (position, high] and their current rows) --apply--> position = high
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import psycopg

from cdcsync.edges.rows import stop_at_bad_row
from cdcsync.edges.spool import Row, Spool
from cdcsync.edges.target import Target
from cdcsync.edges.writer import TableWriter
from cdcsync.machine.bad_rows import REFUSALS, first_bad_row
from cdcsync.machine.context import anchor_at
from cdcsync.machine.session import Session
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import Checkpoint, Position, State, TableProgress

FEW_ROWS = 100
"""Batches up to this many rows go row by row in one pipeline, which costs one round trip; larger ones are staged."""

Write = Callable[[TableWriter, Target, Iterable[list[Row]]], None]
"""How the rows of a batch reach their table: TableWriter.upsert_many or replace_many."""

SHORT_READ_KEYS = 1000
"""Most changelog entries of one read in rollback-journal mode."""


@dataclass(slots=True)
class TableBatch:
    """The changes of one table: current rows of changed keys, and keys that have no row any more."""

    number: int
    rows: Spool
    gone: Spool

    @property
    def count(self) -> int:
        """How many keys are in it."""
        return self.rows.count + self.gone.count


@dataclass(slots=True)
class Batch:
    """What one read found. `complete`: it reached the head, so the target will equal a state of the source."""

    before: Position
    after: Position
    complete: bool
    tables: list[TableBatch] = field(default_factory=list)
    stale: list[TableProgress] = field(default_factory=list)
    joining: dict[int, int] = field(default_factory=dict)
    """Table number -> rows in the source at this very state, for tables that join the stream with this batch."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, not even to move the position."""
        return self.after.seq == self.before.seq and not self.joining

    @property
    def count(self) -> int:
        """How many keys are in it."""
        return sum(table.count for table in self.tables)


class Sync:
    """Moves one session's target along the changelog, cycle by cycle."""

    def __init__(self, session: Session) -> None:
        """Begin at the session's checkpoint; the caller has taken it."""
        self._session = session
        # An open read makes the application's COMMIT wait where there is no WAL: keep reads short there.
        wal = session.source.journal_mode() == "wal"
        self._most = session.settings.apply_max_keys if wal else min(session.settings.apply_max_keys, SHORT_READ_KEYS)
        self._limit = self._most
        self.entries_per_second = session.store.rate

    def cycle(self) -> Batch:
        """Read what is new and apply it; return the batch (emptied). An empty one means: up to date.

        Raises LostCheckpointError, DriftError, IdentityError, BadValueError, psycopg.Error, SourceBusyError.
        """
        began = time.perf_counter()
        with ExitStack() as spools:
            batch = self._read(spools)
            if batch.is_empty:
                return batch
            checkpoint = self._apply_or_replace(batch, spools, began)
        self._session.checkpoint = checkpoint
        self._limit = min(self._limit * 2, self._most)
        return batch

    def _apply_or_replace(self, batch: Batch, spools: ExitStack, began: float) -> Checkpoint:
        """Apply a batch; where two rows swapped a unique value, delete its keys before inserting them."""
        for how in (TableWriter.upsert_many, TableWriter.replace_many):
            try:
                return self._apply(batch, began, how)
            except psycopg.errors.UniqueViolation:
                continue
        # The batch ends between the two. Read up to the head: the target then equals one state of the source, which
        # has no conflict.
        with self._session.source.reading():
            whole = read_batch(self._session, spools, None)
        try:
            return self._apply(whole, began, TableWriter.replace_many)
        except psycopg.errors.UniqueViolation as error:
            raise self._explained(whole, error) from error

    def _read(self, spools: ExitStack) -> Batch:
        """Read a batch, a smaller one where the WAL grows too far under the read."""
        source = self._session.source
        batch, self._limit = source.read_bounded(
            self._limit, lambda _connection, limit: read_batch(self._session, spools, limit)
        )
        return batch

    def _apply(self, batch: Batch, began: float, how: Write) -> Checkpoint:
        session = self._session
        progress = _progress_after(session.checkpoint.tables, batch)
        joined = all(table.state in {"joined", "stale", "dropped"} for table in progress)
        state: State = "streaming" if batch.complete and joined else "catching_up"

        def advance() -> None:
            session.store.advance(
                batch.before, batch.after, state, consistent=state == "streaming", rate=self._rate(batch, began)
            )

        try:
            if batch.count <= FEW_ROWS and not batch.joining and how is TableWriter.upsert_many:
                self._in_one_round_trip(batch, advance)
            else:
                with session.target.transaction():
                    advance()
                    for table in batch.tables:
                        _write(session, table, how)
                    session.target.execute("apply.sql", "constraints_now")
                    _compare_counts(session, batch)
                    for changed in set(progress) - set(session.checkpoint.tables):
                        session.store.save(changed)
                        if changed.number in batch.joining:
                            session.store.close_drift(changed.number)
        except psycopg.errors.UniqueViolation:
            raise
        except REFUSALS as error:
            raise self._explained(batch, error) from error
        return replace(
            session.checkpoint,
            position=batch.after,
            state=state,
            consistent_seq=batch.after.seq if state == "streaming" else session.checkpoint.consistent_seq,
            tables=progress,
        )

    def _in_one_round_trip(self, batch: Batch, advance: Callable[[], None]) -> None:
        session = self._session
        with session.target.transaction(), session.target.connection.pipeline():
            advance()
            for table in batch.tables:
                writer = session.writers[table.number]
                for keys in table.gone.chunks():
                    writer.delete_few(session.target, keys)
                for rows in table.rows.chunks():
                    writer.upsert_few(session.target, rows)
            session.target.execute("apply.sql", "constraints_now")
            for changed in batch.stale:
                session.store.save(changed)

    def _rate(self, batch: Batch, began: float) -> float | None:
        """Return entries a second, smoothed; small batches say nothing about what a drain would take."""
        entries = batch.after.seq - batch.before.seq
        if entries < FEW_ROWS:
            return None
        rate = entries / max(time.perf_counter() - began, 1e-6)
        self.entries_per_second = 0.7 * (self.entries_per_second or rate) + 0.3 * rate
        return self.entries_per_second

    def _explained(self, batch: Batch, error: psycopg.Error) -> Exception:
        """Find the row PostgreSQL refused, by trying: its own message names no key."""
        for table in batch.tables:
            reader, writer = self._session.readers[table.number], self._session.writers[table.number]
            found = first_bad_row(self._session.target, reader, writer, table.rows.chunks())
            if found is not None:
                return found
        return PermanentStopError(f"PostgreSQL refused a batch: {' '.join(str(error).split())}")


def read_batch(session: Session, spools: ExitStack, limit: int | None) -> Batch:
    """Read the changes after the checkpoint, at most `limit` entries, inside a read transaction, into spools."""
    before = session.checkpoint.position
    session.refuse_drift()
    session.refuse_other_history(before)
    head = int(session.source.ask("head"))
    high = head if limit is None else min(head, before.seq + limit)
    complete = high == head
    batch = Batch(before, before, complete)
    if high != before.seq:
        batch.after = Position(before.epoch, high, anchor_at(session.source, high))
    changed = dict(session.source.rows("tables_changed", before.seq, high))
    for progress in session.checkpoint.tables:
        news = changed.get(progress.number, 0) > progress.start_seq
        if news and progress.state in {"copied", "joined", "stale"}:
            _read_table(session, spools, batch, progress)
        if progress.state == "copied" and complete and session.plans[progress.number].key:
            batch.joining[progress.number] = session.count_source(progress.number)
    return batch


def _read_table(session: Session, spools: ExitStack, batch: Batch, progress: TableProgress) -> None:
    high = batch.after.seq
    if not session.plans[progress.number].key:
        if progress.state != "stale":
            batch.stale.append(replace(progress, state="stale"))
        return
    # The copy of this table began later than the stream: what came before is in it already.
    low = max(batch.before.seq, progress.start_seq)
    connection, reader = session.source.connection, session.readers[progress.number]
    table = TableBatch(progress.number, spools.enter_context(Spool()), spools.enter_context(Spool()))
    reader.present(connection, low, high, table.rows, stop_at_bad_row)
    for keys in reader.gone(connection, low, high):
        table.gone.add(keys)
    if table.count:
        batch.tables.append(table)


def _write(session: Session, table: TableBatch, how: Write) -> None:
    writer, target = session.writers[table.number], session.target
    if table.gone.count:
        writer.delete_many(target, table.gone.chunks())
    if table.rows.count:
        how(writer, target, table.rows.chunks())


def _progress_after(tables: tuple[TableProgress, ...], batch: Batch) -> tuple[TableProgress, ...]:
    stale = {progress.number: progress for progress in batch.stale}
    return tuple(
        replace(table, state="joined", rows_total=batch.joining[table.number])
        if table.number in batch.joining
        else stale.get(table.number, table)
        for table in tables
    )


def _compare_counts(session: Session, batch: Batch) -> None:
    """A table joins the stream only if both sides hold the same number of rows at this very position."""
    for number, expected in batch.joining.items():
        found = session.writers[number].count(session.target)
        if found != expected:
            name = session.plans[number].name
            message = (
                f"table {name}: the source has {expected} rows at position {batch.after.seq}, the target {found}: "
                f"run cdcsync verify --table {name} to see which; does not retry by itself"
            )
            raise PermanentStopError(message)

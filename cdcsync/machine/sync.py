"""Streaming: one read transaction of the source, one transaction of the target, the position with the rows.

position --read--> batch (keys in (position, high] and their current rows) --apply--> position = high
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import psycopg

from cdcsync.machine import writing
from cdcsync.machine.batch import Batch, read_batch
from cdcsync.machine.refusals import REFUSALS
from cdcsync.machine.session import Session
from cdcsync.machine.writing import Write
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import Checkpoint, State, TableProgress

FEW_ROWS = 100
"""Batches up to this many rows go row by row in one pipeline, which costs one round trip; larger ones are staged."""

SHORT_READ_KEYS = 1000
"""Most changelog entries of one read in rollback-journal mode."""


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

        Rows PostgreSQL cannot hold go to quarantine. Raises LostCheckpointError, DriftError, IdentityError,
        psycopg.Error, SourceBusyError.
        """
        began = time.perf_counter()
        with ExitStack() as spools:
            batch = self._read(spools)
            if batch.is_empty:
                return batch
            self.apply(batch, spools, began)
        self._limit = min(self._limit * 2, self._most)
        return batch

    def apply(self, batch: Batch, spools: ExitStack, began: float) -> None:
        """Apply a batch, whatever it takes."""
        try:
            checkpoint = self._apply_somehow(batch, began)
        except psycopg.errors.UniqueViolation:
            # The batch ends between two rows that swap a unique value. Read up to the head: the target then equals one
            # state of the source, which has no conflict.
            with self._session.source.reading():
                batch = read_batch(self._session, spools, None)
            checkpoint = self._apply_somehow(batch, began)
        self._session.checkpoint = checkpoint
        if any(table.concerns_quarantine for table in batch.tables):
            self._session.know_quarantine()

    def _read(self, spools: ExitStack) -> Batch:
        """Read a batch, a smaller one where the WAL grows too far under the read."""
        source = self._session.source
        batch, self._limit = source.read_bounded(
            self._limit, lambda _connection, limit: read_batch(self._session, spools, limit)
        )
        return batch

    def _apply_somehow(self, batch: Batch, began: float) -> Checkpoint:
        """Apply a batch in the fastest way that works. Raises UniqueViolation for one that ends too early."""
        for write in (writing.upsert, writing.replace):
            try:
                return self._apply(batch, began, write)
            except psycopg.errors.UniqueViolation:
                continue
            except REFUSALS:
                break
        checkpoint = self._apply(batch, began, writing.set_aside)
        self._session.know_quarantine()
        return checkpoint

    def _apply(self, batch: Batch, began: float, write: Write) -> Checkpoint:
        session = self._session
        progress = _progress_after(session.checkpoint.tables, batch)
        joined = all(table.state in {"joined", "stale", "dropped"} for table in progress)
        steady = batch.complete and joined
        state: State = session.steady if steady else "catching_up"

        def advance() -> None:
            session.store.advance(batch.before, batch.after, state, consistent=steady, rate=self._rate(batch, began))

        if batch.count <= FEW_ROWS and not batch.joining and write is writing.upsert:
            self._in_one_round_trip(batch, advance)
        else:
            with session.target.transaction():
                advance()
                for table in batch.tables:
                    writing.settle(session, batch, table, write(session, batch, table))
                session.target.execute("apply.sql", "constraints_now")
                _compare_counts(session, batch)
                for changed in set(progress) - set(session.checkpoint.tables):
                    session.store.save(changed)
                    if changed.number in batch.joining:
                        session.store.close_drift(changed.number)
        return replace(
            session.checkpoint,
            position=batch.after,
            state=state,
            consistent_seq=batch.after.seq if steady else session.checkpoint.consistent_seq,
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
                if table.concerns_quarantine:
                    writing.settle(session, batch, table, [])
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
        found, aside = session.writers[number].count(session.target), session.quarantine.count(number)
        if found + aside != expected:
            name = session.plans[number].name
            message = (
                f"table {name}: the source has {expected} rows at position {batch.after.seq}, the target {found} and "
                f"{aside} in quarantine: run cdcsync verify --table {name} to see which; does not retry by itself"
            )
            raise PermanentStopError(message)

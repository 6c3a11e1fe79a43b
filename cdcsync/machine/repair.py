"""The one repair: make a copied table equal to its source table again, whatever happened to either.

Read by page, compare by key, write what differs, delete what is extra. Like a copy, a repaired table has its own
start position, the head when the repair began: the stream leaves it alone meanwhile and applies the later entries
afterwards, so a row that was read before a change and mended after it does not stay wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from loguru import logger

from cdcsync.core.keys import Key
from cdcsync.edges import control
from cdcsync.edges.catalog import attach_statement, detach, drop_index, find_table
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.comparer import Comparer
from cdcsync.edges.pages import Page, pages
from cdcsync.edges.spool import Row
from cdcsync.machine.fit import detachable, detachable_indexes
from cdcsync.machine.refusals import REFUSALS, entry, explain_all, refused, tell
from cdcsync.machine.session import Session
from cdcsync.machine.snapshot import remember
from cdcsync.words.nouns import QuarantinedRow, TableProgress, TargetStatement

PAGE_ROWS = 1000

CHUNK_ROWS = 5000
"""Rows mended in one transaction: what a transaction costs besides is as much as mending a thousand."""

LOOKED_THROUGH = 4 * CHUNK_ROWS
"""Keys that are read again to find those of refused rows, among which others may have come meanwhile."""

Watch = Callable[[], None]


def mark_for_repair(store: CheckpointStore, progress: TableProgress, *, keyed: bool) -> TableProgress:
    """Write down that a table has to be repaired, inside the caller's transaction.

    A table without a key is copied whole instead, and one that holds nothing yet is simply copied.
    """
    if progress.state in {"pending", "dropped"}:
        return progress
    marked = replace(progress, state="repairing" if keyed else "pending", cursor=None)
    store.save(marked)
    return marked


def repair_all(session: Session, watch: Watch) -> int:
    """Repair every table that is marked for it; return how many rows were not equal."""
    marked = [progress for progress in session.checkpoint.tables if progress.state == "repairing"]
    return sum(_Repair(session, progress).run(watch) for progress in marked)


class _Repair:
    """The repair of one table. One that was cut short begins again."""

    def __init__(self, session: Session, progress: TableProgress) -> None:
        self._session, self._progress = session, progress
        self._plan, self._reader = session.plans[progress.number], session.readers[progress.number]
        self._comparer = Comparer(session.target, self._plan, session.settings.target_schema)

    def run(self, watch: Watch) -> int:
        """Compare, mend, remove what is extra; return how many rows were not equal."""
        self._begin()
        logger.info("repairing table {}: comparing {} rows", self._plan.name, self._progress.rows_total)
        self._comparer.begin()
        mended = copied = 0
        before: Key | None = None
        for page in _joined(pages(self._session.source, self._reader, PAGE_ROWS)):
            watch()
            mended += self._mend(page, before)
            copied, before = copied + len(page.rows), page.last
        removed = self._end(mended, copied)
        logger.info("repaired table {}: {} rows differed, {} were too many", self._plan.name, mended, removed)
        return mended + removed

    def _begin(self) -> None:
        """Fix the start position before the first row is read."""
        session, number = self._session, self._progress.number
        with session.source.reading() as connection:
            session.refuse_drift()
            null_keys = session.null_key_rows(connection, number)
            head, total = int(session.source.ask("head")), session.count_source(number)
        self._progress = replace(self._progress, start_seq=head, rows_total=total, rows_copied=0)
        with self._holding():
            session.store.set_state("catching_up")
            session.store.save(self._progress)
            session.quarantine.doubt(number)
            self._set_aside(null_keys)
        session.checkpoint = replace(session.checkpoint, state="catching_up")
        remember(session, self._progress)

    def _end(self, mended: int, copied: int) -> int:
        """Remove what the source does not have, and what it has but went to quarantine; return how many rows."""
        session, number = self._session, self._progress.number
        self._progress = replace(self._progress, state="copied", rows_copied=copied)
        with self._holding():
            removed = self._comparer.remove_extra()
            session.store.save(self._progress)
            session.store.mended(number, mended + removed)
            session.quarantine.release_doubted(number)
        session.know_quarantine()
        remember(session, self._progress)
        return removed

    def _mend(self, page: Page, before: Key | None) -> int:
        """Mend the rows of a page and set aside what cannot arrive of it; return how many were not equal."""
        entries = [entry(self._reader, error) for error in page.refused]
        try:
            with self._holding():
                self._set_aside(entries)
                return self._comparer.mend(page.rows)
        except psycopg.errors.UniqueViolation:
            # A row that is still to be mended, or was mended and has changed since, holds a value of this one.
            if not self._detach_unique():
                raise
            return self._mend(page, before)
        except REFUSALS:
            # Then no row is refused for a unique value that another one still has.
            self._detach_unique()
            return self._mend_by_halves(page, before, entries)

    def _mend_by_halves(self, page: Page, before: Key | None, entries: list[QuarantinedRow]) -> int:
        """The same, finding the rows PostgreSQL refuses."""
        mended = 0

        def attempt(part: list[Row]) -> None:
            nonlocal mended
            mended += self._comparer.mend(part)

        with self._holding():
            bad = list(refused(self._session.target, page.rows, attempt))
            with self._session.source.reading() as connection:
                candidates = self._reader.keys.after(connection, before, LOOKED_THROUGH)
                self._set_aside([*entries, *explain_all(self._reader, bad, candidates)])
        return mended

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """Run the block in a transaction that holds the checkpoint."""
        with self._session.target.transaction():
            self._session.store.hold(self._session.checkpoint.position)
            yield

    def _set_aside(self, entries: list[QuarantinedRow]) -> None:
        self._session.quarantine.put(self._plan.number, entries, self._progress.start_seq)
        tell(self._plan.name, entries)

    def _detach_unique(self) -> bool:
        """Take unique constraints and indexes off until the table has caught up, as for a first copy."""
        target, plan = self._session.target, self._plan
        found = find_table(target, self._session.settings.target_schema, plan.target)
        if found is None:
            return False
        constraints = [one for one in detachable(target, plan, found) if one.kind != "f"]
        indexes = detachable_indexes(target, plan, found)
        with self._holding():
            for constraint in constraints:
                self._bring_back_later(attach_statement(constraint, plan.name, plan.target))
                detach(target, constraint)
            for index in indexes:
                self._bring_back_later(TargetStatement("unique", plan.name, index.name, index.definition))
                drop_index(target, index)
        return bool(constraints or indexes)

    def _bring_back_later(self, statement: TargetStatement) -> None:
        target, source_id = self._session.target, self._session.store.source_id
        if not control.run_again_later(target, source_id, self._plan.name, statement.name):
            control.register_ddl(target, source_id, statement, detached=True)


def _joined(read: Iterable[Page]) -> Iterator[Page]:
    """Put small rows of several pages together; a page that ended early holds large ones."""
    chunk = Page([])
    for page in read:
        chunk.rows += page.rows
        chunk.refused += page.refused
        chunk.last = page.last
        if len(chunk.rows) >= CHUNK_ROWS or len(page.rows) + len(page.refused) < PAGE_ROWS:
            yield chunk
            chunk = Page([])
    if chunk.last is not None:
        yield chunk

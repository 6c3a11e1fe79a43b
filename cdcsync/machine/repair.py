"""The one repair: make a copied table equal to its source table again, whatever happened to either.

Read by page, compare by key, write what differs, delete what is extra. Like a copy, a repaired table has its own
start position, the head when the repair began: the stream leaves it alone meanwhile and applies the later entries
afterwards, so a row that was read before a change and mended after it does not stay wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import psycopg
from loguru import logger

from cdcsync.edges import control
from cdcsync.edges.catalog import attach_statement, detach, drop_index, find_table
from cdcsync.edges.comparer import Comparer
from cdcsync.edges.pages import pages
from cdcsync.edges.rows import stop_at_bad_row
from cdcsync.edges.spool import Row
from cdcsync.edges.target import one_line
from cdcsync.machine.bad_rows import REFUSALS, first_bad_row
from cdcsync.machine.fit import detachable, detachable_indexes
from cdcsync.machine.session import Session
from cdcsync.machine.snapshot import remember
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import TablePlan, TableProgress, TargetStatement

PAGE_ROWS = 1000

CHUNK_ROWS = 5000
"""Rows mended in one transaction: what a transaction costs besides is as much as mending a thousand."""

Watch = Callable[[], None]


def mark_for_repair(session: Session, progress: TableProgress) -> TableProgress:
    """Write down that a table has to be repaired, inside the caller's transaction.

    A table without a key is copied whole instead, and one that holds nothing yet is simply copied.
    """
    if progress.state in {"pending", "dropped"}:
        return progress
    marked = replace(progress, state="repairing" if session.plans[progress.number].key else "pending", cursor=None)
    session.store.save(marked)
    return marked


def repair_all(session: Session, watch: Watch) -> int:
    """Repair every table that is marked for it; return how many rows were not equal."""
    return sum(
        _repair(session, progress, watch) for progress in session.checkpoint.tables if progress.state == "repairing"
    )


def _repair(session: Session, progress: TableProgress, watch: Watch) -> int:
    plan = session.plans[progress.number]
    progress = _begin(session, progress)
    logger.info("repairing table {}: comparing {} rows", plan.name, progress.rows_total)
    comparer = Comparer(session.target, plan, session.settings.target_schema)
    comparer.begin()
    mended = copied = 0
    for rows in _chunks(pages(session.source, session.readers[plan.number], PAGE_ROWS, stop_at_bad_row)):
        watch()
        mended += _mend(session, plan, comparer, rows)
        copied += len(rows)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        removed = comparer.remove_extra()
        progress = replace(progress, state="copied", rows_copied=copied)
        session.store.save(progress)
        session.store.mended(plan.number, mended + removed)
    remember(session, progress)
    logger.info("repaired table {}: {} rows differed, {} were too many", plan.name, mended, removed)
    return mended + removed


def _chunks(read: Iterable[tuple[list[Row], object]]) -> Iterator[list[Row]]:
    """Put small rows of several pages together; a page that ended early holds large ones."""
    chunk: list[Row] = []
    for rows, _ in read:
        chunk.extend(rows)
        if len(chunk) >= CHUNK_ROWS or len(rows) < PAGE_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _begin(session: Session, progress: TableProgress) -> TableProgress:
    """Fix the start position before the first row is read. A repair that was cut short begins again."""
    with session.source.reading() as connection:
        session.refuse_drift()
        session.readers[progress.number].refuse_null_keys(connection)
        head, total = int(session.source.ask("head")), session.count_source(progress.number)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        session.store.set_state("catching_up")
        begun = replace(progress, start_seq=head, rows_total=total, rows_copied=0)
        session.store.save(begun)
    session.checkpoint = replace(session.checkpoint, state="catching_up")
    return remember(session, begun)


def _mend(session: Session, plan: TablePlan, comparer: Comparer, rows: list[Row]) -> int:
    try:
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            return comparer.mend(rows)
    except psycopg.errors.UniqueViolation:
        # A row that is still to be mended, or was mended and has changed since, holds a value of this one.
        if not _detach_unique(session, plan):
            raise
        return _mend(session, plan, comparer, rows)
    except REFUSALS as error:
        raise _explained(session, plan, rows, error) from error


def _detach_unique(session: Session, plan: TablePlan) -> bool:
    """Take unique constraints and indexes off until the table has caught up, as for a first copy."""
    schema = session.settings.target_schema
    found = find_table(session.target, schema, plan.target)
    if found is None:
        return False
    constraints = [one for one in detachable(session.target, plan, found) if one.kind != "f"]
    indexes = detachable_indexes(session.target, plan, found)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        for constraint in constraints:
            _bring_back_later(session, plan, attach_statement(constraint, plan.name))
            detach(session.target, constraint)
        for index in indexes:
            _bring_back_later(session, plan, TargetStatement("unique", plan.name, index.name, index.definition))
            drop_index(session.target, index)
    return bool(constraints or indexes)


def _bring_back_later(session: Session, plan: TablePlan, statement: TargetStatement) -> None:
    source_id = session.store.source_id
    if not control.run_again_later(session.target, source_id, plan.name, statement.name):
        control.register_ddl(session.target, source_id, statement, detached=True)


def _explained(session: Session, plan: TablePlan, rows: list[Row], error: psycopg.Error) -> Exception:
    found = first_bad_row(session.target, session.readers[plan.number], session.writers[plan.number], [rows])
    return found or PermanentStopError(f"table {plan.name}: PostgreSQL refused the repair: {one_line(error)}")

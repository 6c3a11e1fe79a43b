"""Snapshot: copy table by table while the application goes on writing.

Each table has its own start position, the head when its copy began. Its log entries up to there are in the copy
already; the stream applies the later ones, once the copy is whole. A page that was read before a delete and
written after it therefore never brings a row back for good.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg

from cdcsync.core import keys
from cdcsync.core.keys import Key
from cdcsync.edges.pages import pages
from cdcsync.edges.rows import stop_at_bad_row
from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.bad_rows import REFUSALS, explain, refused
from cdcsync.machine.completion import complete_target
from cdcsync.machine.session import Session
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import TablePlan, TableProgress

PAGE_ROWS = 600
"""Rows of one read transaction: a millisecond or two, and about what a socket's buffer takes, so that PostgreSQL works
on one page while the next is read."""

Watch = Callable[[], None]


@dataclass(slots=True)
class CopyReport:
    """`seconds` runs from the first row read to the last COPY committed."""

    rows: int = 0
    seconds: float = 0.0


def copy_all(session: Session, watch: Watch) -> CopyReport:
    """Copy every table that is not copied yet; `watch` is called at each page and may stop by raising.

    Raises BadValueError at a row PostgreSQL cannot hold, LostCheckpointError if the checkpoint is taken.
    """
    report = CopyReport()
    began = time.perf_counter()
    with _collector_asleep():
        for progress in session.checkpoint.tables:
            if progress.state not in {"pending", "copying"}:
                continue
            plan = session.plans[progress.number]
            report.rows += _copy_table(session, progress, watch) if plan.key else copy_whole(session, progress)
            report.seconds = time.perf_counter() - began
    for plan in session.plans.values():
        watch()
        if any(p.number == plan.number and p.state == "copied" for p in session.checkpoint.tables):
            session.writers[plan.number].analyze(session.target)
    complete_target(session, "index")
    return report


@contextmanager
def _collector_asleep() -> Iterator[None]:
    """Rows make half a million tuples a second and no cycles: looking for some takes a tenth of the copy."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def copy_whole(session: Session, progress: TableProgress) -> int:
    """Copy a table that has no key, in one transaction; return its rows.

    Its start position is the head of the very read, so that later markers make it stale again.
    """
    plan, writer = session.plans[progress.number], session.writers[progress.number]
    with Spool() as spool:
        with session.source.reading() as connection:
            head = int(session.source.ask("head"))
            session.readers[plan.number].whole(connection, spool, stop_at_bad_row)
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            writer.empty(session.target)
            try:
                writer.copy(session.target, spool.chunks())
            except REFUSALS as error:
                message = f"table {plan.name} has no key, and PostgreSQL refused a row: {' '.join(str(error).split())}"
                raise PermanentStopError(message) from error
            done = replace(progress, state="joined", start_seq=head, rows_copied=spool.count, rows_total=spool.count)
            session.store.save(done)
            session.store.close_drift(plan.number)
        remember(session, done)
        return spool.count


def _copy_table(session: Session, progress: TableProgress, watch: Watch) -> int:
    plan = session.plans[progress.number]
    progress = _begin(session, progress)
    copied = progress.rows_copied
    remaining = _pages_from(session, progress)
    while progress.state == "copying":
        progress = _copy_until_commit(session, plan, progress, remaining, watch)
    return progress.rows_copied - copied


def _pages_from(session: Session, progress: TableProgress) -> Iterator[tuple[list[Row], Key]]:
    """Yield the pages that are not copied yet."""
    after = None if progress.cursor is None else keys.load(progress.cursor)
    return pages(session.source, session.readers[progress.number], PAGE_ROWS, stop_at_bad_row, after)


def _begin(session: Session, progress: TableProgress) -> TableProgress:
    """Fix the start position before the first row is read; a restart keeps it."""
    if progress.state == "copying":
        return progress
    with session.source.reading() as connection:
        session.refuse_drift()
        session.readers[progress.number].refuse_null_keys(connection)
        head, total = int(session.source.ask("head")), session.count_source(progress.number)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        session.store.set_state("copying")
        begun = replace(progress, state="copying", start_seq=head, rows_total=total)
        session.store.save(begun)
    session.checkpoint = replace(session.checkpoint, state="copying")
    return remember(session, begun)


def _copy_until_commit(
    session: Session,
    plan: TablePlan,
    progress: TableProgress,
    remaining: Iterator[tuple[list[Row], Key]],
    watch: Watch,
) -> TableProgress:
    """Copy pages up to `copy_commit_rows` and commit them together with the cursor."""
    copied, last = 0, None

    def chunks() -> Iterator[list[Row]]:
        nonlocal copied, last
        for rows, key in remaining:
            watch()
            copied, last = copied + len(rows), key
            yield rows
            if copied >= session.settings.copy_commit_rows:
                return

    try:
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            session.writers[plan.number].copy(session.target, chunks())
            progress = replace(
                progress,
                state="copying" if copied >= session.settings.copy_commit_rows else "copied",
                cursor=progress.cursor if last is None else keys.dump(last),
                rows_copied=progress.rows_copied + copied,
            )
            session.store.save(progress)
    except REFUSALS as error:
        raise _explained(session, plan, progress, error) from error
    return remember(session, progress)


def _explained(session: Session, plan: TablePlan, progress: TableProgress, error: psycopg.Error) -> Exception:
    """Copy again from the last commit, page by page in savepoints, until the refused row shows itself."""
    writer = session.writers[plan.number]
    session.target.control("BEGIN")
    try:
        for rows, _ in _pages_from(session, progress):
            for row, reason in refused(session.target, rows, lambda part: writer.copy(session.target, [part])):
                return explain(session.readers[plan.number], row, reason)
    finally:
        session.target.control("ROLLBACK")
    return PermanentStopError(f"table {plan.name}: PostgreSQL refused the copy: {' '.join(str(error).split())}")


def remember(session: Session, progress: TableProgress) -> TableProgress:
    """Let the session's checkpoint say where a table stands; it is committed already."""
    tables = tuple(progress if old.number == progress.number else old for old in session.checkpoint.tables)
    session.checkpoint = replace(session.checkpoint, tables=tables)
    return progress

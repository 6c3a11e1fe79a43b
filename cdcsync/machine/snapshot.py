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
from dataclasses import dataclass, field, replace

import psycopg

from cdcsync.core import keys
from cdcsync.core.keys import Key
from cdcsync.edges.pages import Page, pages
from cdcsync.edges.spool import Row, Spool
from cdcsync.edges.target import one_line
from cdcsync.machine.completion import complete_target
from cdcsync.machine.refusals import REFUSALS, entry, explain, explain_all, keyless_entry, refused, tell
from cdcsync.machine.session import Session
from cdcsync.words.errors import BadValueError, PermanentStopError
from cdcsync.words.nouns import QuarantinedRow, TablePlan, TableProgress

PAGE_ROWS = 600
"""Rows of one read transaction: a millisecond or two, and about what a socket's buffer takes, so that PostgreSQL works
on one page while the next is read."""

SECTION_ROWS = 30 * PAGE_ROWS
"""Rows of one COPY with its savepoint: what has to be done again for a row that PostgreSQL refuses."""

LOOKED_THROUGH = 10 * PAGE_ROWS
"""Keys that are read again to find those of refused rows on one page, to which others may have come meanwhile."""

Watch = Callable[[], None]


@dataclass(slots=True)
class CopyReport:
    """`seconds` runs from the first row read to the last COPY committed."""

    rows: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Section:
    """What one COPY took, `most` rows or a page more: what arrived, what did not, and the key of the last of either."""

    last: Key | None
    most: int
    rows: int = 0
    refused: list[QuarantinedRow] = field(default_factory=list)
    ended: bool = False

    @property
    def is_full(self) -> bool:
        return self.rows + len(self.refused) >= self.most


def copy_all(session: Session, watch: Watch) -> CopyReport:
    """Copy every table that is not copied yet; `watch` is called at each page and may stop by raising.

    Rows PostgreSQL cannot hold go to quarantine. Raises LostCheckpointError if the checkpoint is taken.
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
    plan, reader = session.plans[progress.number], session.readers[progress.number]
    bad: list[BadValueError] = []
    with Spool() as spool:
        with session.source.reading() as connection:
            head = int(session.source.ask("head"))
            reader.whole(connection, spool, bad.append)
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            session.writers[plan.number].empty(session.target)
            refused_there = _copy_spool(session, plan, spool)
            copied = spool.count - len(refused_there)
            entries = [keyless_entry(place, error) for place, error in enumerate([*bad, *refused_there])]
            session.quarantine.doubt(plan.number)
            session.quarantine.put(plan.number, entries, head)
            session.quarantine.release_doubted(plan.number)
            total = copied + len(entries)
            done = replace(progress, state="joined", start_seq=head, rows_copied=copied, rows_total=total)
            session.store.save(done)
            session.store.close_drift(plan.number)
        session.know_quarantine()
        tell(plan.name, entries)
        remember(session, done)
        return copied


def _copy_spool(session: Session, plan: TablePlan, spool: Spool) -> list[BadValueError]:
    """Copy spooled rows, inside a transaction; return those PostgreSQL refuses."""
    reader, writer = session.readers[plan.number], session.writers[plan.number]
    try:
        with session.target.savepoint():
            writer.copy(session.target, spool.chunks())
    except REFUSALS:
        return [
            explain(reader, row, error)
            for rows in spool.chunks()
            for row, error in refused(session.target, rows, lambda part: writer.copy(session.target, [part]))
        ]
    return []


def _copy_table(session: Session, progress: TableProgress, watch: Watch) -> int:
    plan = session.plans[progress.number]
    progress = _begin(session, progress)
    copied = progress.rows_copied
    while progress.state == "copying":
        progress = _copy_until_commit(session, plan, progress, watch)
    return progress.rows_copied - copied


def _begin(session: Session, progress: TableProgress) -> TableProgress:
    """Fix the start position before the first row is read; a restart keeps it."""
    if progress.state == "copying":
        return progress
    with session.source.reading() as connection:
        session.refuse_drift()
        head, total = int(session.source.ask("head")), session.count_source(progress.number)
        null_keys = session.null_key_rows(connection, progress.number)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        session.store.set_state("copying")
        begun = replace(progress, state="copying", start_seq=head, rows_total=total)
        session.store.save(begun)
        session.quarantine.doubt(progress.number)
        session.quarantine.put(progress.number, null_keys, head)
        session.quarantine.release_doubted(progress.number)
    tell(progress.name, null_keys)
    session.checkpoint = replace(session.checkpoint, state="copying")
    return remember(session, begun)


def _copy_until_commit(session: Session, plan: TablePlan, progress: TableProgress, watch: Watch) -> TableProgress:
    """Copy pages up to `copy_commit_rows` and commit them together with the cursor."""
    taken, copied, ended = 0, 0, False
    last = None if progress.cursor is None else keys.load(progress.cursor)
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        while not ended and taken < session.settings.copy_commit_rows:
            most = min(SECTION_ROWS, session.settings.copy_commit_rows - taken)
            section = _copy_section(session, plan, _Section(last, most), watch)
            session.quarantine.put(plan.number, section.refused, progress.start_seq)
            tell(plan.name, section.refused)
            last, ended = section.last, section.ended
            copied, taken = copied + section.rows, taken + section.rows + len(section.refused)
        progress = replace(
            progress,
            state="copied" if ended else "copying",
            cursor=None if last is None else keys.dump(last),
            rows_copied=progress.rows_copied + copied,
        )
        session.store.save(progress)
    session.know_quarantine()
    return remember(session, progress)


def _copy_section(session: Session, plan: TablePlan, section: _Section, watch: Watch) -> _Section:
    try:
        with session.target.savepoint():
            return _copy_pages(session, plan, replace(section, refused=[]), watch)
    except psycopg.errors.UniqueViolation as error:
        # Keys are new, and no two of them become one: somebody else wrote to the table.
        message = f"table {plan.name}: PostgreSQL refused the copy: {one_line(error)}; does not retry by itself"
        raise PermanentStopError(message) from error
    except REFUSALS:
        return _copy_page_by_page(session, plan, section, watch)


def _copy_pages(session: Session, plan: TablePlan, section: _Section, watch: Watch) -> _Section:
    """Stream pages into one COPY."""

    def chunks() -> Iterator[list[Row]]:
        for page in _pages(session, plan, section, watch):
            section.rows += len(page.rows)
            yield page.rows

    session.writers[plan.number].copy(session.target, chunks())
    return section


def _copy_page_by_page(session: Session, plan: TablePlan, section: _Section, watch: Watch) -> _Section:
    """The same again, each page in a savepoint of its own; the rows PostgreSQL refuses are found by halves."""
    reader, writer = session.readers[plan.number], session.writers[plan.number]
    before = section.last
    for page in _pages(session, plan, section, watch):
        bad = list(refused(session.target, page.rows, lambda part: writer.copy(session.target, [part])))
        section.rows += len(page.rows) - len(bad)
        if bad:
            with session.source.reading() as connection:
                candidates = reader.keys.after(connection, before, LOOKED_THROUGH)
                section.refused += explain_all(reader, bad, candidates)
        before = page.last
    return section


def _pages(session: Session, plan: TablePlan, section: _Section, watch: Watch) -> Iterator[Page]:
    """Yield the pages of a section, and note what they say beside their rows."""
    reader = session.readers[plan.number]
    for page in pages(session.source, reader, PAGE_ROWS, section.last):
        watch()
        section.last = page.last
        section.refused += [entry(reader, error) for error in page.refused]
        yield page
        if section.is_full:
            return
    section.ended = True


def remember(session: Session, progress: TableProgress) -> TableProgress:
    """Let the session's checkpoint say where a table stands; it is committed already."""
    tables = tuple(progress if old.number == progress.number else old for old in session.checkpoint.tables)
    session.checkpoint = replace(session.checkpoint, tables=tables)
    return progress

"""Verify: compare every row, typed and exact, while both sides go on.

A page of the source is read at head H and compared with the target at its position P. A row that differs counts
only if its key has no entry above the lower of the two: then both sides show the same version of it. Keys that
have one are looked at again until they are equal or stand still. Memory is bounded by one page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

from cdcsync.core.keys import Key, show
from cdcsync.edges.comparer import Comparer, RowDifference
from cdcsync.edges.rows import RowList, stop_at_bad_row
from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.session import Session
from cdcsync.words.errors import GaveUpError, UsageError
from cdcsync.words.nouns import Difference, TablePlan

PAGE_ROWS = 1000
SHOWN = 1000
"""Differences listed one by one; the others are counted."""

Tick = Callable[[str, int], None]
"""Told the table and how many rows of it were compared just now."""


@dataclass(slots=True)
class TableResult:
    """What was compared in one table; `skipped` says why it was not."""

    rows_source: int = 0
    rows_target: int = 0
    differences: int = 0
    skipped: str | None = None


@dataclass(slots=True)
class VerifyReport:
    """What a verification found; `seq` is the position it holds for."""

    seq: int = 0
    tables: dict[str, TableResult] = field(default_factory=dict)
    shown: list[Difference] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(result.differences for result in self.tables.values())

    @property
    def rows_compared(self) -> int:
        """Rows of the source that were compared."""
        return sum(result.rows_source for result in self.tables.values())

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        if len(self.shown) < SHOWN:
            self.shown.append(difference)


def verify(session: Session, names: list[str] | None, patience: float, tick: Tick) -> VerifyReport:
    """Compare the named tables, or all.

    Raises UsageError for an unknown table, GaveUpError where a table is not copied yet or where keys do not
    come to a common position within `patience` seconds, DriftError and IdentityError where that has no answer yet.
    """
    if session.checkpoint.state == "cut_over":
        message = "PostgreSQL was handed over: it goes its own way now, and the source no longer says what is right"
        raise GaveUpError(message)
    session.prepare()
    by_name = {plan.name: plan for plan in session.plans.values()}
    unknown = [name for name in names or [] if name not in by_name]
    if unknown:
        message = f"no captured table is called {unknown[0]!r} (there are {', '.join(by_name)})"
        raise UsageError(message)
    waiting = [p.name for p in session.checkpoint.tables if p.state in {"pending", "copying", "repairing", "copied"}]
    report = VerifyReport()
    for plan in by_name.values():
        if names and plan.name not in names:
            continue
        if plan.name in waiting:
            message = f"table {plan.name} is not copied yet: wait until cdcsync status shows streaming"
            raise GaveUpError(message)
        comparison = _Comparison(session, plan, report, patience, tick)
        result = comparison.keyed() if plan.key else comparison.keyless()
        report.tables[plan.name] = result
    with session.source.reading():
        session.forget_schema_version()
        session.refuse_drift()
    return report


class _Comparison:
    """The comparison of one table."""

    def __init__(self, session: Session, plan: TablePlan, report: VerifyReport, patience: float, tick: Tick) -> None:
        self._session, self._plan, self._report, self._patience, self._tick = session, plan, report, patience, tick
        self._reader = session.readers[plan.number]
        self._writer = session.writers[plan.number]
        self._comparer = Comparer(session.target, plan, session.settings.target_schema)
        self._result = TableResult()

    def keyed(self) -> TableResult:
        lowest = self._whole_pass()
        extras_at = self._extras(lowest)
        self._settle(self._keys_logged(lowest, extras_at))
        self._report.seq = max(self._report.seq, extras_at)
        self._result.rows_target += self._result.rows_source
        return self._result

    def keyless(self) -> TableResult:
        session, plan = self._session, self._plan
        progress = next(p for p in session.store.read().tables if p.number == plan.number)
        with Spool() as spool:
            with session.source.reading() as connection:
                head = int(session.source.ask("head"))
                changed = dict(session.source.rows("tables_changed", progress.start_seq, head))
                if progress.state != "joined" or plan.number in changed:
                    self._result.skipped = "has no key and changed since it was last copied whole"
                    return self._result
                self._reader.whole(connection, spool, stop_at_bad_row)
            with self._comparer.snapshot(session.store.source_id) as position:
                self._report.seq = max(self._report.seq, position)
                for line, here, there in self._comparer.multiset(spool.chunks()):
                    self._result.differences += 1
                    times = (f"{here} times", f"{there} times")
                    self._report.add(Difference(plan.name, line, None, *times))
                self._result.rows_source = spool.count
                self._result.rows_target = self._writer.count(session.target)
        return self._result

    def _whole_pass(self) -> int:
        """Compare page by page; return the lowest position any page was compared at."""
        after: Key | None = None
        lowest: int | None = None
        self._comparer.begin()
        while True:
            page = RowList()
            with self._session.source.reading() as connection:
                after = self._reader.page(connection, after, PAGE_ROWS, page, stop_at_bad_row)
                head = int(self._session.source.ask("head"))
            with self._comparer.snapshot(self._session.store.source_id) as position:
                found = self._comparer.compare(page.rows, see=True)
            lowest = min(head, position, head if lowest is None else lowest)
            self._sort_out(found, page.rows, head, position)
            self._result.rows_source += len(page.rows)
            self._tick(self._plan.name, len(page.rows))
            if after is None:
                return lowest

    def _sort_out(self, found: list[RowDifference], rows: list[Row], head: int, position: int) -> None:
        """Count the differences that stand at a common position; the others are settled after the pass."""
        if not found:
            return
        keys = [self._reader.key_of(rows[difference.place]) for difference in found]
        moving = self._moving(set(keys), min(head, position))
        for difference, key in zip(found, keys, strict=True):
            if key not in moving:
                self._count(difference, self._reader.show_key(key))

    def _moving(self, keys: set[Row], low: int) -> set[Row]:
        """Return which of the sent keys have entries above `low`, up to the head of now.

        Not only up to the target's position: a cycle that was split carries rows newer than where it ended.
        """
        with self._session.source.reading() as connection:
            logged = self._reader.logged_keys(connection, low, int(self._session.source.ask("head")))
            return {sent for key in logged if (sent := self._reader.sent_key(key)) in keys and sent is not None}

    def _extras(self, lowest: int) -> int:
        """Count target rows that no page and no later entry accounts for; return the position of the look."""
        with self._comparer.snapshot(self._session.store.source_id) as position, Spool() as logged:
            # Read after the snapshot: every entry the target has applied is in the log by now.
            with self._session.source.reading() as connection:
                head = int(self._session.source.ask("head"))
                for keys in _chunks(self._reader.logged_keys(connection, lowest, head)):
                    converted = (self._reader.sent_key(key) for key in keys)
                    logged.add([key for key in converted if key is not None])
            self._comparer.see(logged.chunks())
            for key in self._comparer.extra():
                self._result.differences += 1
                self._result.rows_target += 1
                self._report.add(Difference(self._plan.name, key, None, None, "(row)"))
        return position

    def _keys_logged(self, low: int, position: int) -> Iterator[list[Key]]:
        """Yield the keys that changed while the pass was under way, read in one go and kept on disk."""
        with Spool() as spool:
            with self._session.source.reading() as connection:
                head = max(int(self._session.source.ask("head")), position)
                for keys in _chunks(self._reader.logged_keys(connection, low, head)):
                    # A spool keeps any marshallable rows; keys are pairs of storage class and value.
                    spool.add(cast("list[Row]", keys))
            for rows in spool.chunks():
                yield cast("list[Key]", rows)

    def _settle(self, changed: Iterable[list[Key]]) -> None:
        """Compare keys that moved during the pass, again and again until each stood still for one look."""
        for keys in changed:
            remaining = keys
            deadline = time.monotonic() + self._patience
            while remaining := self._look_again(remaining):
                if time.monotonic() > deadline:
                    message = (
                        f"table {self._plan.name}: {len(remaining)} keys came to no common position within "
                        f"{self._patience:.0f} s, such as {show(remaining[0])}: see cdcsync lag; is the daemon running?"
                    )
                    raise GaveUpError(message)
                time.sleep(0.05)

    def _look_again(self, keys: list[Key]) -> list[Key]:
        """Compare single keys once; return those that differ and have entries since."""
        rows = RowList()
        present: list[Key] = []
        gone: list[Key] = []
        with self._session.source.reading() as connection:
            head = int(self._session.source.ask("head"))
            for key in keys:
                before = len(rows.rows)
                self._reader.by_key(connection, key, rows)
                (present if len(rows.rows) > before else gone).append(key)
        absent = [(key, converted) for key in gone if (converted := self._reader.sent_key(key)) is not None]
        with self._comparer.snapshot(self._session.store.source_id) as position:
            found = self._comparer.compare(rows.rows, see=False)
            unwanted = self._comparer.unwanted([converted for _, converted in absent])
        differing = {present[difference.place] for difference in found} | {absent[place][0] for place in unwanted}
        with self._session.source.reading() as connection:
            now = int(self._session.source.ask("head"))
            logged = self._reader.logged_keys(connection, min(head, position), now)
            moving = {key for key in logged if key in differing}
        for difference in found:
            if present[difference.place] not in moving:
                self._count(difference, show(present[difference.place]))
        for place in unwanted:
            if absent[place][0] not in moving:
                self._result.differences += 1
                self._report.add(Difference(self._plan.name, show(absent[place][0]), None, None, "(row)"))
        return list(moving)

    def _count(self, difference: RowDifference, key: str) -> None:
        self._result.differences += 1
        name = self._plan.name
        if difference.missing:
            self._result.rows_target -= 1
            self._report.add(Difference(name, key, None, "(row)", None))
        for column, source, target in difference.columns:
            self._report.add(Difference(name, key, column, source, target))


def _chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, PAGE_ROWS)):
        yield chunk

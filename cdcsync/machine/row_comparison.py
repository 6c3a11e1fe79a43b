"""Compare rows of one table while both sides go on.

A page of the source is read at head H and compared with the target at its position P. A row that differs counts
only if its key has no entry above the lower of the two: then both sides show the same version of it. Keys that
have one are looked at again until they are equal or stand still. Memory is bounded by one page.

A row that cannot arrive is no difference if the target has it in quarantine, and not in the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from cdcsync.core.chunks import chunks
from cdcsync.core.keys import Key, show
from cdcsync.edges.comparer import Comparer, RowDifference
from cdcsync.edges.key_reader import KeyReader
from cdcsync.edges.pages import pages
from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.refusals import REFUSALS, explain, refused
from cdcsync.machine.session import Session
from cdcsync.machine.verify_report import TableResult, Tick, VerifyReport
from cdcsync.words.errors import BadValueError, GaveUpError
from cdcsync.words.nouns import Difference, TablePlan

PAGE_ROWS = 1000

STEP_ENTRIES = 5000
"""Entries whose keys are read in one transaction: a few dozen milliseconds."""


@dataclass(slots=True)
class _Look:
    """One comparison of rows of the source with the target.

    `unable`: rows of the source that cannot arrive and are not in quarantine, by identity; `left_out`: how many of the
    rows given are; `position`: the target's; `different`: with their places in `rows`; `unwanted`: see Comparer.
    """

    rows: list[Row]
    unable: dict[str, BadValueError]
    left_out: int = 0
    position: int = 0
    different: list[RowDifference] = field(default_factory=list)
    unwanted: list[int] = field(default_factory=list)

    def identity(self, keys: KeyReader, difference: RowDifference) -> str:
        """Return the identity of a row that differs."""
        return keys.identity_of(keys.of(self.rows[difference.place]))

    def identities(self, keys: KeyReader) -> set[str]:
        """Return the identities of all rows that differ or cannot arrive."""
        return {self.identity(keys, difference) for difference in self.different} | self.unable.keys()


class RowComparison:
    """What every comparison of rows of one table is made of."""

    def __init__(
        self, session: Session, plan: TablePlan, report: VerifyReport, patience: float | None, tick: Tick
    ) -> None:
        """`patience`: seconds that keys may take to stand still; None: one that does not is left to a later look."""
        self._session, self._plan, self._report, self._patience, self._tick = session, plan, report, patience, tick
        self._reader = session.readers[plan.number]
        self._keys = self._reader.keys
        self._comparer = Comparer(session.target, plan, session.settings.target_schema)
        self._result = TableResult()

    def _pages(self) -> int:
        """Compare page by page; return the lowest position any page was compared at."""
        self._comparer.begin()
        lowest = self._null_keys()
        # Before each page is read: what is committed while it is read counts as moving.
        head = self._head()
        for page in pages(self._session.source, self._reader, PAGE_ROWS):
            look = self._look(page.rows, page.refused, see=True)
            low = min(head, look.position)
            moving = self._moving(look.identities(self._keys), low)
            self._count_standing(look, moving)
            self._has_moving(moving)
            lowest = min(low, lowest)
            self._result.rows_source += len(page.rows) - look.left_out
            self._tick(self._plan.name, len(page.rows))
            head = self._head()
        return lowest

    def _has_moving(self, identities: set[str]) -> None:
        """Hear of the keys of a page that differ and are not judged yet."""

    def _head(self) -> int:
        with self._session.source.reading():
            return int(self._session.source.ask("head"))

    def _look(self, rows: list[Row], bad: list[BadValueError], *, see: bool, absent: list[Row] | None = None) -> _Look:
        """Compare rows at one position of the target; `absent` are sent keys it must not have."""
        unable = {self._keys.identity(error.source_key): error for error in bad}
        try:
            return self._compared(_Look(rows, unable), absent or [], see=see)
        except REFUSALS:
            more = self._refused_by_staging(rows)
            left = [row for row in rows if self._keys.identity_of(self._keys.of(row)) not in more]
            return self._compared(_Look(left, unable | more, left_out=len(more)), absent or [], see=see)

    def _compared(self, look: _Look, absent: list[Row], *, see: bool) -> _Look:
        with self._comparer.snapshot(self._session.store.source_id) as look.position:
            look.different = self._comparer.compare(look.rows, see=see)
            look.unwanted = self._comparer.unwanted(absent)
            aside = self._session.quarantine.among(self._plan.number, look.identities(self._keys))
        look.unable = {identity: error for identity, error in look.unable.items() if identity not in aside}
        excused = [d for d in look.different if d.missing and look.identity(self._keys, d) in aside]
        look.different = [difference for difference in look.different if difference not in excused]
        look.left_out += len(excused)
        return look

    def _refused_by_staging(self, rows: list[Row]) -> dict[str, BadValueError]:
        """Return, by identity, the rows PostgreSQL refuses even in a table without constraints."""
        target = self._session.target
        target.control("BEGIN")
        try:
            bad = list(refused(target, rows, self._comparer.stage))
        finally:
            target.rollback()
        return {self._keys.identity_of(self._keys.of(row)): explain(self._reader, row, error) for row, error in bad}

    def _null_keys(self) -> int:
        """Look for rows whose key holds a NULL; return the position of the look."""
        with self._session.source.reading() as connection:
            head = int(self._session.source.ask("head"))
            entries = [self._keys.null_rows(key, rows) for key, rows in self._keys.with_null(connection)]
        with self._comparer.snapshot(self._session.store.source_id) as position:
            aside = self._session.quarantine.among(self._plan.number, [entry.identity for entry in entries])
        low = min(head, position)
        missing = [entry for entry in entries if entry.identity not in aside]
        moving = self._moving({entry.identity for entry in missing}, low)
        for entry in missing:
            if entry.identity not in moving:
                bad = BadValueError(self._plan.name, entry.shown_key, entry.column, entry.reason, entry.value)
                self._count_unable(bad)
        return low

    def _logged_since(self, low: int) -> Iterator[Key]:
        """Yield the keys with entries above `low`, up to the head of now.

        Not only up to the target's position: a cycle that was split carries rows newer than where it ended. In steps: a
        long backlog read in one go would keep the write-ahead log from beginning anew.
        """
        head = self._head()
        for start in range(low, head, STEP_ENTRIES):
            with self._session.source.reading() as connection:
                keys = list(self._keys.logged(connection, start, min(start + STEP_ENTRIES, head)))
            yield from keys

    def _moving(self, identities: set[str], low: int) -> set[str]:
        """Return which of these keys have entries above `low`."""
        if not identities:
            return set()
        return {one for key in self._logged_since(low) if (one := self._keys.identity(key)) in identities}

    def _extras(self, lowest: int) -> int:
        """Count target rows that no page and no later entry accounts for; return the position of the look."""
        with self._comparer.snapshot(self._session.store.source_id) as position, Spool() as logged:
            # Read after the snapshot: every entry the target has applied is in the log by now.
            for keys in chunks(self._logged_since(lowest), PAGE_ROWS):
                converted = (self._keys.sent(key) for key in keys)
                logged.add([key for key in converted if key is not None])
            self._comparer.see(logged.chunks())
            for key in self._comparer.extra():
                self._result.rows_target += 1
                self._different(Difference(self._plan.name, key, None, None, "(row)"))
        return position

    def _keys_logged(self, low: int) -> Iterator[list[Key]]:
        """Yield the keys that changed while the pass was under way, kept on disk: more may come meanwhile."""
        with Spool() as spool:
            for keys in chunks(self._logged_since(low), PAGE_ROWS):
                # A spool keeps any marshallable rows; keys are pairs of storage class and value.
                spool.add(cast("list[Row]", keys))
            for rows in spool.chunks():
                yield cast("list[Key]", rows)

    def _settle(self, changed: Iterable[list[Key]]) -> None:
        """Compare keys that moved during the pass, again and again until each stood still for one look."""
        for keys in changed:
            remaining = keys
            deadline = time.monotonic() + (self._patience or 0.0)
            while remaining := self._look_again(remaining):
                if self._patience is None:
                    # It has an entry above the position that is proven.
                    break
                if time.monotonic() > deadline:
                    message = (
                        f"table {self._plan.name}: {len(remaining)} keys came to no common position within "
                        f"{self._patience:.0f} s, such as {show(remaining[0])}: see cdcsync lag; is the daemon running?"
                    )
                    raise GaveUpError(message)
                time.sleep(0.05)

    def _look_again(self, keys: list[Key]) -> list[Key]:
        """Compare single keys once; return those that differ and have entries since."""
        rows: list[Row] = []
        bad: list[BadValueError] = []
        absent: list[tuple[Row, Key]] = []
        whole = self._session.readers[self._plan.number]
        with self._session.source.reading() as connection:
            head = int(self._session.source.ask("head"))
            for key in keys:
                row, sent = whole.by_key(connection, key, bad.append), self._keys.sent(key)
                if row is not None:
                    rows.append(row)
                elif sent is not None:
                    absent.append((sent, key))
        look = self._look(rows, bad, see=False, absent=[sent for sent, _ in absent])
        unwanted = {self._keys.identity(key): key for _, key in (absent[place] for place in look.unwanted)}
        moving = self._moving(look.identities(self._keys) | unwanted.keys(), min(head, look.position))
        self._count_standing(look, moving)
        for identity, key in unwanted.items():
            if identity not in moving:
                self._different(Difference(self._plan.name, show(key), None, None, "(row)"))
        return [key for key in keys if self._keys.identity(key) in moving] if moving else []

    def _count_standing(self, look: _Look, moving: set[str]) -> None:
        """Count what differs although its key stands still."""
        for one in look.different:
            if look.identity(self._keys, one) not in moving:
                self._count(one, self._keys.show(self._keys.of(look.rows[one.place])))
        for identity, bad in look.unable.items():
            if identity not in moving:
                self._count_unable(bad)

    def _count(self, difference: RowDifference, key: str) -> None:
        name = self._plan.name
        self._result.differences += 1
        if difference.missing:
            self._result.rows_target -= 1
            self._report.add(Difference(name, key, None, "(row)", None))
        for column, source, target in difference.columns:
            self._report.add(Difference(name, key, column, source, target))

    def _count_unable(self, bad: BadValueError) -> None:
        self._different(Difference(self._plan.name, bad.key, bad.column, f"{bad.value} ({bad.reason})", None))

    def _different(self, difference: Difference) -> None:
        self._result.differences += 1
        self._report.add(difference)

"""Compare the rows of one table while both sides go on.

A page of the source is read at head H and compared with the target at its position P. A row that differs counts
only if its key has no entry above the lower of the two: then both sides show the same version of it. Keys that
have one are looked at again until they are equal or stand still. Memory is bounded by one page.

A row that cannot arrive is no difference if the target has it in quarantine, and not in the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

from cdcsync.core.chunks import chunks
from cdcsync.core.keys import Key, show
from cdcsync.edges.comparer import Comparer, RowDifference
from cdcsync.edges.key_reader import KeyReader
from cdcsync.edges.pages import pages
from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.refusals import REFUSALS, explain, refused
from cdcsync.machine.session import Session
from cdcsync.words.errors import BadValueError, GaveUpError
from cdcsync.words.nouns import Difference, TablePlan

PAGE_ROWS = 1000
SHOWN = 1000
"""Differences listed one by one; the others are counted."""

Tick = Callable[[str, int], None]
"""Told the table and how many rows of it were compared just now."""


@dataclass(slots=True)
class TableResult:
    """What was compared in one table; `skipped` says why it was not. Rows in quarantine are counted apart."""

    rows_source: int = 0
    rows_target: int = 0
    differences: int = 0
    quarantined: int = 0
    skipped: str | None = None
    proven_seq: int | None = None
    """Every key without an entry above it was compared; None where nothing was."""


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

    @property
    def quarantined(self) -> int:
        """Rows that were left out."""
        return sum(result.quarantined for result in self.tables.values())

    def add(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        if len(self.shown) < SHOWN:
            self.shown.append(difference)


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


class Comparison:
    """The comparison of one table."""

    def __init__(
        self, session: Session, plan: TablePlan, report: VerifyReport, patience: float | None, tick: Tick
    ) -> None:
        """`patience`: seconds that keys may take to stand still; None: one that does not is left to a later `since`."""
        self._session, self._plan, self._report, self._patience, self._tick = session, plan, report, patience, tick
        self._reader = session.readers[plan.number]
        self._keys = self._reader.keys
        self._comparer = Comparer(session.target, plan, session.settings.target_schema)
        self._result = TableResult()

    def run(self) -> TableResult:
        """Compare all rows. Raises GaveUpError where keys do not come to a common position in time."""
        return self._keyed() if self._plan.key else self._keyless()

    def since(self, low: int) -> TableResult:
        """Compare only the keys with entries above `low`, up to the target's position.

        One that has newer entries by now is left to the next time, which begins at the position of this one.
        """
        session, spools = self._session, ExitStack()
        with spools:
            rows, gone = spools.enter_context(Spool()), spools.enter_context(Spool())
            bad: list[BadValueError] = []
            high = session.store.read().position.seq
            with session.source.reading() as connection:
                head = int(session.source.ask("head"))
                self._reader.present(connection, low, high, rows, bad.append)
                for keys in self._keys.gone(connection, low, high):
                    gone.add([sent for key in keys if (sent := self._keys.sent(key)) is not None])
            self._compare_since(rows.chunks(), bad, gone.chunks(), head)
            self._result.rows_source = rows.count + gone.count
        self._result.proven_seq = high
        self._report.seq = max(self._report.seq, high)
        return self._result

    def _compare_since(
        self, rows: Iterator[list[Row]], bad: list[BadValueError], gone: Iterator[list[Row]], head: int
    ) -> None:
        first = next(rows, [])
        for some, errors in chain([(first, bad)], ((more, []) for more in rows)):
            look = self._look(some, errors, see=False)
            self._count_standing(look, self._moving(look.identities(self._keys), min(head, look.position)))
            self._tick(self._plan.name, len(some))
        for some in gone:
            look = self._look([], [], see=False, absent=some)
            unwanted = {self._keys.identity_of(some[place]): some[place] for place in look.unwanted}
            moving = self._moving(set(unwanted), min(head, look.position))
            for identity in unwanted.keys() - moving:
                shown = self._keys.show(unwanted[identity])
                self._different(Difference(self._plan.name, shown, None, None, "(row)"))

    def _keyed(self) -> TableResult:
        lowest = self._whole_pass()
        extras_at = self._extras(lowest)
        self._result.proven_seq = extras_at
        self._settle(self._keys_logged(lowest, extras_at))
        self._report.seq = max(self._report.seq, extras_at)
        self._result.rows_target += self._result.rows_source
        self._result.quarantined = self._session.quarantine.count(self._plan.number)
        return self._result

    def _keyless(self) -> TableResult:
        """Compare as multisets: without keys, rows that cannot arrive are only known by their number."""
        session, plan, result = self._session, self._plan, self._result
        progress = next(p for p in session.store.read().tables if p.number == plan.number)
        bad: list[BadValueError] = []
        with Spool() as spool, Spool() as stageable:
            with session.source.reading() as connection:
                head = int(session.source.ask("head"))
                changed = dict(session.source.rows("tables_changed", progress.start_seq, head))
                if progress.state != "joined" or plan.number in changed:
                    result.skipped = "has no key and changed since it was last copied whole"
                    return result
                self._reader.whole(connection, spool, bad.append)
            bad += self._part(spool, stageable)
            with self._comparer.snapshot(session.store.source_id) as position:
                self._report.seq = max(self._report.seq, position)
                result.quarantined = session.quarantine.count(plan.number)
                excused = result.quarantined - len(bad)
                for line, here, there in self._comparer.multiset(stageable.chunks()):
                    left_out = max(0, min(here - there, excused))
                    excused -= left_out
                    result.rows_source -= left_out
                    if here - left_out != there:
                        self._different(Difference(plan.name, line, None, f"{here} times", f"{there} times"))
                result.rows_source += stageable.count
                result.rows_target = session.writers[plan.number].count(session.target)
        for error in bad[result.quarantined :]:
            self._count_unable(error)
        return result

    def _part(self, spool: Spool, stageable: Spool) -> list[BadValueError]:
        """Move the rows PostgreSQL takes at least into a table without constraints; return the others."""
        target, errors = self._session.target, []
        target.control("BEGIN")
        try:
            for rows in spool.chunks():
                bad = list(refused(target, rows, self._comparer.stage))
                errors += [explain(self._reader, row, error) for row, error in bad]
                out = {id(row) for row, _ in bad}
                stageable.add([row for row in rows if id(row) not in out])
        finally:
            target.rollback()
        return errors

    def _whole_pass(self) -> int:
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
            lowest = min(low, lowest)
            self._result.rows_source += len(page.rows) - look.left_out
            self._tick(self._plan.name, len(page.rows))
            head = self._head()
        return lowest

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

        Not only up to the target's position: a cycle that was split carries rows newer than where it ended.
        """
        with self._session.source.reading() as connection:
            yield from self._keys.logged(connection, low, int(self._session.source.ask("head")))

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

    def _keys_logged(self, low: int, position: int) -> Iterator[list[Key]]:
        """Yield the keys that changed while the pass was under way, read in one go and kept on disk."""
        with Spool() as spool:
            with self._session.source.reading() as connection:
                head = max(int(self._session.source.ask("head")), position)
                for keys in chunks(self._keys.logged(connection, low, head), PAGE_ROWS):
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
        with self._session.source.reading() as connection:
            head = int(self._session.source.ask("head"))
            for key in keys:
                row, sent = self._reader.by_key(connection, key, bad.append), self._keys.sent(key)
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

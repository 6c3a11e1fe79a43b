"""Compare a whole table, or the keys of it that changed; see row_comparison for when a difference counts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain

from cdcsync.edges.spool import Row, Spool
from cdcsync.machine.refusals import explain, refused
from cdcsync.machine.row_comparison import STEP_ENTRIES, RowComparison
from cdcsync.machine.verify_report import TableResult
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import Difference


class Comparison(RowComparison):
    """The comparison of one table."""

    def run(self) -> TableResult:
        """Compare all rows. Raises GaveUpError where keys do not come to a common position in time."""
        return self._keyed() if self._plan.key else self._keyless()

    def since(self, low: int) -> TableResult:
        """Compare only the keys with entries above `low`, up to the target's position of now.

        One that has newer entries by now is left to the next time, which begins at the position of this one.
        """
        high = self._session.store.read().position.seq
        while low < high:
            low = self._step(low, high)
        self._result.proven_seq = high
        self._report.seq = max(self._report.seq, high)
        return self._result

    def _step(self, low: int, high: int) -> int:
        """Compare the keys of some entries, which are read in one transaction; return the last of these entries."""
        with Spool() as rows, Spool() as gone:
            bad: list[BadValueError] = []

            def read(connection: sqlite3.Connection, most: int) -> tuple[int, int]:
                end = min(low + most, high)
                for spool in (rows, gone):
                    spool.clear()
                bad.clear()
                head = int(self._session.source.ask("head"))
                self._reader.present(connection, low, end, rows, bad.append)
                for keys in self._keys.gone(connection, low, end):
                    gone.add([sent for key in keys if (sent := self._keys.sent(key)) is not None])
                return end, head

            (end, head), _ = self._session.source.read_bounded(STEP_ENTRIES, read)
            self._compare_since(rows.chunks(), bad, gone.chunks(), head)
            self._result.rows_source += rows.count + gone.count
        return end

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
        lowest = self._pages()
        extras_at = self._extras(lowest)
        self._result.proven_seq = extras_at
        self._settle(self._keys_logged(lowest))
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

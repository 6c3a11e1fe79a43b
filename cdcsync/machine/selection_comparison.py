"""Compare chosen rows of one table: those the source holds, and what only the target has under their parents."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cdcsync.core.keys import Key
from cdcsync.edges.comparer import Comparer
from cdcsync.edges.rows import RowReader
from cdcsync.edges.selection import Selection, is_under
from cdcsync.machine.row_comparison import PAGE_ROWS, RowComparison
from cdcsync.machine.session import Session
from cdcsync.machine.verify_report import TableResult, Tick, VerifyReport


class SelectionComparison(RowComparison):
    """The comparison of one selection. Those of its parents must have been compared before, in the same session."""

    def __init__(
        self, session: Session, selection: Selection, report: VerifyReport, patience: float, tick: Tick
    ) -> None:
        """Read only what was chosen."""
        super().__init__(session, selection.plan, report, patience, tick)
        schema = session.settings.target_schema
        self._has_parents = bool(selection.under)
        self._reader = RowReader(selection.plan, selection.rows)
        self._keys = self._reader.keys
        self._comparer = Comparer(session.target, selection.plan, schema, is_under(selection, schema))
        self._unsettled: set[str] = set()

    def run(self) -> TableResult:
        """Compare. Raises GaveUpError where keys do not come to a common position in time."""
        lowest = self._pages()
        if self._has_parents:
            self._too_many(lowest)
        logged = self._keys_logged(lowest) if self._unsettled else iter(())
        unsettled = ([key for key in keys if self._keys.identity(key) in self._unsettled] for keys in logged)
        self._settle(filter(None, unsettled))
        self._report.seq = max(self._report.seq, lowest)
        self._result.rows_target += self._result.rows_source
        return self._result

    def _has_moving(self, identities: set[str]) -> None:
        self._unsettled |= identities

    def _too_many(self, lowest: int) -> None:
        """Look for rows that only the target has under the parents.

        Which parents are chosen may have changed since they were compared, and with them what is chosen here: a row
        counts only if its key is nowhere in the source.
        """
        with self._comparer.snapshot(self._session.store.source_id):
            suspects = list(islice(self._comparer.extra(), 1))
        if not suspects:
            return
        for keys in self._all_keys():
            self._comparer.see([[sent for key in keys if (sent := self._keys.sent(key)) is not None]])
        self._extras(lowest)
        for keys in self._keys_logged(lowest):
            sent_keys = [sent for key in keys if (sent := self._keys.sent(key)) is not None]
            with self._comparer.snapshot(self._session.store.source_id):
                places = self._comparer.unwanted(sent_keys)
            self._unsettled |= {self._keys.identity_of(sent_keys[place]) for place in places}

    def _all_keys(self) -> Iterator[list[Key]]:
        """Yield the keys of all rows of the source table, page by page."""
        after: Key | None = None
        whole = self._session.readers[self._plan.number].keys
        while True:
            with self._session.source.reading() as connection:
                keys = list(whole.after(connection, after, PAGE_ROWS))
            if not keys:
                return
            yield keys
            after = keys[-1]

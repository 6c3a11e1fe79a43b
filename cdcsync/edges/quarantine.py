"""Where rows PostgreSQL cannot hold are set aside: part of the control schema, written with the rows that arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cdcsync.core.chunks import chunks
from cdcsync.edges.statements import postgres_statement
from cdcsync.edges.target import Target
from cdcsync.words.nouns import QuarantinedRow

_FILE = "quarantine.sql"
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A row in quarantine with its table, the position it was found at, and since when it is there."""

    number: int
    table: str
    row: QuarantinedRow
    seq: int
    since: datetime


class Quarantine:
    """The rows of one source that are set aside. Everything that writes runs inside the caller's transaction."""

    def __init__(self, target: Target, source_id: str) -> None:
        """Belong to a source."""
        self._target = target
        self._source = {"source_id": source_id}

    def put(self, number: int, rows: Iterable[QuarantinedRow], seq: int) -> None:
        """Set rows of a table aside, found at a position; one that is set aside already keeps its time."""
        with self._target.connection.cursor() as cursor:
            cursor.executemany(
                postgres_statement(_FILE, "put"),
                (
                    {
                        **self._source,
                        "number": number,
                        "identity": row.identity,
                        "key": row.key,
                        "shown_key": row.shown_key,
                        "column": row.column,
                        "value": row.value,
                        "reason": row.reason,
                        "rows": row.rows,
                        "seq": seq,
                    }
                    for row in rows
                ),
            )

    def release(self, number: int, identities: Iterable[str]) -> None:
        """Let rows go whose keys were looked at again; most of them were never set aside."""
        for some in chunks(identities, _PAGE):
            self._target.execute(_FILE, "release", **self._source, number=number, identities=some)

    def doubt(self, number: int) -> None:
        """Begin a pass over a whole table, which puts again what cannot arrive."""
        self._target.execute(_FILE, "doubt", **self._source, number=number)

    def release_doubted(self, number: int) -> None:
        """End it: let everything of the table go that was not put again."""
        self._target.execute(_FILE, "release_doubted", **self._source, number=number)

    def counts(self) -> dict[int, int]:
        """Return how many rows are set aside, by table number; tables with none are left out."""
        return dict(self._target.rows(_FILE, "counts", **self._source))

    def count(self, number: int) -> int:
        """Return how many rows of a table are set aside."""
        return int(self._target.ask(_FILE, "count", **self._source, number=number)[0])

    def among(self, number: int, identities: Iterable[str]) -> set[str]:
        """Return which of these identities are set aside."""
        found: set[str] = set()
        for some in chunks(identities, _PAGE):
            rows = self._target.rows(_FILE, "among", **self._source, number=number, identities=some)
            found.update(identity for (identity,) in rows)
        return found

    def entries(self, table: str | None = None) -> Iterator[Entry]:
        """Yield what is set aside, of all tables or of one, in pages: there may be many."""
        number, identity = -1, ""
        while True:
            place = {"number": number, "identity": identity, "table": table, "limit": _PAGE}
            rows = self._target.rows(_FILE, "page", **self._source, **place)
            yield from map(_entry, rows)
            if len(rows) < _PAGE:
                return
            number, identity = rows[-1][0], rows[-1][2]


def _entry(row: tuple[Any, ...]) -> Entry:
    number, table, identity, key, shown_key, column, value, reason, rows, seq, since = row
    return Entry(number, table, QuarantinedRow(identity, key, shown_key, column, value, reason, rows), seq, since)

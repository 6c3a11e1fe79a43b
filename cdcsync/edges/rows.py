"""Read rows of one table: pages in key order, and the current rows of logged keys.

Reading is optimistic (see `core.codecs`): rows are fetched plainly and converted column by column, many at once.
Where a value needs a closer look, the same rows are read again, with storage classes and text as bytes.
"""

from __future__ import annotations

import marshal
import operator
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from cdcsync.core.codecs import Codec, Sent, codec_for
from cdcsync.core.collations import rows_by_key, rows_of
from cdcsync.core.keys import Key, Part, key_of, show, show_value
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.careful import parts, text_as_bytes, with_classes
from cdcsync.edges.key_reader import KeyReader
from cdcsync.edges.key_sql import bound, collated, is_after, is_exactly, is_same_key, logged_keys
from cdcsync.edges.spool import Row
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import TablePlan

FETCH_BYTES = 256 * 1024
"""Bytes aimed at in one fetch: many small rows, or a few large ones."""

FETCH_ROWS = 1000
"""Most rows of one fetch."""

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early when its rows are large: memory stays flat whatever the rows hold."""

BadRow = Callable[[BadValueError], None]
"""Who hears of a row PostgreSQL cannot hold; the read goes on without it."""


class Sink(Protocol):
    """Where rows go: a spool, or a list for a page."""

    def add(self, rows: list[Row]) -> None:
        """Take rows."""

    def clear(self) -> None:
        """Forget the rows taken so far."""


class RowList:
    """A sink that keeps rows in memory: for pages, which are bounded."""

    def __init__(self) -> None:
        """Begin empty."""
        self.rows: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        """Append rows."""
        self.rows.extend(rows)

    def clear(self) -> None:
        """Forget all rows."""
        self.rows.clear()


class RowReader:
    """Reads rows of one planned table from a connection inside the caller's read transaction."""

    def __init__(self, plan: TablePlan, rows: str | None = None) -> None:
        """Prepare the statements' parts. `rows`: only these, a relation of `edges.selection`."""
        self.plan = plan
        key_names = {column.name for column in plan.key}
        self.codecs: list[Codec] = [codec_for(c, key=c.source in key_names) for c in plan.columns]
        self.keys = KeyReader(plan, rows)
        chosen = f"{rows} AS t" if rows else ""
        self._all = chosen or rows_of(plan.table)
        self._keyed = chosen or rows_by_key(plan.table, [column.name for column in plan.key])
        plain = [f"t.{sqlite_name(column.source)}" for column in plan.columns]
        self._fast = ", ".join(plain)
        self._careful = with_classes(plain)
        self._as_row: bool | None = None
        self._row_bytes = 4096.0

    def present(self, connection: sqlite3.Connection, low: int, high: int, sink: Sink, bad: BadRow) -> None:
        """Read the current rows of the keys logged in (low, high]."""
        parameters = (self.plan.number, low, high)
        logged, same = logged_keys(self.plan.key), is_same_key(self.plan.key)
        statement = sqlite_statement("source.sql", "present")
        self._read(
            connection,
            lambda columns: statement.substitute(columns=columns, logged=logged, rows=self._keyed, same_key=same),
            parameters,
            sink,
            bad,
        )

    def page(
        self, connection: sqlite3.Connection, after: Key | None, limit: int, sink: Sink, bad: BadRow
    ) -> Key | None:
        """Read up to `limit` rows above a key, fewer where they are large; return the last key, None at the end.

        Rows whose key holds a NULL have no place in this order: `KeyReader.with_null` finds them.
        """
        condition, parameters = is_after(self.plan, after, as_row=self._key_compares_as_row(connection))
        order = ", ".join(collated(column) for column in self.plan.key)
        statement = sqlite_statement("source.sql", "page")
        return self._read(
            connection,
            lambda columns: statement.substitute(
                columns=columns, rows=self._keyed, after=condition, order=order, limit=limit
            ),
            parameters,
            sink,
            bad,
            page=True,
        )

    def by_key(self, connection: sqlite3.Connection, key: Key, bad: BadRow) -> Row | None:
        """Return the row of one key; None if there is none, or if it cannot arrive."""
        # Bound values have neither affinity nor collation, like the changelog's columns.
        marks = ", ".join(f"{bound(part)} AS k{place}" for place, part in enumerate(key, 1))
        known = sqlite_statement("source.sql", "bound_key").substitute(marks=marks)
        statement = sqlite_statement("source.sql", "present")
        found = RowList()
        self._read(
            connection,
            lambda columns: statement.substitute(
                columns=columns, logged=known, rows=self._keyed, same_key=is_same_key(self.plan.key)
            ),
            [value for _, value in key],
            found,
            bad,
        )
        return found.rows[0] if found.rows else None

    def as_it_is(self, connection: sqlite3.Connection, key: Key) -> dict[str, Part]:
        """Return storage class and value of every column of one row, unconverted; empty where there is none."""
        condition, parameters = is_exactly(self.plan.key, key)
        statement = sqlite_statement("source.sql", "row").substitute(
            columns=self._careful, rows=self._all, condition=condition
        )
        with text_as_bytes(connection):
            row = connection.execute(statement, parameters).fetchone()
        names = [column.source for column in self.plan.columns]
        return {} if row is None else dict(zip(names, parts(row), strict=True))

    def whole(self, connection: sqlite3.Connection, sink: Sink, bad: BadRow) -> None:
        """Read all rows, in one statement."""
        statement = sqlite_statement("source.sql", "whole")
        self._read(connection, lambda columns: statement.substitute(columns=columns, rows=self._all), (), sink, bad)

    def _key_compares_as_row(self, connection: sqlite3.Connection) -> bool:
        """Tell whether the columns' own collations are the key index's.

        SQLite seeks with (a, b) > (?, ?), but only where no COLLATE stands inside; without one it compares by the
        columns' collations. The planner needs no sorting for ORDER BY a, b exactly where these are the index's.
        """
        if self._as_row is None:
            plain = ", ".join(f"t.{sqlite_name(column.name)}" for column in self.plan.key)
            probe = sqlite_statement("source.sql", "page_plan").substitute(rows=self._keyed, order=plain)
            self._as_row = not any("TEMP B-TREE" in row[3] for row in connection.execute(probe))
        return self._as_row

    def _read(
        self,
        connection: sqlite3.Connection,
        statement: Callable[[str], str],
        parameters: Sequence[Any],
        sink: Sink,
        bad: BadRow,
        *,
        page: bool = False,
    ) -> Key | None:
        budget = PAGE_BYTES if page else None
        try:
            return self._read_fast(connection.execute(statement(self._fast), parameters), sink, budget)
        except (ValueError, ArithmeticError):
            sink.clear()
        except sqlite3.OperationalError as error:
            # One invalid byte in a text fails the whole fetch.
            if "decode" not in str(error):
                raise
            sink.clear()
        with text_as_bytes(connection):
            return self._read_carefully(connection.execute(statement(self._careful), parameters), sink, budget, bad)

    def _read_fast(self, cursor: sqlite3.Cursor, sink: Sink, budget: int | None) -> Key | None:
        row: Any = None
        size = 0.0
        while rows := self._fetch(cursor):
            row = rows[-1]
            sink.add(self._sent(rows))
            size += self._row_bytes * len(rows)
            if budget is not None and size > budget:
                break
        return None if row is None else key_of([row[place] for place in self.keys.places])

    def _sent(self, rows: list[Row]) -> list[Row]:
        """Convert rows column by column. Raises ValueError where one needs care."""
        columns = list(zip(*rows, strict=True))
        sent = [codec.many(column) for codec, column in zip(self.codecs, columns, strict=True)]
        if all(map(operator.is_, sent, columns)):
            return rows
        return list(zip(*sent, strict=True))

    def _read_carefully(self, cursor: sqlite3.Cursor, sink: Sink, budget: int | None, bad: BadRow) -> Key | None:
        row: Key | None = None
        size = 0.0
        while rows := self._fetch(cursor):
            sent = []
            for fetched in rows:
                row = parts(fetched)
                converted = self._converted(row, bad)
                if converted is not None:
                    sent.append(converted)
            sink.add(sent)
            size += self._row_bytes * len(rows)
            if budget is not None and size > budget:
                break
        return None if row is None else self._key(row)

    def _fetch(self, cursor: sqlite3.Cursor) -> list[Any]:
        """Fetch as many rows as the last ones' size suggests."""
        rows = cursor.fetchmany(max(1, min(FETCH_ROWS, int(FETCH_BYTES / self._row_bytes))))
        if rows:
            # Every sixteenth row is sample enough, and cheap.
            sample = rows[::16]
            self._row_bytes = max(len(marshal.dumps(sample)) / len(sample), 1.0)
        return rows

    def _converted(self, row: Key, bad: BadRow) -> Row | None:
        sent: list[Sent] = []
        refused: list[BadValueError] = []
        for part, codec, column in zip(row, self.codecs, self.plan.columns, strict=True):
            try:
                sent.append(codec.one(*part))
            except (ValueError, ArithmeticError) as error:
                key, value = self._key(row), show_value(part[1])
                shown = show(key) or "(none)"
                refused.append(BadValueError(self.plan.name, shown, column.source, str(error), value, key))
        if not refused:
            return tuple(sent)
        refused[0].others = tuple(refused[1:])
        bad(refused[0])
        return None

    def _key(self, row: Key) -> Key:
        return tuple(row[place] for place in self.keys.places)

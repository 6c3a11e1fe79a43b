"""Read rows of one table: pages in key order, and the current rows of logged keys.

Reading is optimistic (see `core.codecs`): rows are fetched plainly and converted column by column, many at once.
Where a value needs a closer look, the same rows are read again, with storage classes and text as bytes.
"""

from __future__ import annotations

import marshal
import operator
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from cdcsync.core.codecs import Codec, Sent, codec_for
from cdcsync.core.keys import Key, Part, key_of, show
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.key_sql import bound, collated, is_after, is_same_key, logged_keys
from cdcsync.edges.spool import Row
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import TablePlan

FETCH_BYTES = 256 * 1024
"""Bytes aimed at in one fetch: many small rows, or a few large ones."""

FETCH_ROWS = 1000
"""Most rows of one fetch."""

BadRow = Callable[[BadValueError], None]
"""What to do about a row PostgreSQL cannot hold; raising it stops the read."""


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


class _Appending:
    """A sink for one row more: `clear` forgets only what was added through it."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._taken: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        self._taken.extend(rows)

    def clear(self) -> None:
        self._taken.clear()

    def flush(self) -> None:
        if self._taken:
            self._sink.add(self._taken)


def stop_at_bad_row(error: BadValueError) -> None:
    """Refuse to go on past a row that cannot arrive: nothing is skipped."""
    raise error


class RowReader:
    """Reads rows of one planned table from a connection inside the caller's read transaction."""

    def __init__(self, plan: TablePlan) -> None:
        """Prepare the statements' parts."""
        self.plan = plan
        key_names = {column.name for column in plan.key}
        self.codecs: list[Codec] = [codec_for(c, key=c.source in key_names) for c in plan.columns]
        self._table = sqlite_name(plan.name)
        plain = [f"t.{sqlite_name(column.source)}" for column in plan.columns]
        self._fast = ", ".join(plain)
        self._careful = ", ".join(f"typeof({name}), {name}" for name in plain)
        places = {column.source: place for place, column in enumerate(plan.columns)}
        self._key_places = [places[column.name] for column in plan.key]
        self._as_row: bool | None = None
        self._row_bytes = 4096.0

    def present(self, connection: sqlite3.Connection, low: int, high: int, sink: Sink, bad: BadRow) -> None:
        """Read the current rows of the keys logged in (low, high]."""
        parameters = (self.plan.number, low, high)
        logged, same = logged_keys(self.plan.key), is_same_key(self.plan.key)
        statement = sqlite_statement("source.sql", "present")
        self._read(
            connection,
            lambda columns: statement.substitute(columns=columns, logged=logged, table=self._table, same_key=same),
            parameters,
            sink,
            bad,
        )

    def gone(self, connection: sqlite3.Connection, low: int, high: int) -> Iterator[list[Row]]:
        """Yield the sent keys logged in (low, high] that have no row.

        A key PostgreSQL cannot hold was never there, so nothing needs deleting for it. Raises BadValueError where
        a logged key holds a NULL and a row with such a key is there: no join finds it.
        """
        nulls = False
        keys = ", ".join(f"typeof(log.k{n}), log.k{n}" for n, _ in enumerate(self.plan.key, 1))
        statement = sqlite_statement("source.sql", "gone").substitute(
            columns=keys, logged=logged_keys(self.plan.key), table=self._table, same_key=is_same_key(self.plan.key)
        )
        with _text_as_bytes(connection):
            cursor = connection.execute(statement, (self.plan.number, low, high))
            while rows := cursor.fetchmany(FETCH_ROWS):
                logged = [_parts(row) for row in rows]
                nulls = nulls or any(part[0] == "null" for key in logged for part in key)
                yield [sent for key in logged if (sent := self.sent_key(key)) is not None]
        if nulls:
            self.refuse_null_keys(connection)

    def logged_keys(self, connection: sqlite3.Connection, low: int, high: int) -> Iterator[Key]:
        """Yield the distinct keys logged in (low, high]."""
        keys = ", ".join(f"typeof(log.k{n}), log.k{n}" for n, _ in enumerate(self.plan.key, 1))
        statement = sqlite_statement("source.sql", "logged_keys").substitute(
            columns=keys, logged=logged_keys(self.plan.key)
        )
        with _text_as_bytes(connection):
            cursor = connection.execute(statement, (self.plan.number, low, high))
            while rows := cursor.fetchmany(FETCH_ROWS):
                yield from (_parts(row) for row in rows)

    def page(
        self, connection: sqlite3.Connection, after: Key | None, limit: int, sink: Sink, bad: BadRow
    ) -> Key | None:
        """Read up to `limit` rows above a key, fewer where they are large; return the last key, None at the end."""
        condition, parameters = is_after(self.plan.key, after, as_row=self._key_compares_as_row(connection))
        order = ", ".join(collated(column) for column in self.plan.key)
        statement = sqlite_statement("source.sql", "page")
        return self._read(
            connection,
            lambda columns: statement.substitute(
                columns=columns, table=self._table, after=condition, order=order, limit=limit
            ),
            parameters,
            sink,
            bad,
            page=True,
        )

    def by_key(self, connection: sqlite3.Connection, key: Key, sink: Sink) -> None:
        """Read the row of one key, if there is one."""
        # Bound values have neither affinity nor collation, like the changelog's columns.
        marks = ", ".join(f"{bound(part)} AS k{place}" for place, part in enumerate(key, 1))
        known = sqlite_statement("source.sql", "bound_key").substitute(marks=marks)
        statement = sqlite_statement("source.sql", "present")
        row = _Appending(sink)
        self._read(
            connection,
            lambda columns: statement.substitute(
                columns=columns, logged=known, table=self._table, same_key=is_same_key(self.plan.key)
            ),
            [value for _, value in key],
            row,
            stop_at_bad_row,
        )
        row.flush()

    def whole(self, connection: sqlite3.Connection, sink: Sink, bad: BadRow) -> None:
        """Read all rows, in one statement."""
        statement = sqlite_statement("source.sql", "whole")
        self._read(connection, lambda columns: statement.substitute(columns=columns, table=self._table), (), sink, bad)

    def refuse_null_keys(self, connection: sqlite3.Connection) -> None:
        """Raise BadValueError where a row has a NULL in its key."""
        for column in self.plan.key:
            condition = f"t.{sqlite_name(column.name)} IS NULL"
            statement = sqlite_statement("source.sql", "null_key").substitute(table=self._table, any_null=condition)
            if connection.execute(statement).fetchone():
                fix = f"Delete these rows, or fill {column.name} in"
                raise BadValueError(self.plan.name, "NULL", column.name, "the key of a row is NULL", fix)

    def _key_compares_as_row(self, connection: sqlite3.Connection) -> bool:
        """Tell whether the columns' own collations are the key index's.

        SQLite seeks with (a, b) > (?, ?), but only where no COLLATE stands inside; without one it compares by the
        columns' collations. The planner needs no sorting for ORDER BY a, b exactly where these are the index's.
        """
        if self._as_row is None:
            plain = ", ".join(f"t.{sqlite_name(column.name)}" for column in self.plan.key)
            probe = sqlite_statement("source.sql", "page_plan").substitute(table=self._table, order=plain)
            self._as_row = not any("TEMP B-TREE" in row[3] for row in connection.execute(probe))
        return self._as_row

    def sent_key(self, key: Key) -> Row | None:
        """Return a key as it is sent; None if PostgreSQL cannot hold it."""
        try:
            return tuple(
                self.codecs[place].one(storage, value)
                for place, (storage, value) in zip(self._key_places, key, strict=True)
            )
        except (ValueError, ArithmeticError):
            return None

    def key_of(self, row: Row) -> Row:
        """Return the key of a row as it is sent, in key order."""
        return tuple(row[place] for place in self._key_places)

    def show_key(self, key: Row) -> str:
        """Return a sent key as people read it."""
        pairs = zip(self._key_places, key, strict=True)
        return ", ".join("NULL" if v is None else self.codecs[place].text(v) for place, v in pairs) or "(none)"

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
        with _text_as_bytes(connection):
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
        return None if row is None else key_of([row[place] for place in self._key_places])

    def _sent(self, rows: list[Row]) -> list[Row]:
        """Convert rows column by column. Raises ValueError where one needs care."""
        columns = list(zip(*rows, strict=True))
        sent = [codec.many(column) for codec, column in zip(self.codecs, columns, strict=True)]
        if all(map(operator.is_, sent, columns)):
            return rows
        return list(zip(*sent, strict=True))

    def _read_carefully(self, cursor: sqlite3.Cursor, sink: Sink, budget: int | None, bad: BadRow) -> Key | None:
        parts: Key | None = None
        size = 0.0
        while rows := self._fetch(cursor):
            sent = []
            for row in rows:
                parts = _parts(row)
                converted = self._converted(parts, bad)
                if converted is not None:
                    sent.append(converted)
            sink.add(sent)
            size += self._row_bytes * len(rows)
            if budget is not None and size > budget:
                break
        return None if parts is None else tuple(parts[place] for place in self._key_places)

    def _fetch(self, cursor: sqlite3.Cursor) -> list[Any]:
        """Fetch as many rows as the last ones' size suggests."""
        rows = cursor.fetchmany(max(1, min(FETCH_ROWS, int(FETCH_BYTES / self._row_bytes))))
        if rows:
            # Every sixteenth row is sample enough, and cheap.
            sample = rows[::16]
            self._row_bytes = max(len(marshal.dumps(sample)) / len(sample), 1.0)
        return rows

    def _converted(self, parts: Key, bad: BadRow) -> Row | None:
        sent: list[Sent] = []
        for part, codec, column in zip(parts, self.codecs, self.plan.columns, strict=True):
            try:
                sent.append(codec.one(*part))
            except (ValueError, ArithmeticError) as error:
                key = show(tuple(parts[place] for place in self._key_places))
                bad(BadValueError(self.plan.name, key or "(none)", column.source, str(error)))
                return None
        return tuple(sent)


PAGE_BYTES = 4 * 1024 * 1024
"""A page ends early when its rows are large: memory stays flat whatever the rows hold."""


class _text_as_bytes:  # noqa: N801  reads as a statement: with _text_as_bytes(connection)
    """Read text as bytes for a while: `sqlite3` decodes strictly and fails the whole fetch at one bad byte."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.text_factory = bytes

    def __exit__(self, *_: object) -> None:
        self._connection.text_factory = str


def _parts(row: Sequence[Any]) -> Key:
    """Pair storage classes and values of a careful row; text becomes `str` where it is valid UTF-8."""
    return tuple(_part(row[place].decode(), row[place + 1]) for place in range(0, len(row), 2))


def _part(storage: Any, value: Any) -> Part:
    if storage == "text":
        try:
            return storage, value.decode()
        except UnicodeDecodeError:
            return storage, value
    return storage, value

"""Read the keys of one table: which were logged, which have no row, which rows cannot have one in PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from cdcsync.core.codecs import Codec, codec_for
from cdcsync.core.collations import rows_by_key, rows_of
from cdcsync.core.keys import Key, dump, show
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.careful import parts, text_as_bytes, with_classes
from cdcsync.edges.key_sql import collated, holds_null, is_after, is_exactly, is_same_key, logged_keys
from cdcsync.edges.spool import Row
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import QuarantinedRow, TablePlan

FETCH_KEYS = 1000


class KeyReader:
    """Reads keys of one planned table from a connection inside the caller's read transaction."""

    def __init__(self, plan: TablePlan, rows: str | None = None) -> None:
        """Prepare what converts them. `rows`: only of these, a relation of `edges.selection`."""
        self.plan = plan
        places = {column.source: place for place, column in enumerate(plan.columns)}
        self.places = [places[column.name] for column in plan.key]
        self.codecs: list[Codec] = [codec_for(column, key=True) for column in plan.key_plans]
        chosen = f"{rows} AS t" if rows else ""
        self._all = chosen or rows_of(plan.table)
        self._keyed = chosen or rows_by_key(plan.table, [column.name for column in plan.key])

    def logged(self, connection: sqlite3.Connection, low: int, high: int) -> Iterator[Key]:
        """Yield the distinct keys logged in (low, high]."""
        statement = sqlite_statement("source.sql", "logged_keys").substitute(
            columns=self._columns("log"), logged=logged_keys(self.plan.key)
        )
        for found in self._read(connection, statement, (self.plan.number, low, high)):
            yield from found

    def gone(self, connection: sqlite3.Connection, low: int, high: int) -> Iterator[list[Key]]:
        """Yield the keys logged in (low, high] that have no row; one that holds a NULL is among them: none is found."""
        statement = sqlite_statement("source.sql", "gone").substitute(
            columns=self._columns("log"),
            logged=logged_keys(self.plan.key),
            rows=self._keyed,
            same_key=is_same_key(self.plan.key),
        )
        return self._read(connection, statement, (self.plan.number, low, high))

    def after(self, connection: sqlite3.Connection, after: Key | None, limit: int) -> Iterator[Key]:
        """Yield up to `limit` keys of rows above a key, in key order."""
        condition, parameters = is_after(self.plan, after, as_row=False)
        names = [f"t.{sqlite_name(column.name)}" for column in self.plan.key]
        statement = sqlite_statement("source.sql", "page").substitute(
            columns=with_classes(names),
            rows=self._keyed,
            after=condition,
            order=", ".join(collated(column) for column in self.plan.key),
            limit=limit,
        )
        for found in self._read(connection, statement, parameters):
            yield from found

    def with_null(self, connection: sqlite3.Connection) -> Iterator[tuple[Key, int]]:
        """Yield the distinct keys that hold a NULL, with how many rows have each."""
        condition = holds_null(self.plan)
        if condition is None:
            return
        names = [f"t.{sqlite_name(column.name)}" for column in self.plan.key]
        statement = sqlite_statement("source.sql", "null_keys").substitute(
            columns=with_classes(names),
            rows=self._all,
            any_null=condition,
            keys_and_classes=", ".join(f"{name} COLLATE BINARY, typeof({name})" for name in names),
        )
        with text_as_bytes(connection):
            for row in connection.execute(statement):
                yield parts(row), int(row[-1])

    def count(self, connection: sqlite3.Connection, key: Key) -> int:
        """Count the rows with exactly this key, which may hold a NULL."""
        condition, parameters = is_exactly(self.plan.key, key)
        statement = sqlite_statement("source.sql", "count_where").substitute(rows=self._all, condition=condition)
        return int(connection.execute(statement, parameters).fetchone()[0])

    def find(self, candidates: Iterable[Key], wanted: Collection[Row]) -> dict[Row, Key]:
        """Return, for the sent keys `wanted`, those of the candidates that are sent like this."""
        return {sent: key for key in candidates if (sent := self.sent(key)) is not None and sent in wanted}

    def sent(self, key: Key) -> Row | None:
        """Return a key as it is sent; None if PostgreSQL cannot hold it."""
        try:
            return tuple(codec.one(storage, value) for codec, (storage, value) in zip(self.codecs, key, strict=True))
        except (ValueError, ArithmeticError):
            return None

    def of(self, row: Row) -> Row:
        """Return the key of a row as it is sent, in key order."""
        return tuple(row[place] for place in self.places)

    def show(self, sent: Row) -> str:
        """Return a sent key as people read it."""
        return ", ".join(self._texts(sent)) or "(none)"

    def identity(self, key: Key) -> str:
        """Return a digest that only this key has; the same as that of its sent form, where it has one."""
        sent = self.sent(key)
        return _digest(dump(key)) if sent is None else self.identity_of(sent)

    def identity_of(self, sent: Row) -> str:
        """Return the digest of a sent key: no two keys are sent alike."""
        return _digest(json.dumps(["sent", *self._texts(sent)]))

    def null_rows(self, key: Key, rows: int) -> QuarantinedRow:
        """Return the entry for rows whose key holds a NULL."""
        column = next(c.name for c, (storage, _) in zip(self.plan.key, key, strict=True) if storage == "null")
        return QuarantinedRow(self.identity(key), dump(key), show(key), column, "NULL", "the key is NULL", rows)

    def _texts(self, sent: Row) -> list[str]:
        pairs = zip(self.codecs, sent, strict=True)
        return ["NULL" if value is None else codec.text(value) for codec, value in pairs]

    def _columns(self, of: str) -> str:
        return with_classes([f"{of}.k{place}" for place, _ in enumerate(self.plan.key, 1)])

    @staticmethod
    def _read(connection: sqlite3.Connection, statement: str, parameters: Sequence[Any]) -> Iterator[list[Key]]:
        with text_as_bytes(connection):
            cursor = connection.execute(statement, parameters)
            while rows := cursor.fetchmany(FETCH_KEYS):
                yield [parts(row) for row in rows]


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

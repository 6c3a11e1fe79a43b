"""The road of values: from an SQLite file through reader and codec by both COPY and parameters into PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import psycopg

from cdcsync.core.plan import table_plans
from cdcsync.edges.rows import RowList, RowReader
from cdcsync.edges.schema import read_schema
from cdcsync.edges.target import Target
from cdcsync.edges.writer import TableWriter
from cdcsync.machine.refusals import refused
from cdcsync.words.settings import Settings
from support.value_dice import Bytes, Value

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cdcsync.words.nouns import ColumnPlan, StorageClass, TablePlan
    from support.postgres import Database
    from support.value_rules import Mapping

Held: TypeAlias = tuple[str, Any]
"""Storage class and value as SQLite holds them, text as bytes."""

_PAGE = 600
# What a type's own output says, where a cast to text says something else or nothing exact.
_SHOWN = {
    "interval": "(extract(epoch FROM v) * 1000000)::bigint::text",
    "inet": "CASE WHEN v IS NOT NULL THEN format('%s', v) END",
}


@dataclass(slots=True)
class Arrived:
    """What SQLite holds as (storage class, value, text as bytes), and what both roads made of it, by row number.

    `errors` counts PostgreSQL's by their SQLSTATE, and the codecs' by column.
    """

    held: dict[int, Held]
    copied: dict[int, str | None]
    sent: dict[int, str | None]
    refused: set[int] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)


class Road:
    """One mapping of one column, with its tables on both sides."""

    def __init__(self, folder: Path, database: Database, mapping: Mapping, *, key: bool) -> None:
        """Make the tables. The column declares no type: every storage class stays what it is."""
        self._source = sqlite3.connect(folder / "values.db", isolation_level=None)
        schema = "CREATE TABLE t (v PRIMARY KEY, n INTEGER)" if key else "CREATE TABLE t (v, n INTEGER PRIMARY KEY)"
        self._source.execute(schema)
        self.plan = _table_plan(self._source, mapping)
        self._shown = _SHOWN.get(mapping["type"], "v::text")
        self._target = Target(database.conninfo())
        unique = "v" if key else "n"
        for schema in ("copied", "sent"):
            self._target.connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
            self._target.connection.execute(f"CREATE SCHEMA {schema}".encode())
            columns = f"v {self.plan.columns[0].type_sql}, n bigint, PRIMARY KEY ({unique})"
            self._target.connection.execute(f"CREATE TABLE {schema}.t ({columns})".encode())

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both sides."""
        self._source.close()
        self._target.close()

    def pass_through(self, values: Iterable[Value]) -> Arrived:
        """Put values into the source, and let them go both roads."""
        self._fill(values)
        reader = RowReader(self.plan)
        arrived = Arrived(self._held(), {}, {})
        rows = self._read(reader, arrived)
        copy, send = (TableWriter(self.plan, schema) for schema in ("copied", "sent"))
        self._target.control("BEGIN")
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]
            for row, error in refused(self._target, page, lambda part: copy.copy(self._target, [part])):
                arrived.refused.add(row[1])
                arrived.errors[error.sqlstate or "none"] += 1
        with self._target.connection.pipeline():
            send.upsert_few(self._target, [row for row in rows if row[1] not in arrived.refused])
        for schema, found in (("copied", arrived.copied), ("sent", arrived.sent)):
            query = f"SELECT n, {self._shown} FROM {schema}.t"
            found.update(self._target.connection.execute(query.encode()).fetchall())
        self._target.rollback()
        return arrived

    def _fill(self, values: Iterable[Value]) -> None:
        self._source.execute("BEGIN")
        self._source.execute("DELETE FROM t")
        for number, value in enumerate(values):
            mark, bound = ("CAST(? AS TEXT)", value.content) if isinstance(value, Bytes) else ("?", value)
            self._source.execute(f"INSERT OR IGNORE INTO t (v, n) VALUES ({mark}, ?)", (bound, number))
        self._source.execute("COMMIT")

    def _held(self) -> dict[int, Held]:
        self._source.text_factory = bytes
        rows = self._source.execute("SELECT n, typeof(v), v FROM t").fetchall()
        self._source.text_factory = str
        return {number: (storage.decode(), value) for number, storage, value in rows}

    def _read(self, reader: RowReader, arrived: Arrived) -> list[Any]:
        rows: list[Any] = []
        after = None
        while True:
            # A page that is read again with care empties its list first, so each has its own.
            page = RowList()
            last = reader.page(self._source, after, _PAGE, page, lambda error: arrived.errors.update([error.column]))
            rows += page.rows
            if last is None:
                break
            after = last
        there = {row[1] for row in rows}
        arrived.refused |= arrived.held.keys() - there
        return rows


def _table_plan(source: sqlite3.Connection, mapping: Mapping) -> TablePlan:
    settings = Settings(tables={"t": {"columns": {"v": mapping}}})
    (plan,) = table_plans(read_schema(source), settings, {})
    return replace(plan, number=1)


def column_plan(mapping: Mapping) -> ColumnPlan:
    """Return the plan of a column with this mapping."""
    with closing(sqlite3.connect(":memory:")) as source:
        source.execute("CREATE TABLE t (v)")
        return _table_plan(source, mapping).columns[0]


def held_as(value: Value) -> tuple[StorageClass, Any]:
    """Return storage class and value as a reader sees them: text as `str` where it is UTF-8."""
    if isinstance(value, Bytes):
        try:
            return "text", value.content.decode()
        except UnicodeDecodeError:
            return "text", value.content
    classes: dict[type, StorageClass] = {int: "integer", float: "real", bytes: "blob", type(None): "null"}
    return classes[type(value)], value


def unique_violations(arrived: Arrived) -> int:
    """Return how many rows PostgreSQL took for another row."""
    return arrived.errors[psycopg.errors.UniqueViolation.sqlstate or ""]

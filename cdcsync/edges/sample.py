"""A sample of rows of one table, and the writes that can be tried with it on a copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import Table, TablePlan

SAMPLE_ROWS = 1_000
SAMPLE_BYTES = 16 * 1024 * 1024

Row: TypeAlias = tuple[Any, ...]
OperationName: TypeAlias = Literal["delete", "insert", "update"]

_UNREADABLE = object()


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of write: a statement, and its values for each row of a sample, the same rows in every operation."""

    name: OperationName
    statement: str
    values: list[Row]


def operations(connection: sqlite3.Connection, plan: TablePlan) -> list[Operation]:
    """Return delete, insert and update of a sample of rows, which in turn can be repeated for ever.

    Empty if no row can be named by a key, or can be read. There is no update where no column is free to change.
    """
    table = plan.table
    names = [column.name for column in table.columns if not column.generated]
    key = [column.name for column in plan.key]
    if not key and table.hidden_rowid is not None:
        key = [table.hidden_rowid]
        names = [*key, *names]
    rows = _sample(connection, table, names, key) if key else []
    if not rows:
        return []
    fixed = {
        "table": sqlite_name(table.name),
        "columns": ", ".join(sqlite_name(name) for name in names),
        "marks": ", ".join("?" * len(names)),
        "same": " AND ".join(f"{sqlite_name(name)} = ?" for name in key),
    }
    places = [names.index(name) for name in key]
    delete, insert = _statement("delete", **fixed), _statement("insert", **fixed)
    for name in _free_columns(table, key):
        place = names.index(name)
        # SQLite writes nothing where an update changes nothing: each row takes the value of the one before it.
        changing = [(before[place], row) for before, row in pairwise([rows[-1], *rows]) if before[place] != row[place]]
        values = [(value, *_parts(row, places)) for value, row in changing]
        update = Operation("update", _statement("update", **fixed, column=sqlite_name(name)), values)
        if len(values) * 2 >= len(rows) and _is_allowed(connection, update):
            return [*_rewriting(delete, insert, [row for _, row in changing], places), update]
    return _rewriting(delete, insert, rows, places)


def _rewriting(delete: str, insert: str, rows: list[Row], places: list[int]) -> list[Operation]:
    return [Operation("delete", delete, [_parts(row, places) for row in rows]), Operation("insert", insert, rows)]


def _parts(row: Row, places: list[int]) -> Row:
    return tuple(row[place] for place in places)


def _free_columns(table: Table, key: Sequence[str]) -> list[str]:
    """Return the columns outside the key, first those whose change moves nothing in an index."""
    indexed = {column.name for index in table.indexes for column in index.columns}
    names = [column.name for column in table.columns if not column.generated and column.name not in key]
    return sorted(names, key=lambda name: name in indexed)


def _is_allowed(connection: sqlite3.Connection, update: Operation) -> bool:
    """Try an update of all rows, as constraints may forbid it."""
    connection.execute("BEGIN")
    try:
        connection.executemany(update.statement, update.values)
    except sqlite3.IntegrityError:
        return False
    finally:
        connection.execute("ROLLBACK")
    return True


def _sample(connection: sqlite3.Connection, table: Table, names: list[str], key: list[str]) -> list[Row]:
    """Return rows from all over the copy, as many as fit in bounded memory."""
    columns = ", ".join(sqlite_name(name) for name in names)
    places = [names.index(name) for name in key]
    (count,) = connection.execute(_statement("count", table=sqlite_name(table.name))).fetchone()
    step = -(-count // SAMPLE_ROWS)
    rows: list[Row] = []
    size = 0
    connection.text_factory = _text
    every = _statement("rows", table=sqlite_name(table.name), columns=columns)
    for number, row in enumerate(connection.execute(every)):
        if number % step or size > SAMPLE_BYTES:
            continue
        if _UNREADABLE not in row and all(row[place] is not None for place in places):
            rows.append(row)
            size += sum(len(value) for value in row if isinstance(value, str | bytes))
    return rows


def _text(value: bytes) -> object:
    """Take text as `sqlite3` can bind it again; the row of any other is left out."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _UNREADABLE


def _statement(statement: str, **names: str) -> str:
    return sqlite_statement("measure.sql", statement).substitute(names)

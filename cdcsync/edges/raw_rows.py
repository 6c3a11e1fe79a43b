"""Rows as SQLite holds them, nothing converted and nothing refused: for looking at data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cdcsync.core.codecs import Codec, Sent
from cdcsync.core.collations import is_built_in, rows_of
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.pages import all_rows
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.spool import Row
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import StorageClass, TablePlan, Value


class _Raw(Codec):
    """Lets every value through. Text that is not UTF-8 keeps its bytes as surrogates, which no other text has."""

    def __init__(self) -> None:
        """There is nothing to know about the column."""

    def many(self, values: Sequence[Value]) -> Sequence[Sent]:
        return values

    def one(self, storage: StorageClass, value: Value) -> Sent:
        if storage == "text" and isinstance(value, bytes):
            return value.decode("utf-8", "surrogateescape")
        return value

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        raise NotImplementedError


def raw_rows(source: Source, plan: TablePlan, limit: int) -> Iterator[list[Row]]:
    """Yield all rows in lists of up to `limit`, in short reads.

    No key comes after one that holds a NULL, and only the application knows which comes after one in a collation of
    its own: such a table is read like one without a key, in one go.
    """
    if not all(is_built_in(part.collation) for part in plan.key) or (plan.key and has_null_keys(source, plan)):
        plan = replace(plan, key=())
    reader = RowReader(plan)
    reader.codecs = [_Raw()] * len(plan.columns)
    yield from all_rows(source, reader, limit, _refuses_nothing)


def _refuses_nothing(error: BadValueError) -> None:
    raise error


def has_null_keys(source: Source, plan: TablePlan) -> bool:
    """Tell whether a row has a NULL in its key."""
    rows = rows_of(plan.table)
    return any(
        source.rows("rows_with_null_key", 1, found="1", rows=rows, any_null=_is_null(name)) for name in _nullable(plan)
    )


def rowids_of_null_keys(source: Source, plan: TablePlan, most: int) -> list[int]:
    """Return the rowids of the first rows with a NULL in their key; none where the rowid cannot be reached."""
    names = _nullable(plan)
    if plan.table.hidden_rowid is None or not names:
        return []
    condition = " OR ".join(map(_is_null, names))
    rowid, rows = f"t.{plan.table.hidden_rowid}", rows_of(plan.table)
    return [row[0] for row in source.rows("rows_with_null_key", most, found=rowid, rows=rows, any_null=condition)]


def _nullable(plan: TablePlan) -> list[str]:
    """SQLite admits NULL in a key, but for INTEGER PRIMARY KEY and WITHOUT ROWID."""
    if plan.table.without_rowid:
        return []
    names = (part.name for part in plan.key)
    return [name for name in names if name != plan.table.rowid_key and not plan.table.column(name).not_null]


def _is_null(column: str) -> str:
    return f"t.{sqlite_name(column)} IS NULL"

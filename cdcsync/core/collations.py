"""Collations that only the application registers: SQLite compares by one, and uses no index with one, without it."""

from __future__ import annotations

from collections.abc import Collection

from cdcsync.core.quoting import sqlite_name
from cdcsync.words.nouns import Index, Table

BUILT_IN = {"BINARY", "NOCASE", "RTRIM"}


def is_built_in(collation: str) -> bool:
    """Tell whether every connection knows a collation."""
    return collation.upper() in BUILT_IN


def is_readable_index(index: Index) -> bool:
    """Tell whether every connection can use an index."""
    return all(is_built_in(column.collation) for column in index.columns)


def is_readable(table: Table) -> bool:
    """Tell whether every connection can read a table: WITHOUT ROWID it lies in the order of its primary key."""
    return not table.without_rowid or all(is_readable_index(index) for index in table.indexes if index.origin == "pk")


def rows_of(table: Table, alias: str = "t") -> str:
    """Return a table for a FROM that reads all its rows: not by way of an index that only the application can use.

    NOT INDEXED leaves the rowid, and the primary key of a table WITHOUT ROWID, in use.
    """
    named = f"{sqlite_name(table.name)} AS {alias}"
    return named if all(map(is_readable_index, table.indexes)) else f"{named} NOT INDEXED"


def rows_by_key(table: Table, names: Collection[str], alias: str = "t") -> str:
    """Return a table for a FROM with conditions on unique columns, or in their order."""
    index = None if all(map(is_readable_index, table.indexes)) else _index_on(table, names)
    # WITHOUT ROWID the table itself is in the order of its primary key.
    if index is None or (table.without_rowid and index.origin == "pk"):
        return rows_of(table, alias)
    return f"{sqlite_name(table.name)} AS {alias} INDEXED BY {sqlite_name(index.name)}"


def is_found_by(table: Table, names: Collection[str]) -> bool:
    """Tell whether every connection can find rows by unique columns."""
    return {table.rowid_key} == set(names) or _index_on(table, names) is not None


def _index_on(table: Table, names: Collection[str]) -> Index | None:
    """Return a readable index that keeps columns unique in all rows."""
    unique = (index for index in table.indexes if index.unique and not index.partial and is_readable_index(index))
    return next((index for index in unique if {column.name for column in index.columns} == set(names)), None)

"""Read the schema of a source database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import Column, ForeignKey, Index, IndexColumn, KeyColumn, SourceSchema, Table

OUR_PREFIX = "_cdcsync_"
# Tables other replication tools keep in the application's file; nobody wants them in the target.
FOREIGN_TOOLS = re.compile(r"(_litestream_|crsql_|_sqlite_cdc|_chronicle_)", re.IGNORECASE)

# Names that migration tools give a table for the time of a rebuild, before the name of the table it will be:
# Alembic, Django, Drizzle, Prisma, TypeORM, EF Core.
_IN_BETWEEN = ("_alembic_tmp_", "new__", "__new_", "new_", "temporary_", "ef_temp_")


def is_in_between(name: str, captured: Collection[str]) -> bool:
    """Tell whether a table is most likely a migration tool's copy of a captured one, soon to take its place."""
    lowered = {one.lower() for one in captured}
    return any(name.lower().startswith(head) and name.lower().removeprefix(head) in lowered for head in _IN_BETWEEN)


def read_schema(connection: sqlite3.Connection) -> SourceSchema:
    """Return tables in the order they were created, and what is left alone with its reason."""
    objects = _rows(connection, "objects")
    kinds = _table_kinds(connection, objects)
    texts = {name: sql for kind, name, _, sql in objects if kind == "index" and sql}
    tables: list[Table] = []
    left: list[tuple[str, str]] = []
    for kind, name, _, sql in objects:
        if name.startswith(OUR_PREFIX) or name.lower().startswith("sqlite_"):
            continue
        if kind in {"view", "trigger"}:
            left.append((name, f"a {kind}: write it again for PostgreSQL if it is needed"))
        elif kind == "table":
            what, without_rowid, strict = kinds[name]
            if what != "table":
                left.append((name, f"a {what} table: SQLite allows no triggers on it"))
            elif FOREIGN_TOOLS.match(name):
                left.append((name, "kept by another replication tool"))
            else:
                tables.append(_table(connection, name, sql, texts, without_rowid=without_rowid, strict=strict))
    return SourceSchema(tuple(_resolve_parents(tables)), tuple(left))


def _rows(connection: sqlite3.Connection, statement: str, *parameters: str) -> list[Any]:
    return connection.execute(sqlite_statement("schema.sql", statement).template, parameters).fetchall()


def _table_kinds(connection: sqlite3.Connection, objects: list[Any]) -> dict[str, tuple[str, bool, bool]]:
    """Map each table to (table|virtual|shadow, WITHOUT ROWID, STRICT)."""
    if sqlite3.sqlite_version_info >= (3, 37):
        return {name: (kind, bool(wr), bool(strict)) for name, kind, wr, strict in _rows(connection, "table_kinds")}
    # Before 3.37 SQLite names neither kind nor options: go by the text and by the names shadow tables take.
    texts = {name: sql for kind, name, _, sql in objects if kind == "table"}
    virtual = [name for name, sql in texts.items() if re.match(r"\s*CREATE\s+VIRTUAL", sql, re.IGNORECASE)]
    kinds = {}
    for name, sql in texts.items():
        shadow = any(name.lower().startswith(f"{owner.lower()}_") for owner in virtual)
        what = "virtual" if name in virtual else "shadow" if shadow else "table"
        options = sql[sql.rfind(")") :].upper()
        kinds[name] = (what, bool(re.search(r"WITHOUT\s+ROWID", options)), "STRICT" in options)
    return kinds


def _table(
    connection: sqlite3.Connection,
    name: str,
    sql: str,
    texts: Mapping[str, str],
    *,
    without_rowid: bool,
    strict: bool,
) -> Table:
    columns = tuple(
        Column(column, declared or "", bool(not_null), default, pk, hidden in {2, 3})
        for column, declared, not_null, default, pk, hidden in _rows(connection, "columns", name)
        if hidden != 1
    )
    indexes = tuple(_indexes(connection, name, texts))
    table = Table(
        name=name,
        sql=sql,
        columns=columns,
        indexes=indexes,
        foreign_keys=tuple(_foreign_keys(connection, name)),
        rowid_key=_rowid_key(columns, indexes, without_rowid=without_rowid),
        hidden_rowid=None if without_rowid else _hidden_rowid(connection, name, columns),
        without_rowid=without_rowid,
        strict=strict,
    )
    return replace(table, key=_key(table))


def _indexes(connection: sqlite3.Connection, table: str, texts: Mapping[str, str]) -> list[Index]:
    return [
        Index(
            name=name,
            columns=tuple(
                IndexColumn(column, collation, bool(descending))
                for column, collation, descending in _rows(connection, "index_columns", name)
            ),
            unique=bool(unique),
            partial=bool(partial),
            origin=origin,
            sql=texts.get(name),
        )
        for name, unique, origin, partial in _rows(connection, "indexes", table)
    ]


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[ForeignKey]:
    grouped: dict[int, list[Any]] = {}
    for row in _rows(connection, "foreign_keys", table):
        grouped.setdefault(row[0], []).append(row)
    return [
        ForeignKey(
            columns=tuple(row[2] for row in rows),
            parent=rows[0][1],
            # None where the schema names no parent column: the parent's primary key, filled in later.
            parent_columns=tuple(row[3] for row in rows if row[3] is not None),
            on_update=rows[0][4],
            on_delete=rows[0][5],
        )
        # SQLite lists the last one declared first.
        for _, rows in sorted(grouped.items(), reverse=True)
    ]


def _rowid_key(columns: tuple[Column, ...], indexes: tuple[Index, ...], *, without_rowid: bool) -> str | None:
    """INTEGER PRIMARY KEY needs no index of its own; INT or INTEGER .. DESC have one and are no alias."""
    declared = [column for column in columns if column.primary_key]
    has_index = any(index.origin == "pk" for index in indexes)
    return declared[0].name if len(declared) == 1 and not has_index and not without_rowid else None


def _hidden_rowid(connection: sqlite3.Connection, table: str, columns: tuple[Column, ...]) -> str | None:
    taken = {column.name.lower() for column in columns}
    probe = sqlite_statement("schema.sql", "rowid_probe")
    for name in ("rowid", "_rowid_", "oid"):
        if name in taken:
            continue
        try:
            connection.execute(probe.substitute(rowid=name, table=sqlite_name(table)))
        except sqlite3.OperationalError:
            return None
        return name
    return None


def _key(table: Table) -> tuple[KeyColumn, ...]:
    if table.rowid_key is not None:
        return (KeyColumn(table.rowid_key),)
    for index in table.indexes:
        if index.origin == "pk":
            return tuple(KeyColumn(c.name, c.collation) for c in index.columns if c.name is not None)
    return min((unique_key(table, index) for index in table.indexes), key=_preference, default=())


def _preference(key: tuple[KeyColumn, ...]) -> tuple[bool, int]:
    """Any key before none, and the narrowest first."""
    return (not key, len(key))


def unique_key(table: Table, index: Index) -> tuple[KeyColumn, ...]:
    """Return the columns of an index that identifies every row; empty if it does not."""
    if not index.unique or index.partial:
        return ()
    key = tuple(KeyColumn(c.name, c.collation) for c in index.columns if c.name is not None)
    whole = len(key) == len(index.columns)
    return key if whole and all(table.column(c.name).not_null for c in key) else ()


def _resolve_parents(tables: list[Table]) -> list[Table]:
    """SQLite compares names without case and lets a foreign key name no columns; make both exact."""
    by_name = {table.name.lower(): table for table in tables}

    def resolve(key: ForeignKey, child: Table) -> ForeignKey:
        parent = by_name.get(key.parent.lower())
        columns = tuple(_exact(child, name) for name in key.columns)
        if parent is None:
            return replace(key, columns=columns)
        wanted = key.parent_columns or tuple(
            c.name for c in sorted(parent.columns, key=lambda c: c.primary_key) if c.primary_key
        )
        return replace(
            key, columns=columns, parent=parent.name, parent_columns=tuple(_exact(parent, n) for n in wanted)
        )

    return [replace(table, foreign_keys=tuple(resolve(key, table) for key in table.foreign_keys)) for table in tables]


def _exact(table: Table, name: str) -> str:
    return next((column.name for column in table.columns if column.name.lower() == name.lower()), name)

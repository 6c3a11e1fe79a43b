"""An independent comparison: reads both databases by itself and converts by its own few lines."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from support.postgres import Database

SHOWN = 5


def _moment(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _json(value: object) -> str:
    return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)


# What a value of SQLite is in a column of this type in PostgreSQL; other types hold it as it is.
FROM_SQLITE: dict[str, Callable[[Any], object]] = {
    "uuid": UUID,
    "timestamp with time zone": _moment,
    "jsonb": _json,
    "boolean": bool,
    "numeric": lambda value: Decimal(repr(value)),
    "double precision": float,
}
FROM_POSTGRES: dict[str, Callable[[Any], object]] = {"jsonb": _json}


def tables_of(source: Path) -> list[str]:
    """Return the application's tables."""
    with closing(sqlite3.connect(source)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [name for name in names if not name.startswith(("sqlite_", "_cdcsync_"))]


def assert_same(source: Path, database: Database, tables: Iterable[str] | None = None) -> dict[str, int]:
    """Fail, showing rows, unless every table holds the same rows on both sides; return the numbers of rows."""
    counts = {}
    for table in tables_of(source) if tables is None else tables:
        here, there = Counter(_from_sqlite(source, database, table)), Counter(_from_postgres(database, table))
        missing, extra = list((here - there).items()), list((there - here).items())
        assert not missing, f"{table}: {len(missing)} rows are not in PostgreSQL, such as {missing[:SHOWN]}"
        assert not extra, f"{table}: {len(extra)} rows are only in PostgreSQL, such as {extra[:SHOWN]}"
        counts[table] = here.total()
    return counts


def _columns(database: Database, table: str) -> dict[str, str]:
    query = """
        SELECT column_name, data_type FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = %s
    """
    return dict(sorted(database.rows(query, table)))


def _from_sqlite(source: Path, database: Database, table: str) -> Iterator[tuple[object, ...]]:
    columns = _columns(database, table)
    names = ", ".join('"' + name + '"' for name in columns)
    convert = [FROM_SQLITE.get(kind) for kind in columns.values()]
    with closing(sqlite3.connect(source)) as db:
        for row in db.execute(f'SELECT {names} FROM "{table}"'):
            yield tuple(
                value if value is None or make is None else make(value)
                for value, make in zip(row, convert, strict=True)
            )


def _from_postgres(database: Database, table: str) -> Iterator[tuple[object, ...]]:
    columns = _columns(database, table)
    convert = [FROM_POSTGRES.get(kind) for kind in columns.values()]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(table))
    with database.connect() as connection, connection.transaction(), connection.cursor("all_rows") as cursor:
        cursor.itersize = 5000
        cursor.execute(query)
        for row in cursor:
            yield tuple(
                value if value is None or make is None else make(value)
                for value, make in zip(row, convert, strict=True)
            )

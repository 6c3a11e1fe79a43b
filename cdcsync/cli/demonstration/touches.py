"""Writes for a database that has no application: rows of a copy, updated to the values they have.

They change nothing, yet the triggers log them and the daemon carries them over like any other write.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.source import connect
from cdcsync.words.nouns import TablePlan

ROWS_A_TABLE = 50
MOST_SECONDS = 2.0
KEYS = Template("SELECT $key FROM $table LIMIT ?")
TOUCH = Template("UPDATE $table SET $column = $column WHERE $same")


@dataclass(frozen=True, slots=True)
class Touch:
    """One single-row transaction."""

    statement: str
    key: tuple[Any, ...]


class Touches:
    """Rows of a file that may be written to, found once and touched as often as wanted."""

    def __init__(self, path: Path, plans: Sequence[TablePlan]) -> None:
        """Choose some rows of every table that has a key; a table that refuses such updates is left out."""
        self._path = path
        with closing(self._connect()) as connection:
            self._chosen = [touch for plan in plans if plan.key for touch in _usable(connection, plan)]

    def __len__(self) -> int:
        """Return how many rows were chosen."""
        return len(self._chosen)

    def run(self) -> Iterator[float]:
        """Touch the rows one by one, for a few seconds at most; yield the seconds each took when it is committed."""
        ends = time.monotonic() + MOST_SECONDS
        with closing(self._connect()) as connection:
            for touch in self._chosen:
                began = time.perf_counter()
                connection.execute(touch.statement, touch.key)
                yield time.perf_counter() - began
                if time.monotonic() > ends:
                    return

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self._path, mode="rw")
        # As most applications in WAL mode have it: no sync of each commit behind which the triggers would hide.
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection


def _usable(connection: sqlite3.Connection, plan: TablePlan) -> list[Touch]:
    """Choose rows, and try each: the table's own triggers may object, or need functions of the application."""
    names = [sqlite_name(column.name) for column in plan.key]
    keys = {column.name for column in plan.key}
    others = [column.name for column in plan.table.columns if not column.generated and column.name not in keys]
    touch = TOUCH.substitute(
        table=sqlite_name(plan.name),
        column=sqlite_name(others[0]) if others else names[0],
        same=" AND ".join([f"{name} IS ?" for name in names]),
    )
    select = KEYS.substitute(key=", ".join(names), table=sqlite_name(plan.name))
    try:
        chosen = [Touch(touch, key) for key in connection.execute(select, [ROWS_A_TABLE])]
        connection.execute("BEGIN")
        try:
            for one in chosen:
                connection.execute(one.statement, one.key)
        finally:
            connection.execute("ROLLBACK")
    except (sqlite3.Error, OverflowError):
        return []
    return chosen

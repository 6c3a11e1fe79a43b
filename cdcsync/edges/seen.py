"""Which of many values occur more than once, in constant memory: they are kept and sorted on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from cdcsync.edges.statements import sqlite_statement

SAMPLES = 5


class Seen:
    """Values with the key of their row, in a file without a name that SQLite removes."""

    def __init__(self) -> None:
        """Begin empty."""
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(sqlite_statement("seen.sql", "make").template)
        self._connection.execute("BEGIN")

    def add(self, values: Sequence[tuple[bytes, str]]) -> None:
        """Keep values."""
        self._connection.executemany(sqlite_statement("seen.sql", "add").template, values)

    def repeated(self) -> tuple[int, list[str]]:
        """Return how many values stand behind an equal one, and the keys of the first that occur twice."""
        count = self._connection.execute(sqlite_statement("seen.sql", "count").template).fetchone()[0]
        rows = self._connection.execute(sqlite_statement("seen.sql", "first").template, (SAMPLES,)) if count else ()
        return int(count), [key for (key,) in rows]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget everything."""
        self._connection.close()

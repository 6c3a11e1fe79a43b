"""Two private copies of the first rows of one table, to try writes on: one plain, one with our triggers.

The source is only read, in short pieces. The copies are as it is: page size, encoding, journal, all indexes; but no
triggers of the application, and no foreign keys.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from cdcsync.core.collations import rows_of
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import capture
from cdcsync.edges.source import Source, connect
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import Table, TablePlan

MOST_ROWS = 20_000
MOST_BYTES = 64 * 1024 * 1024
PIECE_ROWS = 1_000
PIECE_BYTES = 4 * 1024 * 1024
"""A piece is one read of the source: in rollback-journal mode the application's commits wait for it."""

CHECKPOINT_PAGES = 1_000
"""SQLite's own default."""

GROWTH_ENTRIES = 5_000

Row: TypeAlias = tuple[Any, ...]


class Scratch:
    """One copy, open as an application has it."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self.connection = connect(path, mode="rw")
        _pragma(self.connection, "wal_autocheckpoint", "0")
        self._writes = 0

    def synchronous(self, level: str) -> None:
        """Set whether a commit waits for the disk: FULL, NORMAL, OFF."""
        _pragma(self.connection, "synchronous", level)

    def log_bytes_per_write(self) -> float:
        """Return what the changelog grew by a write: its entries are written again until full pages tell their size."""
        entries = _value(self.connection, _statement("entries"))
        columns = ", ".join(name for (name,) in self.connection.execute(_statement("entry_columns")))
        again = _statement("entries_again", columns=columns)
        pages, written = _used_pages(self.connection), 0
        while written < GROWTH_ENTRIES:
            written += self.connection.execute(again, [GROWTH_ENTRIES]).rowcount
        grown = (_used_pages(self.connection) - pages) * _value(self.connection, "PRAGMA page_size")
        return grown / written * entries / self._writes

    def write(self, statement: str, values: Sequence[Row], rows: int) -> float:
        """Run a statement for each of the values, in transactions of so many; return the seconds that took.

        A checkpoint comes with every thousandth page, in whatever write that happens to be: one is made here each
        time, and as much of it counts as the pages written are of a thousand.
        """
        self._writes += len(values)
        execute = self.connection.execute
        began = time.perf_counter()
        if rows == 1:
            for row in values:
                execute(statement, row)
        else:
            for first in range(0, len(values), rows):
                execute("BEGIN")
                for row in values[first : first + rows]:
                    execute(statement, row)
                execute("COMMIT")
        ended = time.perf_counter()
        pages: int = execute(_statement("checkpoint")).fetchone()[1]
        # In rollback-journal mode there is none: -1 pages.
        return ended - began + (time.perf_counter() - ended) * max(pages, 0) / CHECKPOINT_PAGES


def place_for(source: Path, state_dir: Path) -> tuple[Path, bool]:
    """Return where copies can lie, and whether that is the source's own file system: there a sync costs the same."""
    temporary = Path(tempfile.gettempdir())
    for folder in (state_dir, state_dir.absolute().parent, temporary, source.parent):
        if folder.is_dir() and os.access(folder, os.W_OK) and folder.stat().st_dev == source.stat().st_dev:
            return folder, True
    return temporary, False


def size_of(source: Source, table: Table) -> tuple[int, int]:
    """Return what orders tables by size without reading them: rows up to a limit, then the greatest rowid."""
    rows, rowid = rows_of(table), table.hidden_rowid or (table.rowid_key and sqlite_name(table.rowid_key))
    with source.reading():
        count = source.value(_statement("rows_up_to", table=rows), MOST_ROWS + 1)
        return count, source.value(_statement("greatest_rowid", table=rows, rowid=rowid)) if rowid else 0


@contextmanager
def copies(source: Source, plan: TablePlan, beside: Path, until: float) -> Iterator[tuple[Scratch, Scratch]]:
    """Make both copies, the plain and the captured one, in a directory that is removed with them."""
    with tempfile.TemporaryDirectory(prefix="cdcsync-measure-", dir=beside) as folder:
        paths = Path(folder) / "plain.db", Path(folder) / "captured.db"
        _copy(source, plan.table, paths[0], until)
        shutil.copyfile(*paths)
        plain, captured = (Scratch(path) for path in paths)
        with closing(plain.connection), closing(captured.connection):
            for statement in capture.statements([(plan.number, plan.table, plan.key)]):
                captured.connection.execute(statement)
            yield plain, captured


def _copy(source: Source, table: Table, path: Path, until: float) -> None:
    path.touch()
    columns = ", ".join(sqlite_name(column.name) for column in table.columns if not column.generated)
    statement = _statement("copy_rows", table=sqlite_name(table.name), columns=columns)
    with closing(connect(path, mode="rw")) as copy:
        for name in ("encoding", "page_size", "auto_vacuum"):
            _pragma(copy, name, sqlite_name(str(source.value(_statement("setting", name=name)))))
        _pragma(copy, "journal_mode", source.journal_mode())
        _pragma(copy, "synchronous", "OFF")
        for sql in (table.sql, *(index.sql for index in table.indexes if index.sql)):
            copy.execute(sql)
        copy.execute(_statement("attach"), [f"file:{quote(os.fsencode(source.path))}?mode=ro"])
        _copy_in_pieces(copy, statement, until)
        copy.execute(_statement("detach"))


def _copy_in_pieces(copy: sqlite3.Connection, statement: str, until: float) -> None:
    """Copy ever larger pieces while they are small: nobody knows how large the next row is."""
    limit, offset, page_size = 1, 0, _value(copy, "PRAGMA page_size")
    before = _used_pages(copy)
    while offset < MOST_ROWS and before * page_size < MOST_BYTES and time.monotonic() < until:
        if copy.execute(statement, (limit, offset)).rowcount == 0:
            return
        offset += limit
        after = _used_pages(copy)
        fits = (after - before) * page_size * 2 < PIECE_BYTES
        limit = min(limit * 2, PIECE_ROWS, MOST_ROWS - offset) if fits else max(limit // 2, 1)
        before = after


def _used_pages(connection: sqlite3.Connection) -> int:
    return _value(connection, _statement("used_pages"))


def _value(connection: sqlite3.Connection, statement: str, *parameters: object) -> int:
    return int(connection.execute(statement, parameters).fetchone()[0])


def _pragma(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(_statement("pragma", name=name, value=value))


def _statement(statement: str, **names: str) -> str:
    return sqlite_statement("measure.sql", statement).substitute(names)

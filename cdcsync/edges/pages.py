"""Go through all rows of a table, with no transaction left open between two pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import partial

from cdcsync.core.keys import Key
from cdcsync.edges.rows import BadRow, RowList, RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.spool import Row, Spool


def pages(
    source: Source, reader: RowReader, limit: int, bad: BadRow, after: Key | None = None
) -> Iterator[tuple[list[Row], Key]]:
    """Yield pages of up to `limit` converted rows in key order, each with its last key; `bad` hears of the others."""
    while True:
        (rows, last), _ = source.read_bounded(limit, partial(_page, reader, after, bad))
        if last is None:
            return
        yield rows, last
        after = last


def _page(
    reader: RowReader, after: Key | None, bad: BadRow, connection: sqlite3.Connection, limit: int
) -> tuple[list[Row], Key | None]:
    page = RowList()
    return page.rows, reader.page(connection, after, limit, page, bad)


def all_rows(source: Source, reader: RowReader, limit: int, bad: BadRow) -> Iterator[list[Row]]:
    """Yield all rows, also of a table without a key, which is read in one go and kept on disk."""
    if reader.plan.key:
        yield from (rows for rows, _ in pages(source, reader, limit, bad))
        return
    with Spool() as spool:
        with source.reading() as connection:
            reader.whole(connection, spool, bad)
        yield from spool.chunks()

"""Go through all rows of a table, with no transaction left open between two pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from cdcsync.core.keys import Key
from cdcsync.edges.rows import BadRow, RowList, RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.spool import Row, Spool
from cdcsync.words.errors import BadValueError


@dataclass(slots=True)
class Page:
    """Converted rows in key order, those that cannot arrive, and the key of the last row of either kind."""

    rows: list[Row]
    refused: list[BadValueError] = field(default_factory=list)
    last: Key | None = None


def pages(source: Source, reader: RowReader, limit: int, after: Key | None = None) -> Iterator[Page]:
    """Yield pages of up to `limit` rows; rows whose key holds a NULL are on none."""
    while True:
        page, _ = source.read_bounded(limit, partial(_page, reader, after))
        if page.last is None:
            return
        yield page
        after = page.last


def _page(reader: RowReader, after: Key | None, connection: sqlite3.Connection, limit: int) -> Page:
    rows = RowList()
    page = Page(rows.rows)
    page.last = reader.page(connection, after, limit, rows, page.refused.append)
    return page


def all_rows(source: Source, reader: RowReader, limit: int, bad: BadRow) -> Iterator[list[Row]]:
    """Yield all rows, also of a table without a key, which is read in one go and kept on disk.

    `bad` hears of each row that cannot arrive, those whose key holds a NULL left out.
    """
    if reader.plan.key:
        for page in pages(source, reader, limit):
            for error in page.refused:
                bad(error)
            yield page.rows
        return
    with Spool() as spool:
        with source.reading() as connection:
            reader.whole(connection, spool, bad)
        yield from spool.chunks()

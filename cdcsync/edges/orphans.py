"""Whether the parents that foreign keys name are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdcsync.core.collations import rows_by_key
from cdcsync.core.keys import Key
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.key_sql import bound
from cdcsync.edges.source import Source
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import ForeignKey, Table

MOST_BOUND = 900
"""Values bound in one statement: SQLite before 3.32 allows 999."""


def missing_parents(source: Source, key: ForeignKey, parent: Table, children: Sequence[Key]) -> Iterator[Key]:
    """Yield those of some foreign key values that no parent has, byte by byte, as PostgreSQL compares.

    Finds each parent by the unique index that a foreign key needs; each statement is a short read.
    """
    size = max(1, MOST_BOUND // len(key.columns))
    for start in range(0, len(children), size):
        batch = children[start : start + size]
        with source.reading() as connection:
            statement = _statement(key, parent, batch)
            rows = connection.execute(statement, [value for child in batch for _, value in child]).fetchall()
        yield from (batch[number] for (number,) in rows)


def _statement(key: ForeignKey, parent: Table, batch: Sequence[Key]) -> str:
    names = [f"k{n}" for n, _ in enumerate(key.columns)]
    marks = (", ".join([str(number), *map(bound, child)]) for number, child in enumerate(batch))
    # The parent's own collation finds the row fast; bytes then decide.
    same = (
        f"p.{sqlite_name(column)} = w.{name} AND p.{sqlite_name(column)} = w.{name} COLLATE BINARY"
        for column, name in zip(key.parent_columns, names, strict=True)
    )
    return sqlite_statement("source.sql", "missing_parents").substitute(
        names=", ".join(["number", *names]),
        marks=", ".join(f"({mark})" for mark in marks),
        parents=rows_by_key(parent, key.parent_columns, "p"),
        same=" AND ".join(same),
    )

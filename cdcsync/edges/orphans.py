"""Whether the parents that foreign keys name are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdcsync.core.keys import Key
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.key_sql import bound
from cdcsync.edges.source import Source
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import ForeignKey

MOST_BOUND = 900
"""Values bound in one statement: SQLite before 3.32 allows 999."""


def missing_parents(source: Source, key: ForeignKey, children: Sequence[Key]) -> Iterator[Key]:
    """Yield those of some foreign key values that no parent has, byte by byte, as PostgreSQL compares.

    Finds each parent by the unique index that a foreign key needs; each statement is a short read.
    """
    size = max(1, MOST_BOUND // len(key.columns))
    for start in range(0, len(children), size):
        batch = children[start : start + size]
        with source.reading() as connection:
            statement = _statement(key, batch)
            rows = connection.execute(statement, [value for child in batch for _, value in child]).fetchall()
        yield from (batch[number] for (number,) in rows)


def _statement(key: ForeignKey, batch: Sequence[Key]) -> str:
    names = [f"k{n}" for n, _ in enumerate(key.columns)]
    marks = (", ".join([str(number), *map(bound, child)]) for number, child in enumerate(batch))
    # The parent's own collation finds the row fast; bytes then decide.
    same = (
        f"p.{sqlite_name(parent)} = w.{name} AND p.{sqlite_name(parent)} = w.{name} COLLATE BINARY"
        for parent, name in zip(key.parent_columns, names, strict=True)
    )
    return sqlite_statement("source.sql", "missing_parents").substitute(
        names=", ".join(["number", *names]),
        marks=", ".join(f"({mark})" for mark in marks),
        parent=sqlite_name(key.parent),
        same=" AND ".join(same),
    )

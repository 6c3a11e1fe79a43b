"""Find the rows PostgreSQL refuses, by trying halves: its error names a line at best, and never a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import psycopg

from cdcsync.core.keys import show_value
from cdcsync.edges.rows import RowReader
from cdcsync.edges.spool import Row
from cdcsync.edges.target import Target
from cdcsync.edges.writer import TableWriter
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import TablePlan

Attempt = Callable[[list[Row]], object]

# A row too large for a page, or a key too large for its index, is an operational error to psycopg.
REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)


def refused(target: Target, rows: list[Row], attempt: Attempt) -> Iterator[tuple[Row, psycopg.Error]]:
    """Yield each row that fails by itself, with the error; the others stay as `attempt` left them.

    Must run inside a transaction; each attempt has its savepoint.
    """
    if not rows:
        return
    try:
        with target.savepoint():
            attempt(rows)
    except REFUSALS as error:
        if len(rows) == 1:
            yield rows[0], error
            return
        middle = len(rows) // 2
        yield from refused(target, rows[:middle], attempt)
        yield from refused(target, rows[middle:], attempt)


def first_bad_row(
    target: Target, reader: RowReader, writer: TableWriter, chunks: Iterable[list[Row]]
) -> BadValueError | None:
    """Return the first row PostgreSQL refuses to upsert, None if it takes each of them. Leaves no trace."""
    target.control("BEGIN")
    try:
        for rows in chunks:
            for row, error in refused(target, rows, lambda part: writer.upsert_many(target, [part])):
                return explain(reader, row, error)
    finally:
        target.control("ROLLBACK")
    return None


def explain(reader: RowReader, row: Row, error: psycopg.Error) -> BadValueError:
    """Say which table, key and column PostgreSQL refused, and in its own words why."""
    plan = reader.plan
    column = _column(plan, error) or _with_nul(plan, row)
    place = next((n for n, planned in enumerate(plan.columns) if planned.target == column), None)
    value = ""
    if place is not None and row[place] is not None:
        value = f" (value {show_value(reader.codecs[place].text(row[place]))})"
    source = column if place is None else plan.columns[place].source
    reason = error.diag.message_primary or " ".join(str(error).split())
    key = reader.show_key(reader.key_of(row))
    return BadValueError(plan.name, key, source or "(unknown)", f"PostgreSQL refused it: {reason}{value}")


def _with_nul(plan: TablePlan, row: Row) -> str | None:
    """PostgreSQL refuses a NUL in a text as bad UTF-8, and names the column only sometimes."""
    pairs = zip(plan.columns, row, strict=True)
    return next((c.target for c, value in pairs if isinstance(value, str) and chr(0) in value), None)


def _column(plan: TablePlan, error: psycopg.Error) -> str | None:
    if error.diag.column_name:
        return error.diag.column_name
    if error.diag.constraint_name:
        return f"of constraint {error.diag.constraint_name}"
    # COPY names the column in its context, without quotes: the longest of ours that fits there.
    _, found, rest = (error.diag.context or "").partition(", column ")
    fitting = [column.target for column in plan.columns if found and rest.startswith(column.target)]
    return max(fitting, key=len, default=None)

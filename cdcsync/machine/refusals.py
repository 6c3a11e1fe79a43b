"""Rows PostgreSQL refuses: found by trying halves, because its error names a line at best, and never a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import psycopg
from loguru import logger

from cdcsync.core.keys import Key, dump, show, show_value
from cdcsync.edges.rows import RowReader
from cdcsync.edges.spool import Row
from cdcsync.edges.target import Target, one_line
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import QuarantinedRow, TablePlan

Attempt = Callable[[list[Row]], object]

# A row too large for a page, or a key too large for its index, is an operational error to psycopg.
REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)

TOLD = 5
"""Rows of one table that are logged one by one, each time some are set aside."""


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


def explain(reader: RowReader, row: Row, error: psycopg.Error, key: Key | None = None) -> BadValueError:
    """Say which table, key and column PostgreSQL refused, and in its own words why. `key`: of the row, where known."""
    plan = reader.plan
    column = _column(plan, error) or _with_nul(plan, row)
    place = next((n for n, planned in enumerate(plan.columns) if planned.target == column), None)
    value = ""
    if place is not None and row[place] is not None:
        value = show_value(reader.codecs[place].text(row[place]))
    source = column if place is None else plan.columns[place].source
    shown = reader.keys.show(reader.keys.of(row)) if key is None else show(key)
    reason = f"PostgreSQL refused it: {one_line(error)}"
    return BadValueError(plan.name, shown, source or "(unknown)", reason, value, key)


def explain_all(
    reader: RowReader, bad: list[tuple[Row, psycopg.Error]], candidates: Iterable[Key]
) -> list[QuarantinedRow]:
    """Return the entries for rows PostgreSQL refused; `candidates` are keys of the source, theirs among them."""
    if not bad:
        return []
    keys = reader.keys.find(candidates, {reader.keys.of(row) for row, _ in bad})
    entries = []
    for row, error in bad:
        sent = reader.keys.of(row)
        found = explain(reader, row, error, keys.get(sent))
        # A row that is gone by now has an entry in the changelog, which will release it.
        entries.append(entry(reader, found) if found.source_key else _entry(reader.keys.identity_of(sent), "", found))
    return entries


def entry(reader: RowReader, bad: BadValueError) -> QuarantinedRow:
    """Return the entry for a row that was refused under its key."""
    return _entry(reader.keys.identity(bad.source_key), dump(bad.source_key), bad)


def keyless_entry(place: int, bad: BadValueError) -> QuarantinedRow:
    """Return the entry for a row of a table without a key: its place in the refusals of one copy."""
    return _entry(f"row {place}", "", bad)


def _entry(identity: str, key: str, bad: BadValueError) -> QuarantinedRow:
    return QuarantinedRow(identity, key, bad.key, bad.column, bad.value, bad.reason)


def tell(table: str, rows: list[QuarantinedRow]) -> None:
    """Log what was set aside; of many rows only some."""
    for row in rows[:TOLD]:
        logger.warning(
            "quarantined: table {}, key {}, column {}: {} {}", table, row.shown_key, row.column, row.reason, row.value
        )
    if len(rows) > TOLD:
        logger.warning("quarantined: {} rows more of table {}: cdcsync quarantine list", len(rows) - TOLD, table)


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

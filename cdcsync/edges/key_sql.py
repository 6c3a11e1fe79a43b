"""SQL about keys: which were logged, which row has one, which rows come after one."""

from __future__ import annotations

from typing import Any

from cdcsync.core.keys import Key, Part
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.statements import sqlite_statement
from cdcsync.words.nouns import KeyColumn, TablePlan


def logged_keys(key: tuple[KeyColumn, ...]) -> str:
    """Return the query for the distinct keys of a table number in a range of the changelog."""
    places = range(1, len(key) + 1)
    return sqlite_statement("source.sql", "logged").substitute(
        keys=", ".join(f"k{n}" for n in places),
        keys_and_classes=", ".join(f"k{n}, typeof(k{n})" for n in places),
    )


def is_same_key(key: tuple[KeyColumn, ...]) -> str:
    """Return the condition that row `t` has the key in `log`.

    The index's own collation finds the row fast; bytes and storage class then decide.
    """
    terms = []
    for place, column in enumerate(key, 1):
        name = f"t.{sqlite_name(column.name)}"
        if column.collation.upper() != "BINARY":
            terms.append(f"{name} = log.k{place} COLLATE {sqlite_name(column.collation)}")
        terms.append(f"{name} = log.k{place} COLLATE BINARY")
        terms.append(f"typeof({name}) = typeof(log.k{place})")
    return " AND ".join(terms)


def is_after(plan: TablePlan, after: Key | None, *, as_row: bool) -> tuple[str, list[Any]]:
    """Return the condition for rows above a key, with values that keep their storage class and collation.

    Rows whose key holds a NULL have no place in key order and are left out. `as_row`: the columns' own collations are
    the key's, so that SQLite can seek by row value.
    """
    null = holds_null(plan)
    has_key = [] if null is None else [f"NOT ({null})"]
    if after is None:
        return " AND ".join(has_key) or "1", []
    marks = [bound(part) for part in after]
    values = [value for _, value in after]
    if as_row and len(after) > 1:
        columns = ", ".join(f"t.{sqlite_name(column.name)}" for column in plan.key)
        return " AND ".join([f"({columns}) > ({', '.join(marks)})", *has_key]), values
    names = [collated(column) for column in plan.key]
    alternatives, parameters = [], []
    for place, name in enumerate(names):
        equal = [f"{names[n]} = {marks[n]}" for n in range(place)]
        alternatives.append(" AND ".join([*equal, f"{name} > {marks[place]}"]))
        parameters.extend(values[: place + 1])
    # The first term alone can use the index; it is implied by the rest.
    terms = [f"{names[0]} >= {marks[0]}", f"({' OR '.join(alternatives)})", *has_key]
    return " AND ".join(terms), [values[0], *parameters]


def holds_null(plan: TablePlan) -> str | None:
    """Return the condition that the key of row `t` holds a NULL, which SQLite admits; None where none can."""
    table = plan.table
    names = [
        column.name
        for column in plan.key
        if not (table.without_rowid or column.name == table.rowid_key or table.column(column.name).not_null)
    ]
    return " OR ".join(f"t.{sqlite_name(name)} IS NULL" for name in names) or None


def is_exactly(key: tuple[KeyColumn, ...], values: Key) -> tuple[str, list[Any]]:
    """Return the condition that row `t` has these very key values, NULL included, by byte and storage class."""
    terms: list[str] = []
    parameters: list[Any] = []
    for column, part in zip(key, values, strict=True):
        name = f"t.{sqlite_name(column.name)}"
        if part[0] == "null":
            terms.append(f"{name} IS NULL")
        else:
            terms.append(f"{name} = {bound(part)} COLLATE BINARY AND typeof({name}) = ?")
            parameters += [part[1], part[0]]
    return " AND ".join(terms), parameters


def bound(part: Part) -> str:
    """Return the mark for a part of a key: a text that is not UTF-8 can only be bound as bytes."""
    storage, value = part
    return "CAST(? AS TEXT)" if storage == "text" and isinstance(value, bytes) else "?"


def collated(column: KeyColumn) -> str:
    """Return a key column of row `t` in the collation that keeps it unique."""
    return f"t.{sqlite_name(column.name)} COLLATE {sqlite_name(column.collation)}"

"""Chosen rows of a table: those that meet a condition, and those that refer to chosen rows of other tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.comparer import seen_keys
from cdcsync.edges.statements import postgres_statement, sqlite_statement
from cdcsync.edges.target import table_name
from cdcsync.words.errors import UsageError
from cdcsync.words.nouns import ForeignKey, TablePlan


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one table. `rows`: them, as a relation of SQLite; `under`: the parents they were chosen by."""

    plan: TablePlan
    rows: str
    under: tuple[tuple[ForeignKey, Selection], ...] = ()


def rows_where(connection: sqlite3.Connection, plan: TablePlan, condition: str) -> Selection:
    """Choose the rows that meet a condition. Raises UsageError where SQLite refuses it."""
    rows = sqlite_statement("source.sql", "selected").substitute(table=sqlite_name(plan.name), condition=condition)
    try:
        connection.execute(sqlite_statement("source.sql", "explain_rows").substitute(rows=rows)).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        raise refused_condition(error) from None
    return Selection(plan, rows)


def refused_condition(error: Exception) -> UsageError:
    """Return how to say that SQLite refuses a condition."""
    return UsageError(f"--where: SQLite refuses this condition: {error}")


def rows_under(plan: TablePlan, under: Sequence[tuple[ForeignKey, Selection]]) -> Selection:
    """Choose the rows that refer to chosen rows by one of these foreign keys."""
    references = " OR ".join(_refers(key, parent) for key, parent in under)
    statement = sqlite_statement("source.sql", "referring")
    rows = statement.substitute(table=sqlite_name(plan.name), references=references)
    return Selection(plan, rows, tuple(under))


def is_under(selection: Selection, schema: str) -> sql.Composed:
    """Return the condition that row `t` of the target refers to a parent whose key was seen in the source."""
    found = [_is_under(key, parent.plan, selection.plan, schema) for key, parent in selection.under]
    return sql.SQL(" OR ").join([sql.SQL("false"), *(one for one in found if one is not None)])


def _refers(key: ForeignKey, parent: Selection) -> str:
    collations = {
        column.name: column.collation
        for index in parent.plan.table.indexes
        for column in index.columns
        if column.name is not None and index.unique
    }
    columns = []
    for column, there in zip(key.columns, key.parent_columns, strict=True):
        # A foreign key compares by the parent's collation, IN by that of its left side.
        collation = collations.get(there, "BINARY")
        how = "" if collation.upper() == "BINARY" else f" COLLATE {sqlite_name(collation)}"
        columns.append(f"c.{sqlite_name(column)}{how}")
    return sqlite_statement("source.sql", "refers").substitute(
        columns=", ".join(columns),
        parent_columns=", ".join(f"p.{sqlite_name(there)}" for there in key.parent_columns),
        parents=parent.rows,
    )


def _is_under(key: ForeignKey, parent: TablePlan, child: TablePlan, schema: str) -> sql.Composed | None:
    """Return one alternative; None where a column of the key has no place in the target."""
    here = {column.source.casefold(): column for column in child.columns}
    there = {column.source.casefold(): column for column in parent.columns}
    terms = []
    for name, parent_name in zip(key.columns, key.parent_columns, strict=True):
        column, parent_column = here.get(name.casefold()), there.get(parent_name.casefold())
        if column is None or parent_column is None:
            return None
        # A target that was found in place may hold a key and what refers to it in different types.
        template = "{} = {}" if column.type_sql == parent_column.type_sql else "{}::text = {}::text"
        parts = sql.Identifier("t", column.target), sql.Identifier("p", parent_column.target)
        terms.append(sql.SQL(template).format(*parts))
    keys = [column.target for column in parent.key_plans]
    same = [sql.SQL("{} = {}").format(sql.Identifier("k", name), sql.Identifier("p", name)) for name in keys]
    return postgres_statement("verify.sql", "under").format(
        keys=seen_keys(parent),
        parent=table_name(schema, parent.target),
        same_parent=sql.SQL(" AND ").join(same),
        refers=sql.SQL(" AND ").join(terms),
    )

"""Statements that let a target table follow its source table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import verbatim
from cdcsync.words.nouns import TargetStatement

if TYPE_CHECKING:
    from cdcsync.words.nouns import ColumnPlan, TablePlan

_ADD = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}")
_DROP = sql.SQL("ALTER TABLE {} DROP COLUMN {}")
_RELAX = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL")
_TIGHTEN = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL")
_RETYPE = sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}")
_ADD_KEY = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})")
_NO_DEFAULT = sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT")
_NO_CONSTRAINT = sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}")
_NO_INDEX = sql.SQL("DROP INDEX IF EXISTS {}")
_DROP_TABLE = sql.SQL("DROP TABLE {}")


def add_column(schema: str, plan: TablePlan, column: ColumnPlan) -> str:
    """Add a column that takes NULL: no row of the table has a value for it yet."""
    name, type_sql = sql.Identifier(column.target), verbatim(column.type_sql)
    return _ADD.format(_table(schema, plan), name, type_sql).as_string()


def relax(schema: str, plan: TablePlan, name: str) -> str:
    """Take NOT NULL off a target column: the source has NULL there now, or has no such column any more."""
    return _RELAX.format(_table(schema, plan), sql.Identifier(name)).as_string()


def retype(schema: str, plan: TablePlan, name: str, type_sql: str) -> str:
    """Give a target column another type: advice for tables that are not ours."""
    return _RETYPE.format(_table(schema, plan), sql.Identifier(name), verbatim(type_sql)).as_string()


def add_key(schema: str, plan: TablePlan) -> str:
    """Keep the key unique in a table that is not ours, where nothing does."""
    columns = sql.SQL(", ").join(sql.Identifier(column.target) for column in plan.key_plans)
    return _ADD_KEY.format(_table(schema, plan), columns).as_string()


def tighten(schema: str, plan: TablePlan, column: ColumnPlan) -> TargetStatement:
    """Put NOT NULL on a column, once its rows are there."""
    statement = _TIGHTEN.format(_table(schema, plan), sql.Identifier(column.target)).as_string()
    return TargetStatement("not_null", plan.name, column.target, statement)


def undo(schema: str, plan: TablePlan, phase: str, name: str) -> list[str]:
    """Return what takes away a default, constraint or index of ours that the source has no more."""
    table, named = _table(schema, plan), sql.Identifier(name)
    constraint = drop_constraint(schema, plan.target, name)
    index = _NO_INDEX.format(sql.Identifier(schema, name)).as_string()
    kept = name in {column.target for column in plan.columns}
    return {
        "default": [_NO_DEFAULT.format(table, named).as_string()] if kept else [],
        "not_null": [relax(schema, plan, name)] if kept else [],
        "unique": [constraint, index],
        "index": [index],
    }.get(phase, [constraint])


def drop_constraint(schema: str, target: str, name: str) -> str:
    """Take off a constraint, if it is there."""
    return _NO_CONSTRAINT.format(sql.Identifier(schema, target), sql.Identifier(name)).as_string()


def drop_column(schema: str, plan: TablePlan, name: str) -> str:
    """Drop a column the source has no more: left to a person, for its values would be gone."""
    return _DROP.format(_table(schema, plan), sql.Identifier(name)).as_string()


def drop_table(schema: str, target: str) -> str:
    """Drop a table: it is made and copied anew, if the source still has it."""
    return _DROP_TABLE.format(sql.Identifier(schema, target)).as_string()


def _table(schema: str, plan: TablePlan) -> sql.Composable:
    return sql.Identifier(schema, plan.target)

"""Foreign keys, to the tables that arrive and what is unique in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import identifiers
from cdcsync.core.sqltext.refusal import UntranslatableError, refuse
from cdcsync.core.types import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.words.nouns import ColumnPlan, ForeignKey

_FOREIGN_KEY = sql.SQL(
    "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON UPDATE {} ON DELETE {}{} NOT VALID"
)
_ACTIONS = frozenset({"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"})
_FAMILIES: tuple[frozenset[str], ...] = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"real", "double precision"}),
    frozenset({"text", "character varying", "character"}),
    frozenset({"timestamp with time zone", "timestamp without time zone", "date"}),
)
# What PostgreSQL casts to the parent's type by itself.
_WIDENED = {
    "smallint": {"numeric", "real", "double precision"},
    "integer": {"numeric", "real", "double precision"},
    "bigint": {"numeric", "real", "double precision"},
    "numeric": {"real", "double precision"},
    "citext": {"text", "character varying", "character"},
}


def add_foreign_keys(build: Build, moved: Moved) -> None:
    """Add the foreign keys of a table, once all tables have what is unique in them."""
    for key in moved.plan.table.foreign_keys:
        try:
            parent = _parent(build, key)
            pairs = _pairs(moved, parent, key)
        except UntranslatableError as error:
            columns, parent_columns = ", ".join(key.columns), ", ".join(key.parent_columns)
            build.leave(moved, f"foreign key ({columns}) to {key.parent} ({parent_columns})", error, kind="foreign_key")
        else:
            _add(build, moved, parent, key, pairs)


def can_refer(child: str, parent: str) -> bool:
    """Tell whether PostgreSQL takes a foreign key from a column of one type to a column of another."""
    one, other = parse(child).base, parse(parent).base
    return one == other or other in _WIDENED.get(one, ()) or any({one, other} <= family for family in _FAMILIES)


def _parent(build: Build, key: ForeignKey) -> Moved:
    """Return the table a key refers to, if that keeps the columns unique."""
    parent = next((m for name, m in build.moved.items() if name.lower() == key.parent.lower()), None)
    if parent is None:
        known = key.parent.lower() in {table.name.lower() for table in build.schema.tables}
        why = "is left out by the mapping" if known else "is not among the tables that are moved"
        refuse(f"{key.parent} {why}")
    columns = frozenset(parent.scope.source_name(name) or name for name in key.parent_columns)
    if columns not in parent.unique_sets:
        listed = ", ".join(key.parent_columns)
        reason = f"{key.parent} ({listed}) is not unique in PostgreSQL"
        refuse(reason, "give the parent a plain UNIQUE there")
    return parent


def _pairs(moved: Moved, parent: Moved, key: ForeignKey) -> list[tuple[ColumnPlan, ColumnPlan]]:
    """Return the columns of a key with those they refer to."""
    if len(key.columns) != len(key.parent_columns):
        refuse("it names another number of columns than it refers to")
    pairs = []
    for child_name, parent_name in zip(key.columns, key.parent_columns, strict=True):
        child, column = _column(moved, child_name), _column(parent, parent_name)
        if not can_refer(child.type_sql, column.type_sql):
            reason = f"{child_name} is {child.type_sql}, {key.parent}.{parent_name} is {column.type_sql}"
            refuse(reason, "give both columns one type in the mapping")
        pairs.append((child, column))
    return pairs


def _column(moved: Moved, name: str) -> ColumnPlan:
    return moved.scope.column(moved.scope.source_name(name) or name)


def _add(
    build: Build, moved: Moved, parent: Moved, key: ForeignKey, pairs: list[tuple[ColumnPlan, ColumnPlan]]
) -> None:
    declared = [d for d in moved.of_kind("foreign") if _lowered(d.columns) == _lowered(key.columns)]
    given = next((d.name for d in declared if d.name is not None), None)
    children = [child.target for child, _ in pairs]
    name = moved.constraints.pick(given or "_".join([moved.plan.target, *children, "fkey"]))
    statement = _FOREIGN_KEY.format(
        build.relation(moved),
        sql.Identifier(name),
        identifiers(children),
        build.relation(parent),
        identifiers(column.target for _, column in pairs),
        _action(key.on_update),
        _action(key.on_delete),
        sql.SQL(max(f" {d.text}" if d.text else "" for d in declared) if declared else ""),
    )
    build.add("foreign_key", moved, name, statement)


def _lowered(names: Iterable[str]) -> list[str]:
    return [name.lower() for name in names]


def _action(action: str) -> sql.Composable:
    return sql.SQL(action.upper() if action.upper() in _ACTIONS else "NO ACTION")

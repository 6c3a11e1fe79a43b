"""What the target database already holds: tables, their columns and constraints."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from cdcsync.edges.target import Target, table_name
from cdcsync.words.nouns import TargetStatement

_FILE = "catalog.sql"


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as the catalog tells it; `identity` is '', 'a' (always) or 'd' (by default)."""

    name: str
    type_sql: str
    not_null: bool
    identity: str
    generated: bool
    has_default: bool
    is_domain: bool


@dataclass(frozen=True, slots=True)
class TargetConstraint:
    """A foreign key ('f') or unique constraint ('u') with the definition that brings it back."""

    name: str
    table: str
    schema: str
    kind: str
    definition: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table found in the target; `ours` tells whether this role has its owner's rights.

    `obstacles` are properties that let rows go round the guard or round an upsert; `guarded`: our guard is on it.
    """

    oid: int
    kind: str
    ours: bool
    owner: str
    obstacles: tuple[str, ...]
    columns: tuple[TargetColumn, ...]
    guarded: bool = False


def find_table(target: Target, schema: str, name: str) -> TargetTable | None:
    """Return the relation of this name; None if there is none."""
    row = target.ask(_FILE, "table", schema=schema, table=name)
    if row is None:
        return None
    oid, kind, ours, owner, obstacles, guarded = row
    rows = target.rows(_FILE, "columns", oid=oid)
    columns = tuple(
        TargetColumn(column, type_sql, not_null, identity, bool(generated), has_default, is_domain)
        for column, type_sql, not_null, identity, generated, has_default, is_domain in rows
    )
    return TargetTable(oid, kind, ours, owner, tuple(obstacles), columns, bool(guarded))


def has_rows(target: Target, schema: str, name: str) -> bool:
    """Tell whether a table holds any row."""
    return bool(target.ask(_FILE, "has_rows", {"table": table_name(schema, name)})[0])


def unique_keys(target: Target, oid: int) -> list[frozenset[str]]:
    """Return the column sets that can be the arbiter of an upsert."""
    return [frozenset(row[0]) for row in target.rows(_FILE, "unique_keys", oid=oid)]


def other_constraints(target: Target, oid: int) -> list[TargetConstraint]:
    """Return foreign keys of the table and to it, and unique constraints beside its primary key."""
    rows = target.rows(_FILE, "other_constraints", oid=oid)
    return [TargetConstraint(n, t, s, k, d, tuple(columns)) for n, t, s, k, d, columns in rows]


@dataclass(frozen=True, slots=True)
class TargetIndex:
    """A unique index without a constraint; `whole` tells that it covers all rows by plain columns."""

    name: str
    schema: str
    definition: str
    columns: tuple[str, ...]
    whole: bool


def unique_indexes(target: Target, oid: int) -> list[TargetIndex]:
    """Return the unique indexes of a table that belong to no constraint."""
    rows = target.rows(_FILE, "unique_indexes", oid=oid)
    return [TargetIndex(name, schema, text, tuple(columns), whole) for name, schema, text, columns, whole in rows]


def drop_index(target: Target, index: TargetIndex) -> None:
    """Drop an index; its definition must have been stored before."""
    target.execute(_FILE, "drop_index", {"name": sql.Identifier(index.schema, index.name)})


def user_triggers(target: Target, oid: int) -> list[str]:
    """Return the names of triggers that are not ours."""
    return [row[0] for row in target.rows(_FILE, "user_triggers", oid=oid)]


def attach_statement(constraint: TargetConstraint, table: str) -> TargetStatement:
    """Return what brings back a constraint that was detached for a source table; foreign keys are validated apart."""
    foreign = constraint.kind == "f"
    later = " NOT VALID" if foreign and not constraint.definition.endswith("NOT VALID") else ""
    head = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(
        sql.Identifier(constraint.schema, constraint.table), sql.Identifier(constraint.name)
    )
    return TargetStatement(
        "foreign_key" if foreign else "unique",
        table,
        constraint.name,
        head.as_string() + constraint.definition + later,
    )


def detach(target: Target, constraint: TargetConstraint) -> None:
    """Drop a constraint; `attach_statement` must have been stored before."""
    names: dict[str, sql.Composable] = {
        "table": sql.Identifier(constraint.schema, constraint.table),
        "name": sql.Identifier(constraint.name),
    }
    target.execute(_FILE, "detach", names)

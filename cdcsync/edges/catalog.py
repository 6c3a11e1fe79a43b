"""What the target database already holds: tables, their columns and constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from cdcsync.edges.target import Target, table_name
from cdcsync.words.nouns import TargetStatement

_FILE = "catalog.sql"


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as the catalog tells it; a domain is told as the type it stands on.

    `identity` is '', 'a' (always) or 'd' (by default). `exact` tells a type of PostgreSQL's own, an enum or citext from
    those of extensions and from ranges and records, which may change what they read. `equates`: its collation takes
    different texts for equal.
    """

    name: str
    type_sql: str
    not_null: bool
    identity: str
    generated: bool
    has_default: bool
    exact: bool
    equates: bool

    @property
    def may_be_left_out(self) -> bool:
        """Whether rows without a value for it are taken."""
        return not self.not_null or self.has_default or bool(self.identity) or self.generated


@dataclass(frozen=True, slots=True)
class TargetConstraint:
    """A foreign key ('f'), primary key ('p'), unique ('u') or exclusion constraint ('x'), and what brings it back.

    `ours` tells whether this role may take it off and bring it back: a foreign key has two tables.
    """

    name: str
    table: str
    schema: str
    kind: str
    definition: str
    columns: tuple[str, ...]
    ours: bool = True


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table found in the target; `ours` tells whether this role has its owner's rights.

    `obstacles` name properties that let rows go round the guard or round an upsert; `guarded`: our guard is on it.
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
        TargetColumn(column, type_sql, not_null, identity, bool(generated), *rest)
        for column, type_sql, not_null, identity, generated, *rest in rows
    )
    return TargetTable(oid, kind, ours, owner, tuple(obstacles), columns, bool(guarded))


def same_but_for_case(target: Target, schema: str, name: str) -> list[str]:
    """Return the ordinary tables whose name is this one in another case."""
    return [row[0] for row in target.rows(_FILE, "same_but_for_case", schema=schema, table=name) if row[0] != name]


def has_rows(target: Target, schema: str, name: str) -> bool:
    """Tell whether a table holds any row."""
    return bool(target.ask(_FILE, "has_rows", {"table": table_name(schema, name)})[0])


def emptying(target: Target, schema: str, tables: list[str]) -> str:
    """Return the statement that empties tables, with all that refer to them: PostgreSQL wants those named too."""
    found = target.rows(_FILE, "emptied_with", schema=schema, tables=tables)
    names = sql.SQL(", ").join(sql.Identifier(*row) for row in found)
    return sql.SQL("TRUNCATE {}").format(names).as_string()


def unique_keys(target: Target, oid: int) -> list[frozenset[str]]:
    """Return the column sets that can be the arbiter of an upsert."""
    return [frozenset(columns) for columns, immediate in target.rows(_FILE, "unique_keys", oid=oid) if immediate]


def deferrable_keys(target: Target, oid: int) -> list[frozenset[str]]:
    """Return the unique column sets that cannot be the arbiter of an upsert because their check can wait."""
    return [frozenset(columns) for columns, immediate in target.rows(_FILE, "unique_keys", oid=oid) if not immediate]


def other_constraints(target: Target, oid: int) -> list[TargetConstraint]:
    """Return foreign keys of the table and to it, and whatever else keeps its rows apart."""
    rows = target.rows(_FILE, "other_constraints", oid=oid)
    return [TargetConstraint(n, t, s, k, d, tuple(columns), ours) for n, t, s, k, d, columns, ours in rows]


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


@dataclass(frozen=True, slots=True)
class TargetTrigger:
    """A trigger that is not ours and fires in our session; `always`: in one of a replica too."""

    name: str
    schema: str
    table: str
    always: bool


def firing_triggers(target: Target, oid: int) -> list[TargetTrigger]:
    """Return the triggers of a table that would see, and could change, what we write."""
    return [TargetTrigger(*row) for row in target.rows(_FILE, "firing_triggers", oid=oid)]


def enable_statement(trigger: TargetTrigger, table: str) -> TargetStatement:
    """Return what lets a trigger fire again as it did, for a source table."""
    mode = sql.SQL("ENABLE ALWAYS" if trigger.always else "ENABLE")
    statement = sql.SQL("ALTER TABLE {} {} TRIGGER {}").format(
        sql.Identifier(trigger.schema, trigger.table), mode, sql.Identifier(trigger.name)
    )
    return TargetStatement("trigger", table, trigger.name, statement.as_string())


def disable(target: Target, trigger: TargetTrigger) -> None:
    """Let a trigger not fire; `enable_statement` must have been stored before."""
    target.execute(_FILE, "disable_trigger", _names(trigger))


@dataclass(frozen=True, slots=True)
class TargetSequence:
    """A sequence a column takes its values from, by its name as SQL spells it; it goes on after `last`."""

    column: str
    name: str
    may_set: bool
    last: int


def sequences(target: Target, oid: int) -> list[TargetSequence]:
    """Return the sequences behind a table's columns; a column can have several, and several can share one."""
    return [TargetSequence(*row) for row in target.rows(_FILE, "sequences", oid=oid)]


def loose_sequences(target: Target, schema: str) -> list[str]:
    """Return the sequences of a schema that belong to no column, by name as SQL spells it."""
    return [row[0] for row in target.rows(_FILE, "loose_sequences", schema=schema)]


def set_sequence(target: Target, name: str, value: int) -> None:
    """Let a sequence go on after a value. It is not rolled back, and need not be: again it gives the same."""
    target.ask(_FILE, "set_sequence", sequence=name, value=value)


# Exclusion constraints come back with foreign keys: unlike a unique value, what excludes a row cannot be told to swap.
_PHASES: dict[str, Literal["exclusion", "foreign_key"]] = {"f": "foreign_key", "x": "exclusion"}


def attach_statement(constraint: TargetConstraint, table: str, target: str) -> TargetStatement:
    """Return what brings back a constraint that was detached for a source table, which is called `target` here.

    Foreign keys are validated apart. Several tables that are not ours may refer to it by foreign keys of one name.
    """
    own = constraint.table == target
    name = constraint.name if own else f"{constraint.name} of {constraint.schema}.{constraint.table}"
    foreign = constraint.kind == "f"
    later = " NOT VALID" if foreign and not constraint.definition.endswith("NOT VALID") else ""
    head = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} ").format(
        sql.Identifier(constraint.schema, constraint.table), sql.Identifier(constraint.name)
    )
    return TargetStatement(
        _PHASES.get(constraint.kind, "unique"),
        table,
        name,
        head.as_string() + constraint.definition + later,
    )


def detach(target: Target, constraint: TargetConstraint) -> None:
    """Drop a constraint; `attach_statement` must have been stored before."""
    target.execute(_FILE, "detach", _names(constraint))


def _names(one: TargetConstraint | TargetTrigger) -> dict[str, sql.Composable]:
    return {"table": sql.Identifier(one.schema, one.table), "name": sql.Identifier(one.name)}

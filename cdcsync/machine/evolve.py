"""Let a target table follow its source table: what is safe is done, the rest is asked for by statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from loguru import logger

from cdcsync.core.ddl import alter
from cdcsync.core.evolution import Evolution
from cdcsync.core.toml_text import columns_section
from cdcsync.edges import control
from cdcsync.edges.catalog import TargetTable, find_table, has_rows, unique_keys
from cdcsync.edges.control import RegisteredTable
from cdcsync.edges.target import Target
from cdcsync.machine.build import make_room
from cdcsync.machine.fit import misfits
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import Finding, TablePlan, TargetStatement


@dataclass(frozen=True, slots=True)
class Following:
    """A captured table that changed, on either side. `statements`: all that the target's DDL has for it now.

    `found` is its copy; None where that is to be made (anew). `drifted`: the source table is not what it was.
    """

    plan: TablePlan
    known: RegisteredTable
    changed: Evolution
    statements: tuple[TargetStatement, ...]
    found: TargetTable | None
    drifted: bool

    @property
    def lacking(self) -> list[str]:
        """Target columns that are to be added."""
        there = {column.name for column in self.found.columns} if self.found else set()
        return [column.target for column in self.plan.columns if column.target not in there]

    @property
    def is_ours(self) -> bool:
        """Whether the copy is as we left it: nobody made another in its place, or took a column from it."""
        added = {column.target for column in self.changed.added}
        return self.found is not None and self.found.guarded and added.issuperset(self.lacking)

    def is_new_to_rows(self) -> bool:
        """Tell whether rows have values nobody wrote to them: a default, or what a column of that name held before."""
        added = [self.plan.table.column(column.source) for column in self.changed.added]
        there = {column.target for column in self.changed.added} - set(self.lacking)
        brought = any(column.default is not None or column.generated for column in added)
        otherwise = self.changed.reconverted or not self.changed.only_appended
        return brought or not self.is_ours or bool(there) or otherwise


def copy_to_follow(target: Target, schema: str, plan: TablePlan, changed: Evolution) -> TargetTable | None:
    """Return the copy of a table; None where it has to be made (anew) or, being empty, can be taken as it is."""
    found = find_table(target, schema, plan.target)
    if found is None or not changed.key_changed:
        return found
    return None if _has_key(target, plan, found) and not has_rows(target, schema, plan.target) else found


def _has_key(target: Target, plan: TablePlan, found: TargetTable) -> bool:
    key = frozenset(column.target for column in plan.key_plans)
    return not key or key in unique_keys(target, found.oid)


def obstacles(target: Target, schema: str, one: Following) -> list[Finding]:
    """Return why a copy that somebody made cannot take the place of ours: rows, columns and a key can be mended."""
    if one.found is None or one.found.guarded:
        return []
    mended = {"target_not_empty", "no_key", "no_column"}
    return [found for found in misfits(target, schema, one.plan, one.found) if found.code not in mended]


def needed(target: Target, schema: str, one: Following) -> list[str]:
    """Return the statements a person has to run first, because they lose or reinterpret what the table holds."""
    if one.found is None:
        return []
    keyless = not one.found.guarded and not _has_key(target, one.plan, one.found)
    if one.changed.key_changed or keyless:
        return [alter.drop_table(schema, one.plan.target)]
    columns = {column.name: column for column in one.found.columns}
    statements = []
    if one.known.created:
        types = {name: column.type_sql for name, column in columns.items()}
        key = {column.name for column in one.plan.key}
        other = [c for c, before in one.changed.retyped if types.get(c.target) == before]
        other += [c for c in one.changed.added if types.get(c.target, c.type_sql) != c.type_sql]
        if key & {column.source for column in other}:
            return [alter.drop_table(schema, one.plan.target)]
        # It is made and filled again; a conversion in place could fail on values that are long gone.
        statements += [alter.drop_column(schema, one.plan, column.target) for column in other]
    else:
        gone = [columns[name] for name in one.changed.removed if name in columns]
        refusing = [c.name for c in gone if c.not_null and not (c.has_default or c.identity or c.generated)]
        statements += [alter.drop_column(schema, one.plan, name) for name in refusing]
    return statements


def follow(target: Target, schema: str, source_id: str, one: Following, plans: Iterable[TablePlan]) -> None:
    """Do what is safe, inside the caller's transaction: columns added, constraints of ours as the source has them.

    A constraint can change with another table: that of a child with its parent's key.

    Raises PermanentStopError where PostgreSQL refuses a column.
    """
    if one.found is None:
        return
    if one.known.created:
        _follow_statements(target, schema, source_id, one)
    if not one.drifted and one.is_ours and not one.changed.reconverted:
        return
    _add_columns(target, schema, one)
    if one.known.created:
        _relax(target, schema, one, one.found)
    if not one.found.guarded:
        ours = {known.name for known in control.registered_ddl(target, source_id, one.plan.name)}
        for beside in make_room(target, schema, one.plan, one.found, plans):
            if beside.statement.name not in ours:
                control.register_ddl(target, source_id, beside.statement, detached=True)
        control.guard(target, source_id, one.plan.number, schema, one.plan.target)
    for name in one.changed.removed:
        statement = alter.drop_column(schema, one.plan, name)
        logger.warning("{} lost its column {}; PostgreSQL keeps it until you run {}", one.plan.name, name, statement)
    control.followed(target, source_id, one.plan, one.known.plan)


def _add_columns(target: Target, schema: str, one: Following) -> None:
    for column in one.plan.columns:
        if column.target not in one.lacking:
            continue
        statement = alter.add_column(schema, one.plan, column)
        refused = control.run_ddl(target, statement)
        if refused is not None:
            message = (
                f"table {one.plan.name} has a new column {column.source}, and PostgreSQL refused {statement}: "
                f"{refused}; skip = true under {columns_section(one.plan.name)} leaves it out; does not retry by itself"
            )
            raise PermanentStopError(message)
        logger.info("followed a new column: {}", statement)


def _relax(target: Target, schema: str, one: Following, found: TargetTable) -> None:
    may_be_null = {column.target for column in one.plan.columns if not column.not_null} | set(one.changed.removed)
    for column in found.columns:
        if column.not_null and column.name in may_be_null:
            control.run_ddl(target, alter.relax(schema, one.plan, column.name))


def _follow_statements(target: Target, schema: str, source_id: str, one: Following) -> None:
    """Take away what the source has no more and write down what it has more; a check waits until the rows are there."""
    registered = control.registered_ddl(target, source_id, one.plan.name)
    tightened = {known.name for known in registered if known.phase == "not_null"}
    wanted = {(str(new.phase), new.name, new.sql): new for new in _wanted(schema, one, tightened)}
    for known in registered:
        # A copy that somebody made has nothing of what we gave the one before; a column that was dropped took along
        # what stood on it.
        if one.is_ours and wanted.pop((known.phase, known.name, known.statement), None) is not None:
            continue
        # What was not run is not there, and something of that name would be somebody else's.
        for undone in alter.undo(schema, one.plan, known.phase, known.name) if known.done else ():
            control.run_ddl(target, undone)
        control.forget_ddl(target, source_id, known.place)
    for new in wanted.values():
        control.register_ddl(target, source_id, new)


def _wanted(schema: str, one: Following, tightened: Collection[str]) -> list[TargetStatement]:
    """Return what the copy is to have beside its columns; those added later get their NOT NULL by a statement."""
    later = {*tightened, *one.lacking, *(column.target for column in (*one.changed.added, *one.changed.tightened))}
    key = {column.target for column in one.plan.key_plans}
    tight = [c for c in one.plan.columns if c.not_null and c.target in later - key]
    kept = [statement for statement in one.statements if statement.phase != "table"]
    return [*kept, *(alter.tighten(schema, one.plan, column) for column in tight)]

"""Let a target table follow its source table: what is safe is done, the rest is asked for by statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loguru import logger

from cdcsync.core.ddl import alter
from cdcsync.core.evolution import Evolution
from cdcsync.edges import control
from cdcsync.edges.catalog import TargetTable, find_table
from cdcsync.edges.control import RegisteredTable
from cdcsync.edges.target import Target
from cdcsync.words.errors import PermanentStopError
from cdcsync.words.nouns import TablePlan, TargetStatement


@dataclass(frozen=True, slots=True)
class Following:
    """A captured table whose source table changed. `statements`: all that the target's DDL has for it now."""

    plan: TablePlan
    known: RegisteredTable
    changed: Evolution
    statements: tuple[TargetStatement, ...]


def needed(target: Target, schema: str, one: Following) -> list[str]:
    """Return the statements a person has to run first, because they lose or reinterpret what the table holds."""
    found = find_table(target, schema, one.plan.target)
    if found is None:
        return []
    if one.changed.key_changed:
        return [alter.drop_table(schema, one.plan.target)]
    types = {column.name: column.type_sql for column in found.columns}
    retyped = [c for c, before in one.changed.retyped if one.known.created and types.get(c.target) == before]
    return [alter.retype(schema, one.plan, column) for column in retyped]


def follow(target: Target, schema: str, source_id: str, one: Following) -> None:
    """Do what is safe, inside the caller's transaction: columns added, constraints of ours as the source has them.

    Raises PermanentStopError where PostgreSQL refuses a column.
    """
    found = find_table(target, schema, one.plan.target)
    if found is None:
        return
    _add_columns(target, schema, one, found)
    if one.known.created:
        _relax(target, schema, one, found)
        _follow_statements(target, schema, source_id, one)
    for name in one.changed.removed:
        statement = alter.drop_column(schema, one.plan, name)
        logger.warning(
            "{} has no column {} any more; PostgreSQL keeps it until you run {}", one.plan.name, name, statement
        )
    control.followed(target, source_id, one.plan)


def _add_columns(target: Target, schema: str, one: Following, found: TargetTable) -> None:
    there = {column.name for column in found.columns}
    for column in one.plan.columns:
        if column.target in there:
            continue
        statement = alter.add_column(schema, one.plan, column)
        refused = control.run_ddl(target, statement)
        if refused is not None:
            message = (
                f"table {one.plan.name} has a new column {column.source}, and PostgreSQL refused {statement}: {refused}"
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
    wanted = {(str(new.phase), new.name, new.sql): new for new in _wanted(schema, one)}
    tight = {("not_null", column.target) for column in one.plan.columns if column.not_null}
    for known in control.registered_ddl(target, source_id, one.plan.name):
        as_it_was = wanted.pop((known.phase, known.name, known.statement), None) is not None
        if as_it_was or (known.phase, known.name) in tight:
            continue
        for undone in alter.undo(schema, one.plan, known.phase, known.name):
            control.run_ddl(target, undone)
        control.forget_ddl(target, source_id, known.place)
    for new in wanted.values():
        at_once = new.phase == "default"
        if at_once:
            control.run_ddl(target, new.sql)
        control.register_ddl(target, source_id, new, done=at_once)


def _wanted(schema: str, one: Following) -> Sequence[TargetStatement]:
    key = {column.name for column in one.plan.key}
    later = (*one.changed.added, *one.changed.tightened)
    tight = [alter.tighten(schema, one.plan, c) for c in later if c.not_null and c.source not in key]
    kept = [s for s in one.statements if s.phase != "table"]
    return [*kept, *tight]

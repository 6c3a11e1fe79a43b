"""Build tables in the target and register them: at install, for tables created later, and for dropped copies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from cdcsync.core.ddl import target_ddl
from cdcsync.edges import control
from cdcsync.edges.catalog import (
    TargetTable,
    attach_statement,
    detach,
    disable,
    drop_index,
    enable_statement,
    find_table,
    firing_triggers,
)
from cdcsync.edges.target import Target, one_line, passes_by_itself
from cdcsync.machine.existing import fitted_plans
from cdcsync.machine.fit import detachable, detachable_indexes, owner_of
from cdcsync.words.errors import RefusedError
from cdcsync.words.nouns import NotCarried, SourceSchema, TablePlan, TargetStatement

AT_ONCE = {"default", "check"}
"""Phases that are run with the table itself, each statement on its own."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A statement that gives a table something beside its columns. `done`: it was run."""

    statement: TargetStatement
    detached: bool = False
    done: bool = False


@dataclass(slots=True)
class Built:
    """What was done to the target. `created` tells whether we made a table or found it, by its source name."""

    created: dict[str, bool] = field(default_factory=dict)
    beside: list[Beside] = field(default_factory=list)
    not_carried: list[NotCarried] = field(default_factory=list)


def build_tables(
    target: Target, target_schema: str, schema: SourceSchema, plans: Sequence[TablePlan], wanted: Sequence[TablePlan]
) -> Built:
    """Create the `wanted` of all planned tables, or make those found ready, inside the caller's transaction.

    Raises RefusedError where PostgreSQL refuses a table.
    """
    built = Built()
    statements, not_carried = target_ddl(schema, fitted_plans(target, target_schema, plans), target_schema)
    for plan in wanted:
        found = find_table(target, target_schema, plan.target)
        built.created[plan.name] = found is None
        built.beside += [] if found is None else make_room(target, target_schema, plan, found, plans)
    made = {name for name, created in built.created.items() if created}
    # A table found in place keeps its own schema: nothing of ours is added to it.
    for statement in statements:
        if statement.table in made:
            _build(target, target_schema, statement, built)
    built.not_carried += [left for left in not_carried if left.table in made]
    return built


def register_tables(
    target: Target, source_id: str, target_schema: str, plans: Sequence[TablePlan], built: Built
) -> None:
    """Write the built tables down and guard them, inside the caller's transaction."""
    for plan in plans:
        control.register_table(target, source_id, plan, target_schema, created=built.created[plan.name])
        control.guard(target, source_id, plan.number, target_schema, plan.target)
    for one in built.beside:
        control.register_ddl(target, source_id, one.statement, detached=one.detached, done=one.done)


def make_room(
    target: Target, schema: str, plan: TablePlan, found: TargetTable, plans: Iterable[TablePlan]
) -> list[Beside]:
    """Take off a table found in place what would be in the way of rows coming one by one; return how it comes back.

    Triggers are disabled rather than passed by as a replica: few roles may be one, ENABLE ALWAYS fires there too, and
    foreign keys that nobody enforced would go on being called valid.

    Raises RefusedError where PostgreSQL does not let go of something.
    """
    beside = []
    for constraint in detachable(target, plan, found):
        owner = owner_of(constraint, schema, plan, plans)
        beside.append(Beside(attach_statement(constraint, owner.name, owner.target), detached=True))
        with _explaining(f"constraint {constraint.name} of {constraint.table}"):
            detach(target, constraint)
    for index in detachable_indexes(target, plan, found):
        statement = TargetStatement("unique", plan.name, index.name, index.definition)
        beside.append(Beside(statement, detached=True))
        with _explaining(f"index {index.name} of {plan.target}"):
            drop_index(target, index)
    for trigger in firing_triggers(target, found.oid):
        beside.append(Beside(enable_statement(trigger, plan.name), detached=True))
        with _explaining(f"trigger {trigger.name} of {plan.target}"):
            disable(target, trigger)
    return beside


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if passes_by_itself(error):
            raise
        message = f"{what} is in the way of the rows, and PostgreSQL does not let go of it: {one_line(error)}"
        raise RefusedError(message) from error


def _build(target: Target, target_schema: str, statement: TargetStatement, built: Built) -> None:
    if statement.phase not in {"table", "source_check", *AT_ONCE}:
        built.beside.append(Beside(statement))
        return
    tried = control.try_ddl if statement.phase == "source_check" else control.run_ddl
    refused = tried(target, statement.sql)
    if refused is None and statement.phase == "source_check":
        built.beside.append(Beside(statement))
    elif refused is None:
        built.beside += [Beside(statement, done=True)] if statement.phase in AT_ONCE else []
    elif statement.phase == "table":
        message = f"PostgreSQL refused to create {target_schema}.{statement.name}: {refused}"
        raise RefusedError(message)
    else:
        what = f"{statement.phase} {statement.name}"
        built.not_carried.append(NotCarried(statement.table, what, refused, statement.sql))

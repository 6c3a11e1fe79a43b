"""Hand the target over to the application: sequences, what is unique, foreign keys, triggers, guard off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from cdcsync.core.collations import rows_of
from cdcsync.core.ddl import alter
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import control
from cdcsync.edges.catalog import (
    TargetSequence,
    attach_statement,
    detach,
    disable,
    enable_statement,
    find_table,
    firing_triggers,
    loose_sequences,
    other_constraints,
    sequences,
    set_sequence,
)
from cdcsync.edges.target import one_line
from cdcsync.machine.completion import complete_target, run_pending
from cdcsync.machine.session import Session
from cdcsync.words.nouns import TablePlan, TargetStatement

_FILE = "catalog.sql"

LAST_ID = 2**63 - 1

BACK_AT_LAST = ("source_check", "exclusion", "foreign_key", "trigger")
"""Phases of what must not stand while rows arrive one by one."""


@dataclass(slots=True)
class HandoverReport:
    """What was done; `remarks` are lines about what could not be."""

    sequences: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def hand_over(session: Session, decide: Callable[[], None]) -> HandoverReport:
    """Put back what must not stand while rows arrive, ask `decide` for the last time, and switch the guard off.

    All in one transaction, and in an instant: foreign keys guard new rows only until `machine.validation` has
    validated them. `decide` raises to call it off. Then, or if the process is killed, no foreign key and no trigger
    stays behind: enforced while rows still arrive, cascades would delete children nobody logged.
    """
    report = HandoverReport()
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        report.remarks += _put_back(session)
        for number, _ in session.store.target_tables():
            control.forget_writes(session.target, session.store.source_id, number)
        decide()
        session.store.cut_over()
    return report


def rehearse(session: Session) -> float:
    """Do what `hand_over` does to the tables, and undo it; return the seconds it took."""
    began = time.monotonic()
    session.target.control("BEGIN")
    try:
        session.store.hold(session.checkpoint.position)
        _put_back(session)
    finally:
        session.target.rollback()
    return time.monotonic() - began


def _put_back(session: Session) -> list[str]:
    pending = [one for phase in BACK_AT_LAST for one in session.store.pending_ddl(phase)]
    refusals = [run_pending(session, one, control.run_lasting_ddl) for one in pending]
    return [refusal for refusal in refusals if refusal is not None]


def complete(session: Session) -> HandoverReport:
    """Build what is still missing of indexes and unique constraints, and let ids go on where SQLite would."""
    report = HandoverReport()
    _set_sequences(session, report)
    # What PostgreSQL refused after the first catch-up may hold by now.
    session.store.try_refused_again()
    report.remarks += complete_target(session, "index", "unique")
    return report


def take_apart(session: Session) -> None:
    """Undo what `hand_over` did to the tables, inside a transaction: rows are to arrive again.

    By what was written down of them: either side may have been migrated since.
    """
    target, schema, source_id = session.target, session.settings.target_schema, session.store.source_id
    tables = control.registered_tables(target, source_id).values()
    owners = {table.target: table for table in tables}
    for table in tables:
        found = find_table(target, schema, table.target)
        if found is None:
            continue
        control.guard_again(target, source_id, table.number, schema, table.target)
        for constraint in other_constraints(target, found.oid):
            if constraint.kind == "f":
                owner = owners.get(constraint.table, table) if constraint.schema == schema else table
                _bring_back_later(session, attach_statement(constraint, owner.name, owner.target))
                detach(target, constraint)
        for trigger in firing_triggers(target, found.oid):
            _bring_back_later(session, enable_statement(trigger, table.name))
            disable(target, trigger)
        for known in control.registered_ddl(target, source_id, table.name):
            if known.phase == "source_check" and known.done:
                control.run_ddl(target, alter.drop_constraint(schema, table.target, known.name))
                control.run_again(target, source_id, known)


def _bring_back_later(session: Session, statement: TargetStatement) -> None:
    target, source_id = session.target, session.store.source_id
    if not control.run_again(target, source_id, statement):
        control.register_ddl(target, source_id, statement, detached=True)


def present_tables(session: Session) -> list[str]:
    """Return the captured tables that the target has; some may have been dropped since the handover."""
    schema = session.settings.target_schema
    return [
        table for _, table in session.store.target_tables() if find_table(session.target, schema, table) is not None
    ]


def writes_since(session: Session) -> dict[str, int]:
    """Return how many statements wrote to each target table since the handover; tables with none are left out."""
    counted = {
        table: control.writes(session.target, session.store.source_id, number)
        for number, table in session.store.target_tables()
    }
    return {table: statements for table, statements in counted.items() if statements}


def _set_sequences(session: Session, report: HandoverReport) -> None:
    """Ids go on where SQLite would: above max(id), and above what AUTOINCREMENT gave out and was deleted.

    A sequence that has come further stays: other tables may take their ids from it.
    """
    highest: dict[str, tuple[int, TargetSequence, TablePlan]] = {}
    for plan in session.plans.values():
        found = find_table(session.target, session.settings.target_schema, plan.target)
        by_target = {column.target: column.source for column in plan.columns}
        for sequence in sequences(session.target, found.oid) if found is not None else ():
            if sequence.column in by_target:
                value = _highest(session, plan, by_target[sequence.column])
                before = highest.get(sequence.name, (0, sequence, plan))
                highest[sequence.name] = max(before, (value, sequence, plan), key=lambda one: one[0])
    for value, sequence, plan in highest.values():
        _go_on_after(session, plan, sequence, value, report)
    if loose := loose_sequences(session.target, session.settings.target_schema):
        report.remarks.append(f"{', '.join(loose)}: these sequences belong to no column: set them yourself with setval")


def _go_on_after(
    session: Session, plan: TablePlan, sequence: TargetSequence, value: int, report: HandoverReport
) -> None:
    column = f"{plan.target}.{sequence.column}"
    report.sequences[sequence.name] = max(value, sequence.last)
    if value >= LAST_ID:
        report.remarks.append(f"{column}: {value} is the last id there is")
    if value > sequence.last:
        try:
            set_sequence(session.target, sequence.name, value)
        except (psycopg.DataError, psycopg.errors.InsufficientPrivilege) as error:
            report.remarks.append(f"{column}: ids cannot go on after {value}: {one_line(error)}")


def _highest(session: Session, plan: TablePlan, column: str) -> int:
    with session.source.reading():
        names = {"column": sqlite_name(column), "table": rows_of(plan.table)}
        found = [session.source.ask("highest", **names)]
        if session.source.ask("has_sequences"):
            found.append(session.source.ask("sequence", plan.name))
    return max((int(value) for value in found if isinstance(value, int)), default=0)

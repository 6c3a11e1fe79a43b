"""Hand the target over to the application: sequences, what is unique, foreign keys, triggers, guard off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from cdcsync.core.collations import rows_of
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.catalog import TargetSequence, find_table, loose_sequences, sequences, set_sequence
from cdcsync.edges.control import run_ddl
from cdcsync.edges.target import one_line, table_name
from cdcsync.machine.completion import complete_target, run_pending
from cdcsync.machine.session import Session
from cdcsync.machine.source_checks import validate_checks
from cdcsync.words.nouns import TablePlan

_FILE = "catalog.sql"

LAST_ID = 2**63 - 1


@dataclass(slots=True)
class HandoverReport:
    """What was done; `remarks` are lines about what could not be."""

    sequences: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def hand_over(session: Session, decide: Callable[[], None]) -> HandoverReport:
    """Complete the target, ask `decide` for the last time, then switch the guard off: in one transaction.

    `decide` raises to call it off. Then, or if the process is killed, no foreign key and no trigger stays behind:
    enforced while rows still arrive, cascades would delete children nobody logged. A constraint that does not hold is
    left unvalidated and remarked: the rows are what the source has.
    """
    report = HandoverReport()
    _set_sequences(session, report)
    # What PostgreSQL refused after the first catch-up may hold by now.
    session.store.try_refused_again()
    report.remarks += complete_target(session, "index", "unique")
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        for phase in ("source_check", "exclusion", "foreign_key", "trigger"):
            refusals = [run_pending(session, pending) for pending in session.store.pending_ddl(phase)]
            report.remarks += [refusal for refusal in refusals if refusal is not None]
        _validate_foreign_keys(session, report)
        report.remarks += validate_checks(session)
        decide()
        session.store.cut_over()
    return report


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


def _validate_foreign_keys(session: Session, report: HandoverReport) -> None:
    """Look for orphans before VALIDATE, which would only fail on the first: SQLite may have tolerated some."""
    schema = session.settings.target_schema
    found = [find_table(session.target, schema, plan.target) for plan in session.plans.values()]
    oids = [table.oid for table in found if table is not None]
    for name, table, table_schema, parent, parent_schema, columns, parent_columns in session.target.rows(
        _FILE, "unchecked_foreign_keys", oids=oids
    ):
        child = table_name(table_schema, table)
        pairs = list(zip(columns, parent_columns, strict=True))
        names: dict[str, sql.Composable] = {
            "child": child,
            "parent": table_name(parent_schema, parent),
            "no_null": sql.SQL(" AND ").join(
                sql.SQL("{} IS NOT NULL").format(sql.Identifier("c", column)) for column in columns
            ),
            "same": sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier("p", there), sql.Identifier("c", here))
                for here, there in pairs
            ),
        }
        orphans = session.target.ask(_FILE, "orphans", names)[0]
        if orphans:
            report.remarks.append(
                f"foreign key {name} of {table}: {orphans} rows have no parent; it guards new rows only "
                "(NOT VALID) until they are mended"
            )
            continue
        validate = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(child, sql.Identifier(name))
        refused = run_ddl(session.target, validate.as_string())
        if refused is not None:
            report.remarks.append(f"foreign key {name} of {table} could not be validated: {refused}")

"""Hand the target over to the application: sequences, foreign keys, guard off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.catalog import find_table
from cdcsync.edges.control import run_ddl
from cdcsync.edges.target import one_line, table_name
from cdcsync.machine.completion import complete_target, run_pending
from cdcsync.machine.session import Session
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

    `decide` raises to call it off. Then, or if the process is killed, no foreign key stays behind: enforced while
    rows still arrive, its cascades would delete children nobody logged. A constraint that does not hold is left
    unvalidated and remarked: the rows are what the source has.
    """
    report = HandoverReport()
    for plan in session.plans.values():
        _set_sequences(session, plan, report)
    complete_target(session, "index", "unique")
    with session.target.transaction():
        session.store.hold(session.checkpoint.position)
        for pending in session.store.pending_ddl("foreign_key"):
            refusal = run_pending(session, pending)
            report.remarks += [] if refusal is None else [refusal]
        for plan in session.plans.values():
            _validate_foreign_keys(session, plan, report)
        decide()
        session.store.cut_over()
    return report


def _set_sequences(session: Session, plan: TablePlan, report: HandoverReport) -> None:
    """Ids go on where SQLite would: above max(id), and above what AUTOINCREMENT gave out and was deleted."""
    schema = session.settings.target_schema
    found = find_table(session.target, schema, plan.target)
    if found is None:
        return
    qualified = table_name(schema, plan.target).as_string()
    by_target = {column.target: column.source for column in plan.columns}
    for column, sequence in session.target.rows(_FILE, "identity_sequences", oid=found.oid, qualified=qualified):
        if column not in by_target:
            continue
        highest = _highest(session, plan, by_target[column])
        value = max(highest, 1)
        try:
            # setval is not rolled back, and it need not be: doing it again gives the same.
            session.target.ask(_FILE, "set_sequence", sequence=sequence, value=value, called=highest >= 1)
        except psycopg.DataError as error:
            report.remarks.append(f"{plan.target}.{column}: ids cannot go on after {value}: {one_line(error)}")
            continue
        if value >= LAST_ID:
            report.remarks.append(f"{plan.target}.{column}: {value} is the last id there is")
        report.sequences[sequence] = value


def _highest(session: Session, plan: TablePlan, column: str) -> int:
    with session.source.reading():
        names = {"column": sqlite_name(column), "table": sqlite_name(plan.name)}
        found = [session.source.ask("highest", **names)]
        if session.source.ask("has_sequences"):
            found.append(session.source.ask("sequence", plan.name))
    return max((int(value) for value in found if isinstance(value, int)), default=0)


def _validate_foreign_keys(session: Session, plan: TablePlan, report: HandoverReport) -> None:
    """Look for orphans before VALIDATE, which would only fail on the first: SQLite may have tolerated some."""
    schema = session.settings.target_schema
    found = find_table(session.target, schema, plan.target)
    if found is None:
        return
    child = table_name(schema, plan.target)
    for name, parent, parent_schema, columns, parent_columns in session.target.rows(
        _FILE, "foreign_keys", oid=found.oid
    ):
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
                f"foreign key {name} of {plan.target}: {orphans} rows have no parent; it guards new rows only "
                "(NOT VALID) until they are mended"
            )
            continue
        validate = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(child, sql.Identifier(name))
        refused = run_ddl(session.target, validate.as_string())
        if refused is not None:
            report.remarks.append(f"foreign key {name} of {plan.target} could not be validated: {refused}")

"""Verify: compare rows of the copied tables, typed and exact, while both sides go on."""

from __future__ import annotations

import sqlite3

from cdcsync.core.relatives import descendants, parents
from cdcsync.edges.selection import Selection, refused_condition, rows_under, rows_where
from cdcsync.machine.comparison import Comparison
from cdcsync.machine.selection_comparison import SelectionComparison
from cdcsync.machine.session import Session
from cdcsync.machine.sweep import record
from cdcsync.machine.verify_report import TableResult, Tick, VerifyReport
from cdcsync.words.errors import GaveUpError, PermanentStopError, UsageError
from cdcsync.words.nouns import TablePlan

KEYLESS = "has no key: which of its rows belong to the chosen ones cannot be told"


def verify(session: Session, names: list[str] | None, patience: float, tick: Tick) -> VerifyReport:
    """Compare the named tables, or all, and write down in the ledger what was proven.

    Raises UsageError for an unknown table, GaveUpError where a table is not copied yet or where keys do not
    come to a common position within `patience` seconds, DriftError and IdentityError where that has no answer yet.
    """
    plans = _prepared(session)
    chosen = plans if not names else [plan for plan in plans if plan in [_named(plans, name) for name in names]]
    report = VerifyReport()
    for plan in chosen:
        _refuse_uncopied(session, plan)
        remade = session.ledger.remade(plan.number)
        report.tables[plan.name] = Comparison(session, plan, report, patience, tick).run()
        record(session, plan, report.tables[plan.name], remade)
    _refuse_drift(session)
    return report


def with_relatives(session: Session, name: str) -> list[str]:
    """Return a table and those that refer to it by foreign keys, directly or not. Raises what `verify` does."""
    plans = _prepared(session)
    root = _named(plans, name)
    return [plan.name for plan in (root, *descendants(root, plans))]


def verify_chosen(session: Session, names: list[str], condition: str, patience: float, tick: Tick) -> VerifyReport:
    """Compare the rows of the first table that meet a condition, and those of the others that hang on them.

    The ledger learns nothing of it. Raises what `verify` does, and UsageError where SQLite refuses the condition.
    """
    plans = _prepared(session)
    root, *others = [_named(plans, name) for name in names]
    if not root.key:
        message = f"table {root.name} has no key: it can only be compared as a whole, without --where"
        raise UsageError(message)
    with session.source.reading() as connection:
        selections = {root.number: rows_where(connection, root, condition)}
    report = VerifyReport()
    for plan in (root, *others):
        _refuse_uncopied(session, plan)
        if plan.number not in selections and plan.key:
            above = [(key, parent) for key, parent in parents(plan, plans) if parent.number in selections]
            selections[plan.number] = rows_under(plan, [(key, selections[parent.number]) for key, parent in above])
        if plan.number in selections:
            report.tables[plan.name] = _compare_chosen(session, selections[plan.number], report, patience, tick)
        else:
            report.tables[plan.name] = TableResult(skipped=KEYLESS)
    _refuse_drift(session)
    return report


def _compare_chosen(
    session: Session, selection: Selection, report: VerifyReport, patience: float, tick: Tick
) -> TableResult:
    try:
        return SelectionComparison(session, selection, report, patience, tick).run()
    except PermanentStopError as error:
        # A condition may be well formed and still fail on some row.
        if isinstance(error.__cause__, sqlite3.OperationalError):
            raise refused_condition(error.__cause__) from None
        raise


def _prepared(session: Session) -> list[TablePlan]:
    if session.checkpoint.state == "cut_over":
        message = "PostgreSQL was handed over: it goes its own way now, and the source no longer says what is right"
        raise GaveUpError(message)
    session.prepare()
    return list(session.plans.values())


def _named(plans: list[TablePlan], name: str) -> TablePlan:
    for plan in plans:
        if plan.name == name:
            return plan
    message = f"no captured table is called {name!r} (there are {', '.join(plan.name for plan in plans)})"
    raise UsageError(message)


def _refuse_uncopied(session: Session, plan: TablePlan) -> None:
    waiting = {"pending", "copying", "repairing", "copied"}
    if any(p.name == plan.name and p.state in waiting for p in session.checkpoint.tables):
        message = f"table {plan.name} is not copied yet: wait until cdcsync status shows streaming"
        raise GaveUpError(message)


def _refuse_drift(session: Session) -> None:
    with session.source.reading():
        session.forget_schema_version()
        session.refuse_drift()

"""Verify: compare every row of the copied tables, typed and exact, while both sides go on."""

from __future__ import annotations

from cdcsync.machine.comparison import Comparison, Tick, VerifyReport
from cdcsync.machine.session import Session
from cdcsync.machine.sweep import record
from cdcsync.words.errors import GaveUpError, UsageError


def verify(session: Session, names: list[str] | None, patience: float, tick: Tick) -> VerifyReport:
    """Compare the named tables, or all.

    Raises UsageError for an unknown table, GaveUpError where a table is not copied yet or where keys do not
    come to a common position within `patience` seconds, DriftError and IdentityError where that has no answer yet.
    """
    if session.checkpoint.state == "cut_over":
        message = "PostgreSQL was handed over: it goes its own way now, and the source no longer says what is right"
        raise GaveUpError(message)
    session.prepare()
    by_name = {plan.name: plan for plan in session.plans.values()}
    unknown = [name for name in names or [] if name not in by_name]
    if unknown:
        message = f"no captured table is called {unknown[0]!r} (there are {', '.join(by_name)})"
        raise UsageError(message)
    waiting = [p.name for p in session.checkpoint.tables if p.state in {"pending", "copying", "repairing", "copied"}]
    report = VerifyReport()
    for plan in by_name.values():
        if names and plan.name not in names:
            continue
        if plan.name in waiting:
            message = f"table {plan.name} is not copied yet: wait until cdcsync status shows streaming"
            raise GaveUpError(message)
        report.tables[plan.name] = Comparison(session, plan, report, patience, tick).run()
        record(session, plan, report.tables[plan.name])
    with session.source.reading():
        session.forget_schema_version()
        session.refuse_drift()
    return report

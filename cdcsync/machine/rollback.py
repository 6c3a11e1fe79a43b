"""The way back to SQLite: exact, as long as nobody has written to PostgreSQL since the handover."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from loguru import logger

from cdcsync.edges.fence import fence_message, lift_permanent
from cdcsync.edges.target import one_line
from cdcsync.machine import handover
from cdcsync.machine.context import Context
from cdcsync.machine.hooks import run_hook
from cdcsync.machine.locks import lock_tables
from cdcsync.machine.repair import mark_for_repair
from cdcsync.machine.session import Session
from cdcsync.words.errors import HookError, RefusedError, TargetError


@dataclass(slots=True)
class RollbackReport:
    """What was done; `target_writes`: statements that wrote to each target table since the handover."""

    done: bool = False
    target_writes: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    remarks: list[str] = field(default_factory=list)


def rollback(context: Context, *, discard: bool) -> RollbackReport:
    """Give the application back to SQLite. `discard`: also where writes to PostgreSQL are lost by that.

    Raises RefusedError where there is nothing to go back from, TargetError where PostgreSQL is out of reach and nothing
    may be discarded.
    """
    try:
        with Session(context) as session:
            report = _take_back_checked(session, discard=discard)
            if report.done:
                switch_back(session, report)
            return report
    except (TargetError, psycopg.OperationalError) as error:
        if not discard:
            message = (
                f"{one_line(error)}; whether PostgreSQL was written to since the handover cannot be told: with "
                "--discard-target-writes the application goes back to SQLite without asking it"
            )
            raise TargetError(message) from None
        return _without_the_target(context, error)


def _take_back_checked(session: Session, *, discard: bool) -> RollbackReport:
    fenced = fence_message(session.source) is not None
    if session.checkpoint.state != "cut_over" and not fenced:
        message = f"nothing was handed over: the state is {session.checkpoint.state}, the application is on SQLite"
        raise RefusedError(message)
    return take_back(session, discard=discard)


def take_back(session: Session, *, discard: bool) -> RollbackReport:
    """Guard PostgreSQL again if nobody wrote to it, then lift the fence: at no moment do both sides accept writes."""
    report = RollbackReport()
    session.prepare_handed_over()
    session.lock()
    try:
        with session.target.transaction():
            # Where the answer is no already, the application is not kept waiting for it.
            if discard or not handover.writes_since(session):
                tables = [plan.target for plan in session.plans.values()]
                lock_tables(session.target, session.settings.target_schema, tables)
            report.target_writes = handover.writes_since(session)
            if report.target_writes and not discard:
                report.reason = (
                    "PostgreSQL was written to since the handover; going back loses that, and needs "
                    "--discard-target-writes"
                )
                return report
            session.store.guard_again("rollback")
            handover.take_apart(session)
            for progress in session.checkpoint.tables:
                if session.plans[progress.number].target in report.target_writes:
                    mark_for_repair(session, progress)
        seconds = lift_permanent(session.source.path)
        logger.info("the fence is lifted; the source's write lock was held for {:.1f} ms", seconds * 1000)
        session.store.set_state("catching_up" if report.target_writes else "streaming")
        session.store.note("rollback", "the application went back to SQLite")
        report.done = True
    finally:
        session.release()
    return report


def _without_the_target(context: Context, error: Exception) -> RollbackReport:
    with context.open_source() as source:
        fenced = fence_message(source) is not None
    report = RollbackReport()
    if not fenced:
        message = f"{one_line(error)}; the source has no fence: nothing to go back from on this side"
        raise TargetError(message)
    lift_permanent(context.settings.source_path, datetime.now(UTC).isoformat(timespec="seconds"))
    report.done = True
    report.remarks.append(
        f"PostgreSQL was not asked ({one_line(error)}) and still accepts writes: when it is back, run cdcsync rollback "
        "--discard-target-writes again before cdcsync run"
    )
    return report


def switch_back(session: Session, report: RollbackReport) -> None:
    """Run the hook that switches the application back to SQLite."""
    try:
        run_hook(session, "after_rollback", "streaming")
    except HookError as failed:
        report.remarks.append(str(failed))

"""The way back to SQLite: exact, as long as nobody has written to PostgreSQL since the handover."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from loguru import logger

from cdcsync.core.evolution import has_key
from cdcsync.edges import control
from cdcsync.edges.fence import fence_message, lift_permanent, was_lifted_alone
from cdcsync.edges.source import Source
from cdcsync.edges.target import is_out_of_reach, one_line
from cdcsync.machine import handover
from cdcsync.machine.context import Context
from cdcsync.machine.hooks import run_hook, run_hook_alone
from cdcsync.machine.locks import lock_tables
from cdcsync.machine.repair import mark_for_repair
from cdcsync.machine.session import Session
from cdcsync.words.errors import HookError, RefusedError, TargetError

REACH_SECONDS = 3.0
"""How long a PostgreSQL that does not answer is asked again: one lost connection is no lost server."""

LIFTED_ALONE = (
    "the application went back to SQLite while PostgreSQL could not be asked: run cdcsync rollback "
    "--discard-target-writes, which PostgreSQL has to hear of"
)


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
    deadline = time.monotonic() + REACH_SECONDS
    while True:
        try:
            return _rollback(context, discard=discard)
        except (TargetError, psycopg.Error) as error:
            if not is_out_of_reach(error):
                message = (
                    f"PostgreSQL answers, and refused: {one_line(error)}; nothing has happened: end the application's "
                    "transactions on its tables, then run cdcsync rollback again"
                )
                raise RefusedError(message) from None
            if time.monotonic() >= deadline:
                return _out_of_reach(context, error, discard=discard)
        time.sleep(REACH_SECONDS / 10)


def _rollback(context: Context, *, discard: bool) -> RollbackReport:
    """Every step can be cut and taken again."""
    with Session(context) as session:
        if _is_handed_over(session) or not session.store.switch_back:
            report = _take_back_checked(session, discard=discard)
        else:
            report = RollbackReport(done=True, remarks=["going on with a rollback that was cut short"])
        if report.done:
            switch_back(session, report)
        return report


def _out_of_reach(context: Context, error: Exception, *, discard: bool) -> RollbackReport:
    if discard:
        return _without_the_target(context, error)
    message = (
        f"{one_line(error)}; whether PostgreSQL was written to since the handover cannot be told: with "
        "--discard-target-writes the application goes back to SQLite without asking it"
    )
    raise TargetError(message)


def _is_handed_over(session: Session) -> bool:
    return session.checkpoint.state == "cut_over" or fence_message(session.source) is not None


def _take_back_checked(session: Session, *, discard: bool) -> RollbackReport:
    _refuse_nothing_to_do(session)
    session.lock()
    # Whoever had the lock may have gone back.
    session.refresh()
    _refuse_nothing_to_do(session)
    return take_back(session, discard=discard)


def _refuse_nothing_to_do(session: Session) -> None:
    if not _is_handed_over(session):
        message = f"nothing was handed over: the state is {session.checkpoint.state}, the application is on SQLite"
        raise RefusedError(message)


def take_back(session: Session, *, discard: bool) -> RollbackReport:
    """Guard PostgreSQL again if nobody wrote to it, then lift the fence: at no moment do both sides accept writes."""
    report = RollbackReport()
    session.lock()
    try:
        _guard_again(session, report, discard=discard)
        if report.reason:
            return report
        seconds = lift_permanent(session.source.path)
        logger.info("the fence is lifted; the source's write lock was held for {:.1f} ms", seconds * 1000)
        report.done = True
        session.store.set_state("catching_up" if report.target_writes else "streaming")
        session.store.note("rollback", "the application went back to SQLite")
        session.release()
    except psycopg.Error as error:
        if not report.done:
            raise
        # Whoever takes the checkpoint next sees that the source has no fence.
        report.remarks.append(f"PostgreSQL could not be told that the fence is lifted: {one_line(error)}")
    return report


def _guard_again(session: Session, report: RollbackReport, *, discard: bool) -> None:
    with session.target.transaction():
        # Where the answer is no already, the application is not kept waiting for it.
        if discard or not handover.writes_since(session):
            lock_tables(session.target, session.settings.target_schema, handover.present_tables(session))
        report.target_writes = handover.writes_since(session)
        if report.target_writes and not discard:
            report.reason = (
                "PostgreSQL was written to since the handover; going back loses that, and needs --discard-target-writes"
            )
            return
        session.store.guard_again("rollback")
        handover.take_apart(session)
        tables = control.registered_tables(session.target, session.store.source_id)
        for progress in session.store.read().tables:
            if tables[progress.name].target in report.target_writes:
                mark_for_repair(session.store, progress, keyed=has_key(tables[progress.name].plan))


def _without_the_target(context: Context, error: Exception) -> RollbackReport:
    report = RollbackReport()
    with context.open_source() as source:
        if fence_message(source) is None:
            message = f"{one_line(error)}; the source has no fence: nothing to go back from on this side"
            raise TargetError(message)
        lift_permanent(source.path, datetime.now(UTC).isoformat(timespec="seconds"))
        report.done = True
        report.remarks.append(
            f"PostgreSQL was not asked ({one_line(error)}) and still accepts writes: when it is back, run cdcsync "
            "rollback --discard-target-writes again before cdcsync run"
        )
        try:
            run_hook_alone(context.settings, source, "after_rollback", "streaming")
        except HookError as failed:
            report.remarks.append(str(failed))
    return report


def refuse_lifted_alone(source: Source) -> None:
    """Raise RefusedError where the source was taken back behind PostgreSQL's back: the application writes to it."""
    if was_lifted_alone(source):
        message = f"{LIFTED_ALONE}, and then this again"
        raise RefusedError(message)


def switch_back(session: Session, report: RollbackReport) -> None:
    """Run the hook that switches the application back to SQLite; one that failed is run again by the next rollback."""
    try:
        run_hook(session, "after_rollback", "streaming")
        session.store.switched_back()
    except HookError as failed:
        report.remarks.append(f"{failed}: when it is mended, cdcsync rollback runs it again")
    except psycopg.Error as error:
        report.remarks.append(f"PostgreSQL could not be told that after_rollback ran: {one_line(error)}")

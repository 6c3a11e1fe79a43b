"""Cutover: gates, backup, fence, drain, verify what changed, decide, hand over, switch.

The one decision point is the commit of the fence. Before it whatever fails, a kill included, leaves the application
writing to SQLite as if nothing had happened. After it there is only forward, or `rollback`: a cutover that was cut
goes on where it stopped when it is run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

import psycopg
from loguru import logger

from cdcsync.edges.backup import back_up
from cdcsync.edges.fence import Fence, fence, fence_message
from cdcsync.edges.grants import standbys
from cdcsync.edges.target import one_line
from cdcsync.machine import handover, switch
from cdcsync.machine.comparison import Comparison
from cdcsync.machine.context import Context
from cdcsync.machine.cutover_report import CutoverReport, Refusal
from cdcsync.machine.drain import left_behind
from cdcsync.machine.estimate import fixed_seconds
from cdcsync.machine.forward import go_forward
from cdcsync.machine.gates import CutoverOptions, estimated_pause, refusals, too_long
from cdcsync.machine.hooks import run_hook
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up, catch_up, copy_stale
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify import verify
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.errors import (
    CdcsyncError,
    FencedError,
    FenceLiftedError,
    HookError,
    RefusedError,
    SourceChangedError,
    StopRequestedError,
)

MEASURED_KEYS = 100
"""Fewer keys say nothing about how many are compared in a second."""

Watch = Callable[[], None]


def cutover(context: Context, options: CutoverOptions) -> CutoverReport:
    """Move the application to PostgreSQL, or say why not. Raises what `Session` raises before anything was done."""
    report = CutoverReport(rehearsed=options.rehearse)
    with Session(context) as session:
        fenced = fence_message(session.source)
        if options.rehearse:
            _refuse_decided(session, fenced)
        if session.checkpoint.state == "cut_over":
            switch.finish(session, report)
        elif fenced is not None:
            _resume(context, session, report)
        else:
            _begin(context, session, options, report)
    if report.pause_seconds is not None and not report.rehearsed:
        report.write(context.settings.state_dir)
    return report


def _refuse_decided(session: Session, fenced: str | None) -> None:
    """A rehearsal hands nothing over and runs no hook, whatever a cutover before it left to do."""
    if session.checkpoint.state == "cut_over":
        message = f"handed over at {session.store.cut_over_at:%Y-%m-%d %H:%M:%S %Z}: nothing is left to rehearse"
        raise RefusedError(message)
    if fenced is not None:
        raise FencedError(fenced)


def _begin(context: Context, session: Session, options: CutoverOptions, report: CutoverReport) -> None:
    """Everything up to the decision, and then what follows it."""
    try:
        with report.step("gates"):
            report.refusals = _gates(session, options)
        if _is_refused(report):
            return
        if options.rehearse:
            _hold(session, lambda: _rehearse(session, options, report))
            return
        if options.backup is not None:
            with report.step("backup"):
                context.settings.state_dir.mkdir(parents=True, exist_ok=True)
                back_up(session.source.path, options.backup)
                report.backup = str(options.backup)
        with report.step("before_fence"):
            run_hook(session, "before_fence", "streaming")
        _hold(session, lambda: _decide(context, session, options, report))
        if report.refusals:
            # before_fence was run, and then a gate closed.
            _on_abort(session, report)
    except (CdcsyncError, psycopg.Error) as error:
        _abort(session, report, error)


def _gates(session: Session, options: CutoverOptions) -> list[Refusal]:
    try:
        session.prepare()
    except SourceChangedError as error:
        return [Refusal("drift", str(error))]
    return refusals(session, options)


def _hold(session: Session, work: Callable[[], bool]) -> bool:
    """Take the checkpoint over for the work; give it back unless it ended in the handover."""
    session.take("cutover")
    decided = False
    try:
        session.target.execute("session.sql", "strict_commits")
        decided = work()
        return decided
    finally:
        if not decided:
            session.release()


def _is_refused(report: CutoverReport) -> bool:
    if report.refusals:
        report.aborted_at = report.aborted_at or "gates"
        report.reason = "; ".join(refusal.message for refusal in report.refusals)
    return bool(report.refusals)


def _catch_up(session: Session, options: CutoverOptions, report: CutoverReport) -> Sync | None:
    """Come as near as can be without a pause; None where a gate has closed meanwhile."""
    sync = Sync(session)
    with report.step("catch_up"):
        bring_up(session, sync, _no_watch)
        _verify_changed(session, report, _no_watch)
        catch_up(session, sync, _no_watch)
    report.verified_keys = 0
    report.remarks = left_behind(session) + _durability_remarks(session)
    if not session.settings.app_role:
        report.remarks.append("app_role is not set: whether the application may use the tables was not checked")
    report.estimated_pause_seconds = estimated_pause(session)
    report.refusals = [*refusals(session, options), *too_long(session, options)]
    return None if _is_refused(report) else sync


def _rehearse(session: Session, options: CutoverOptions, report: CutoverReport) -> bool:
    """Do what a cutover does, but for hooks, backup, fence and handover; `pause_seconds` is what it came to."""
    sync = _catch_up(session, options, report)
    if sync is None:
        return False
    began = time.monotonic()
    _drain_and_prove(session, sync, options, report, _no_watch)
    with report.step("handover"):
        handover.rehearse(session)
    session.store.handover_took(fixed_seconds(report.steps))
    report.pause_seconds = round(time.monotonic() - began, 3)
    report.estimated_pause_seconds = report.pause_seconds
    report.done = True
    return False


def _decide(context: Context, session: Session, options: CutoverOptions, report: CutoverReport) -> bool:
    """Fence, drain, prove, decide, hand over. Returns whether it was decided; raises what made it impossible."""
    sync = _catch_up(session, options, report)
    if sync is None:
        return False
    tables = [(plan.number, plan.name) for plan in session.plans.values()]
    message = f"cdcsync: this database moved to PostgreSQL at {_now()}; to return run: cdcsync rollback"
    path, longest = session.source.path, options.max_pause
    with ExitStack() as stack:
        with report.step("lock"):
            held = stack.enter_context(fence(path, tables, message, longest, lambda: _interrupt(session)))
        try:
            session.steady = "fenced"
            session.store.fenced()
            _drain_and_prove(session, sync, options, report, held.refuse_lifted)
            with report.step("decide"):
                # With PostgreSQL gone there would be no side left to write to.
                session.store.fenced()
                held.make_permanent()
        except BaseException:
            _unfence(session, held)
            raise
        go_forward(context, session, report, held.since)
    return True


def _interrupt(session: Session) -> None:
    """End what the cutover is waiting for: the application must not wait for it any longer."""
    session.target.stop_soon()
    session.source.stop_soon()


def _unfence(session: Session, held: Fence) -> None:
    """Lift the fence first of all; then nothing says any more that there is one."""
    held.lift()
    session.steady = "streaming"
    try:
        session.target.go_on()
        session.store.set_state("streaming")
    except (CdcsyncError, psycopg.Error) as error:
        # Whoever takes the checkpoint next sees that the source has no fence.
        logger.warning("could not record that the fence was lifted: {}", one_line(error))


def _drain_and_prove(
    session: Session, sync: Sync, options: CutoverOptions, report: CutoverReport, watch: Watch
) -> None:
    with report.step("drain"):
        catch_up(session, sync, watch)
        copy_stale(session)
        watch()
    with report.step("verify"):
        if options.full_verify:
            _refuse_different(verify(session, None, 0.0, lambda _table, _rows: watch()), report)
        else:
            _verify_changed(session, report, watch)
    with report.step("complete"):
        report.remarks += handover.complete(session).remarks
        watch()


def _verify_changed(session: Session, report: CutoverReport, watch: Watch) -> None:
    """Compare the keys that changed since they were last proven equal. Raises RefusedError where a row differs."""
    found, began = VerifyReport(), time.perf_counter()
    epoch, keys = session.checkpoint.position.epoch, 0
    proven = session.ledger.read()
    for plan in session.keyed:
        if plan.number not in proven:
            continue
        before = proven[plan.number]
        result = Comparison(session, plan, found, None, lambda _table, _rows: watch()).since(before.seq)
        found.tables[plan.name] = result
        keys += result.rows_source
        if result.proven_seq is not None and result.proven_seq > before.seq:
            session.ledger.followed(before, epoch, result.proven_seq, result.differences)
    if keys >= MEASURED_KEYS:
        session.ledger.measured(keys / (time.perf_counter() - began))
    _refuse_different(found, report)


def _refuse_different(found: VerifyReport, report: CutoverReport) -> None:
    report.verified_keys = found.rows_compared
    if not found.equal:
        first = found.shown[0]
        message = (
            f"the target differs, in table {first.table}, key {first.key}, for one: cdcsync verify shows where, "
            "cdcsync verify --repair mends it"
        )
        raise RefusedError(message)


def _resume(context: Context, session: Session, report: CutoverReport) -> None:
    """Go on after the decision, which was made by a cutover that was cut short."""
    logger.warning("the source is fenced: going on with the cutover that was cut short")
    session.take("cutover")
    began = time.monotonic()
    try:
        session.prepare()
        session.steady = "fenced"
        session.target.execute("session.sql", "strict_commits")
        with report.step("drain"):
            # Whatever came before the fence is applied already; this only makes sure of it.
            catch_up(session, Sync(session), _no_watch)
        go_forward(context, session, report, began)
    except (CdcsyncError, psycopg.Error) as error:
        report.reason = one_line(error)
        session.release()


def _abort(session: Session, report: CutoverReport, error: Exception) -> None:
    """Before the decision: nothing has happened."""
    report.reason = one_line(error)
    if isinstance(error, StopRequestedError | FenceLiftedError):
        report.reason = "the longest pause (--max-pause) was spent: the fence was lifted"
    report.reason += "; the application goes on with SQLite"
    logger.error("cutover aborted at {}: {}", report.aborted_at, report.reason)
    _on_abort(session, report)


def _on_abort(session: Session, report: CutoverReport) -> None:
    try:
        run_hook(session, "on_abort", "streaming")
    except HookError as failed:
        report.remarks.append(str(failed))


def _durability_remarks(session: Session) -> list[str]:
    """Say what a loss of the server could take along, although every commit from the drain on waits for the disk."""
    total, synchronous = standbys(session.target)
    if total and not synchronous:
        return [f"{total} standbys follow asynchronously: a failover right now may lose the last commits"]
    return []


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _no_watch() -> None:
    """Outside the pause a verb ends by signal."""

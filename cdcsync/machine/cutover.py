"""Cutover: gates, backup, fence, drain, verify what changed, decide, hand over, switch.

The one decision point is the commit of the fence. Before it whatever fails, a kill included, leaves the application
writing to SQLite as if nothing had happened. After it there is only forward, or `rollback`: a cutover that was cut
goes on where it stopped when it is run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import psycopg
from loguru import logger

from cdcsync.edges.backup import back_up
from cdcsync.edges.fence import fence, fence_message
from cdcsync.edges.grants import standbys
from cdcsync.edges.target import one_line
from cdcsync.machine import estimate, handover, proof, switch
from cdcsync.machine.context import Context
from cdcsync.machine.cutover_report import CutoverReport, Refusal
from cdcsync.machine.drain import left_behind
from cdcsync.machine.forward import FAILURES, go_forward, resume
from cdcsync.machine.gates import CutoverOptions, already_decided, estimated_pause, refusals, too_long, verified
from cdcsync.machine.hooks import run_hook
from cdcsync.machine.rollback import refuse_lifted_alone
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up, catch_up, copy_stale
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify import verify
from cdcsync.words.errors import CdcsyncError, FenceLiftedError, HookError, RefusedError, SourceChangedError

Watch = Callable[[], None]


def cutover(context: Context, options: CutoverOptions) -> CutoverReport:
    """Move the application to PostgreSQL, or say why not. Raises what `Session` raises before anything was done."""
    report = CutoverReport(rehearsed=options.rehearse)
    with Session(context) as session:
        # Held to the end, hooks included: another cutover would run them a second time.
        session.lock("cutover")
        session.refresh()
        is_handed_over = session.checkpoint.state == "cut_over"
        if is_handed_over:
            refuse_lifted_alone(session.source)
        if options.rehearse and (is_handed_over or _is_decided(session)):
            report.refusals = [already_decided()]
            _is_refused(report)
        elif is_handed_over:
            switch.finish(session, report)
        elif _is_decided(session):
            resume(context, session, report)
        else:
            _begin(context, session, options, report)
    if report.pause_seconds is not None and not report.rehearsed:
        try:
            report.write(context.settings.state_dir)
        except OSError as error:
            report.report = None
            report.remarks.append(f"the report could not be written: {error}")
    return report


def _is_decided(session: Session) -> bool:
    return fence_message(session.source) is not None


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
    except FAILURES as error:
        _abort(session, report, error)
    except BaseException:
        _interrupted(session, report)
        raise


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
            # A lost connection has let go of everything; what went wrong before matters more.
            with suppress(psycopg.Error):
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
        proof.verify_all_but_few(session, sync, report, _no_watch)
    report.verified_keys = 0
    report.remarks = _durability_remarks(session)
    if not session.settings.app_role:
        report.remarks.append("app_role is not set: whether the application may use the tables was not checked")
    report.estimated_pause_seconds = estimated_pause(session)
    report.refusals = [*refusals(session, options), *too_long(session, options)]
    return None if _is_refused(report) else sync


def _rehearse(session: Session, options: CutoverOptions, report: CutoverReport) -> bool:
    """Do what a cutover does, but for hooks, backup, fence and handover; `pause_seconds` is what to expect."""
    sync = _catch_up(session, options, report)
    if sync is None:
        return False
    report.remarks += left_behind(session)
    began = time.monotonic()
    _drain_and_prove(session, sync, options, report, _no_watch)
    with report.step("handover"):
        handover.rehearse(session)
    report.pause_seconds = round((time.monotonic() - began) * estimate.UNFENCED, 3)
    report.estimated_pause_seconds = report.pause_seconds
    if report.verified_keys <= estimate.FEW_KEYS:
        session.store.pause_took(report.pause_seconds)
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
            # Only now none can come any more.
            report.remarks += left_behind(session)
            _drain_and_prove(session, sync, options, report, held.refuse_lifted)
            go_forward(context, session, report, held.since, held)
        except BaseException as error:
            held.lift()
            held.stop_clock()
            if _is_decided(session):
                raise
            _unfence(session)
            if held.is_spent and isinstance(error, FAILURES):
                raise FenceLiftedError from error
            raise
    return True


def _interrupt(session: Session) -> None:
    """End what the cutover is waiting for: the application must not wait for it any longer."""
    session.target.stop_soon()
    session.source.stop_soon()


def _unfence(session: Session) -> None:
    """The fence is lifted: nothing says any more that there is one."""
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
            proof.refuse_different(verify(session, None, 0.0, lambda _table, _rows: watch()), report)
        else:
            proof.verify_changed(session, report, watch)
            for closed in verified(session):
                # The daemon's background verification may have found it since the gates were asked.
                raise RefusedError(closed.message)
    with report.step("complete"):
        report.remarks += handover.complete(session).remarks
        watch()


def _abort(session: Session, report: CutoverReport, error: Exception) -> None:
    """Before the decision: nothing has happened."""
    report.reason = f"{one_line(error)}; the application goes on with SQLite"
    logger.error("cutover aborted at {}: {}", report.aborted_at, report.reason)
    _on_abort(session, report)


def _interrupted(session: Session, report: CutoverReport) -> None:
    """Ended by a signal: before the decision undo what before_fence began."""
    if not _is_decided(session):
        _on_abort(session, report)


def _on_abort(session: Session, report: CutoverReport) -> None:
    if report.rehearsed:
        return
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

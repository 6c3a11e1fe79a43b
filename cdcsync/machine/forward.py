"""The decision of a cutover and what follows it: there is only forward then, so a lost PostgreSQL is asked again."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress

import psycopg
from loguru import logger

from cdcsync.edges.catalog import find_table
from cdcsync.edges.fence import Fence
from cdcsync.edges.target import one_line, passes_by_itself
from cdcsync.machine import handover, switch
from cdcsync.machine.context import Context
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.estimate import FEW_KEYS
from cdcsync.machine.session import Session
from cdcsync.machine.stream import catch_up
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import CdcsyncError, DriftError, RefusedError

FAILURES = (CdcsyncError, psycopg.Error, sqlite3.Error, OSError)
"""Whatever can be told in one line."""

FORWARD_SECONDS = 60.0
"""How long a lost PostgreSQL is asked again after the decision."""


def go_forward(
    context: Context, session: Session, report: CutoverReport, since: float, held: Fence | None = None
) -> None:
    """Decide where `held`, the fence, is not decided yet; hand over and switch.

    Raises before the decision only: whatever fails then, nobody says that the application goes on with SQLite. `since`:
    when the pause began, as `time.monotonic` tells the time.
    """
    try:
        with switch.Counting(context, session) as counting:
            _hand_over_for_certain(context, session, report, held)
            report.pause_seconds = round(time.monotonic() - since, 3)
            if held is not None and report.verified_keys <= FEW_KEYS:
                session.store.pause_took(report.pause_seconds)
            switch.switch(session, report, counting)
    except FAILURES as error:
        if _is_undecided(held):
            raise
        report.reason = one_line(error)
        if report.pause_seconds is not None:
            report.reason += "; PostgreSQL is handed over: run cdcsync cutover again, which does what is left"


def _is_undecided(held: Fence | None) -> bool:
    return held is not None and not held.is_permanent


def _hand_over_for_certain(context: Context, session: Session, report: CutoverReport, held: Fence | None) -> None:
    """What may be refused or wait for a lock is done before the decision; from then on neither side accepts writes."""

    def decide() -> None:
        if held is not None:
            with report.step("decide"):
                # With PostgreSQL gone there would be no side left to write to.
                session.store.fenced()
                held.make_permanent()

    with report.step("handover"):
        try:
            report.remarks += handover.hand_over(session, decide).remarks
        except FAILURES as error:
            if _is_undecided(held):
                raise
            _hand_over_again(context, session, report, error)


def _hand_over_again(context: Context, session: Session, report: CutoverReport, error: Exception) -> None:
    deadline = time.monotonic() + FORWARD_SECONDS
    while passes_by_itself(error) and time.monotonic() < deadline:
        logger.warning("the handover waits for PostgreSQL: {}", one_line(error))
        time.sleep(0.2)
        try:
            session.reopen(context)
            session.lock("cutover")
            session.refresh()
            if session.checkpoint.state == "cut_over":
                session.prepare_handed_over()
            else:
                session.take("cutover")
                report.remarks += _prepare(session)
                report.remarks += handover.hand_over(session, _nothing_more).remarks
        except FAILURES as again:
            error = again
        else:
            return
    message = (
        f"decided, and then PostgreSQL failed: {one_line(error)}; neither side accepts writes: run cdcsync cutover "
        "again, which goes on from here, or cdcsync rollback --discard-target-writes"
    )
    raise RefusedError(message)


def _nothing_more() -> None:
    """The decision was made by the commit of the fence."""


def resume(context: Context, session: Session, report: CutoverReport) -> None:
    """Go on after the decision, which was made by a cutover that was cut short."""
    logger.warning("the source is fenced: going on with the cutover that was cut short")
    session.take("cutover")
    began = time.monotonic()
    try:
        session.target.execute("session.sql", "strict_commits")
        with report.step("drain"):
            report.remarks += _prepare(session)
        go_forward(context, session, report, began)
    except FAILURES as error:
        report.reason = (
            f"{one_line(error)}; neither side accepts writes: when that is mended cdcsync cutover goes on from here, "
            "and cdcsync rollback goes back"
        )
        with suppress(psycopg.Error):
            session.release()


def _prepare(session: Session) -> list[str]:
    """Prepare the session and make sure that whatever came before the fence is applied.

    No trigger stops DDL: what changed after the decision is told, and says nothing of what was proven before it.
    """
    session.steady = "fenced"
    try:
        session.prepare()
        catch_up(session, Sync(session), _nothing_more)
    except DriftError:
        session.prepare_handed_over()
        if not _has_all(session):
            raise
        with session.source.reading():
            return [f"{drift} after the decision: PostgreSQL is as it was before" for drift in session.source.drift()]
    return []


def _has_all(session: Session) -> bool:
    """Tell whether PostgreSQL has every table, and all that was written to SQLite."""
    position, schema = session.checkpoint.position, session.settings.target_schema
    with session.source.reading():
        is_drained = int(session.source.ask("head")) == position.seq and session.is_this_history(position)
    found = [find_table(session.target, schema, table) for _, table in session.store.target_tables()]
    return is_drained and all(table is not None and table.guarded for table in found)

"""What follows the decision of a cutover: there is only forward, so a lost PostgreSQL is asked again."""

from __future__ import annotations

import time

import psycopg
from loguru import logger

from cdcsync.edges.target import one_line, passes_by_itself
from cdcsync.machine import handover, switch
from cdcsync.machine.context import Context
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.estimate import fixed_seconds
from cdcsync.machine.session import Session
from cdcsync.words.errors import CdcsyncError, RefusedError

FORWARD_SECONDS = 60.0
"""How long a lost PostgreSQL is asked again after the decision."""


def go_forward(context: Context, session: Session, report: CutoverReport, since: float) -> None:
    """Hand over and switch; whatever fails now, nobody says that the application goes on with SQLite.

    `since`: when the pause began, as `time.monotonic` tells the time.
    """
    try:
        with switch.Counting(context, session) as counting:
            _hand_over_for_certain(context, session, report)
            report.pause_seconds = round(time.monotonic() - since, 3)
            switch.switch(session, report, counting)
    except (CdcsyncError, psycopg.Error) as error:
        report.reason = one_line(error)


def _hand_over_for_certain(context: Context, session: Session, report: CutoverReport) -> None:
    """After the decision: neither side accepts writes until this is done, so a lost PostgreSQL is asked again."""
    deadline = time.monotonic() + FORWARD_SECONDS
    with report.step("handover"):
        began = time.monotonic()
        try:
            report.remarks += handover.hand_over(session, _nothing_more).remarks
        except (CdcsyncError, psycopg.Error) as error:
            _hand_over_again(context, session, report, error, deadline)
        else:
            session.store.handover_took(fixed_seconds(report.steps) + time.monotonic() - began)


def _hand_over_again(
    context: Context, session: Session, report: CutoverReport, error: Exception, deadline: float
) -> None:
    while passes_by_itself(error) and time.monotonic() < deadline:
        logger.warning("the handover waits for PostgreSQL: {}", one_line(error))
        time.sleep(0.2)
        try:
            session.reopen(context, "cutover")
            if session.checkpoint.state != "cut_over":
                report.remarks += handover.hand_over(session, _nothing_more).remarks
        except (CdcsyncError, psycopg.Error) as again:
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

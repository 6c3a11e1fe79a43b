"""Drain: apply everything, and see that nothing comes after it, in a write pause the operator makes."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

from cdcsync.edges.holders import holders
from cdcsync.machine import handover as handing_over
from cdcsync.machine.context import Context, uncaptured_tables
from cdcsync.machine.handover import HandoverReport
from cdcsync.machine.rollback import refuse_lifted_alone
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up, copy_stale
from cdcsync.machine.sync import Sync
from cdcsync.machine.validation import validate_constraints
from cdcsync.words.errors import DriftError, PermanentStopError, RefusedError, SourceChangedError

LOOK_SECONDS = 0.05


@dataclass(slots=True)
class DrainReport:
    """What drain found. `new_changes`: entries that came while the source should have been quiet.

    `holders`: processes that then had the source open, as far as the system tells.
    """

    drained: bool = False
    quiet: bool = False
    handed_over: bool = False
    applied_seq: int = 0
    new_changes: int = 0
    tables: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    seconds: float = 0.0
    reason: str = ""
    handover: HandoverReport | None = None


class _OutOfTimeError(Exception):
    """The timeout ran out before the head was reached."""


class _NotQuietError(Exception):
    """The source was written to after the drain."""


def drain(
    context: Context, *, timeout: float, quiet_seconds: float, handover: bool, accept_quarantine: int = 0
) -> DrainReport:
    """Drain to the head, watch the source for `quiet_seconds`, and hand over if asked to.

    Works beside a running daemon, which stands by meanwhile, and without one. Raises what `Session` raises.
    """
    report = DrainReport()
    began = time.monotonic()

    def watch() -> None:
        if time.monotonic() - began > timeout:
            raise _OutOfTimeError

    with Session(context) as session:
        if session.checkpoint.state == "cut_over":
            return _handed_over_before(session)
        session.take("drain")
        session.target.execute("session.sql", "strict_commits")
        try:
            bring_up(session, Sync(session), watch)
            copy_stale(session)
            report.drained = True
            _stay_quiet(session, quiet_seconds)
            report.quiet = True
            if handover:
                _refuse_open_drift(session)
                refuse_quarantine(session, accept_quarantine)
                report.handover = HandoverReport(remarks=left_behind(session) + handing_over.complete(session).remarks)
                report.handover.remarks += handing_over.hand_over(session, lambda: _decide(session)).remarks
                report.handed_over = True
                report.handover.remarks += validate_constraints(session)
        except _OutOfTimeError:
            report.reason = f"not drained within {timeout:.0f} s: changes come faster, or a table is being copied"
            report.holders = who_has_it_open(session)
        except DriftError as error:
            report.quiet = False
            report.reason = str(error)
        except _NotQuietError:
            report.quiet = False
            _describe_changes(session, report)
        finally:
            report.applied_seq = session.checkpoint.position.seq
            if not report.handed_over:
                session.release()
    report.seconds = time.monotonic() - began
    return report


def _handed_over_before(session: Session) -> DrainReport:
    """Finish what a handover that was cut short has left: foreign keys that guard new rows only."""
    refuse_lifted_alone(session.source)
    remarks: list[str] = []
    # The tables are the application's by now, which may have changed them.
    with suppress(SourceChangedError, PermanentStopError):
        session.prepare_handed_over()
        remarks = validate_constraints(session)
    return DrainReport(
        drained=True,
        quiet=True,
        handed_over=True,
        applied_seq=session.checkpoint.position.seq,
        reason="already cut over",
        handover=HandoverReport(remarks=remarks),
    )


def _decide(session: Session) -> None:
    """The last look: nothing was written, and whatever could have been written would have left an entry."""
    _stay_quiet(session, 0.0)
    session.forget_schema_version()
    with session.source.reading():
        session.refuse_drift()


def _refuse_open_drift(session: Session) -> None:
    """What is not mended by now needs a person: a table the source dropped."""
    if unsettled := [
        f"table {gap.table}: {gap.kind}; {gap.answer}" for gap in session.store.gaps() if not gap.closed_at
    ]:
        message = f"nothing is handed over while the schemas differ: {'; '.join(unsettled)}"
        raise RefusedError(message)


def refuse_quarantine(session: Session, accepted: int) -> None:
    """Raise RefusedError where more rows are in quarantine than are accepted: they would not be in PostgreSQL."""
    session.know_quarantine()
    aside = sum(session.quarantined.values())
    if aside > accepted:
        message = (
            f"{aside} rows are in quarantine and would be missing: see cdcsync quarantine list, mend them, or go on "
            f"without them by --accept-quarantine {aside}"
        )
        raise RefusedError(message)


def left_behind(session: Session) -> list[str]:
    """Say which tables created since install do not move; nobody asked for them, and nobody should be surprised."""
    with session.source.reading():
        names = uncaptured_tables(session.source, session.settings, session.installation.numbers)
    return [f"table {name} was created since install and is not captured: its rows stay in SQLite" for name in names]


def who_has_it_open(session: Session) -> list[str]:
    """Name the processes besides this one and the daemon that have the source open, as far as the system tells."""
    ours = {os.getpid()}
    if (daemon := session.store.read_daemon()) is not None and daemon[1] == socket.gethostname():
        ours.add(daemon[0])
    return [str(holder) for holder in holders(session.source.path, ours)]


def _stay_quiet(session: Session, seconds: float) -> None:
    """Watch the head; a change means that somebody still writes."""
    deadline = time.monotonic() + seconds
    while True:
        if int(session.source.ask("head")) != session.checkpoint.position.seq:
            raise _NotQuietError
        if session.source.was_replaced():
            message = "the source was replaced by another file during the drain: nothing is handed over"
            raise RefusedError(message)
        if time.monotonic() >= deadline:
            return
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def _describe_changes(session: Session, report: DrainReport) -> None:
    with session.source.reading():
        position, head = session.checkpoint.position.seq, int(session.source.ask("head"))
        changed = dict(session.source.rows("tables_changed", position, head))
    report.new_changes = head - position
    report.holders = who_has_it_open(session)
    report.tables = sorted(session.plans[number].name for number in changed if number in session.plans)
    report.reason = (
        f"the source is not quiet: {report.new_changes} changes came after the drain, "
        f"in {', '.join(report.tables) or 'no table of ours'}: stop the application's writes, then run it again"
    )

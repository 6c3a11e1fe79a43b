"""After the handover: switch the application over, try it, and see what was handed over."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Self

import psycopg
from loguru import logger

from cdcsync.edges.target import Target, one_line
from cdcsync.machine.context import Context
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.hooks import run_hook
from cdcsync.machine.rollback import switch_back, take_back
from cdcsync.machine.session import Session
from cdcsync.machine.validation import validate_constraints
from cdcsync.words.errors import CdcsyncError, HookError, PermanentStopError, SourceChangedError


class Counting:
    """Counts the rows that were handed over, after the pause: in a snapshot of PostgreSQL taken before it ended."""

    def __init__(self, context: Context, session: Session) -> None:
        """Nothing is counted before `counts`."""
        self._context, self._session = context, session
        self._target: Target | None = None

    def __enter__(self) -> Self:
        """Take the snapshot; without one there will be no counts."""
        try:
            self._target = self._context.open_target()
            self._target.control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._target.ask("checkpoint.sql", "owner", source_id=self._session.store.source_id)
        except (CdcsyncError, psycopg.Error) as error:
            logger.warning("rows will not be counted: {}", one_line(error))
            self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the snapshot go."""
        if self._target is not None:
            self._target.close()
            self._target = None

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the rows of each table on both sides; the source is fenced, it does not move."""
        found: dict[str, dict[str, int]] = {}
        if self._target is None:
            return found
        try:
            for number, plan in self._session.plans.items():
                with self._session.source.reading():
                    here = self._session.count_source(number)
                there = self._session.writers[number].count(self._target)
                found[plan.name] = {"source": here, "target": there}
        except (CdcsyncError, psycopg.Error) as error:
            logger.warning("rows could not be counted: {}", one_line(error))
        return found


def switch(session: Session, report: CutoverReport, counting: Counting) -> None:
    """Run the hooks that switch and try the application, then whatever had to wait for the end of the pause."""
    if not _switch(session, report):
        return
    with report.step("count"):
        report.row_counts = counting.counts()
    _compare(session, report)
    with report.step("validate"):
        report.remarks += validate_constraints(session)
    report.done = True


def finish(session: Session, report: CutoverReport) -> None:
    """Do what is left of a cutover that was cut short after the handover; nothing where nothing is."""
    if session.store.switched_at is None and not _switch(session, report):
        return
    # The tables are the application's by now, which may have changed them.
    with suppress(SourceChangedError, PermanentStopError):
        session.prepare_handed_over()
        report.remarks += validate_constraints(session)
    report.remarks.append(f"handed over at {session.store.cut_over_at:%Y-%m-%d %H:%M:%S %Z}")
    report.done = True


def _switch(session: Session, report: CutoverReport) -> bool:
    began = time.monotonic()
    try:
        for hook in ("after_handover", "smoke_test"):
            with report.step(hook):
                run_hook(session, hook, "cut_over", report.pause_seconds)
    except HookError as failed:
        report.switch_seconds = round(time.monotonic() - began, 3)
        _go_back(session, report, failed)
        return False
    report.switch_seconds = round(time.monotonic() - began, 3)
    session.store.switched()
    return True


def _go_back(session: Session, report: CutoverReport, failed: HookError) -> None:
    """As long as nobody has written to PostgreSQL the way back loses nothing, so it is taken; else a person decides."""
    try:
        taken = take_back(session, discard=False)
    except (CdcsyncError, psycopg.Error) as error:
        report.reason = f"{failed}; going back failed too: {one_line(error)}: run cdcsync rollback"
        return
    if taken.done:
        switch_back(session, taken)
        report.remarks += taken.remarks
        report.reason = f"{failed}; nobody had written to PostgreSQL, so the application is back on SQLite"
        return
    written = ", ".join(taken.target_writes)
    report.reason = (
        f"{failed}; PostgreSQL was written to already ({written}), so it stays in charge: mend it and run cdcsync "
        "cutover again, or give these writes up with cdcsync rollback --discard-target-writes"
    )


def _compare(session: Session, report: CutoverReport) -> None:
    """Hold the counts against each other: what is in quarantine is missing, and nothing else."""
    aside = session.quarantine.counts()
    for number, plan in session.plans.items():
        counted = report.row_counts.get(plan.name)
        missing = 0 if counted is None else counted["source"] - counted["target"] - aside.get(number, 0)
        if missing:
            # It was compared key by key: somebody wrote past the guard.
            message = f"table {plan.name}: {missing} rows of SQLite are not in PostgreSQL"
            report.remarks.append(message)
            session.store.note("error", message)
    if not report.row_counts:
        report.remarks.append("rows were not counted")

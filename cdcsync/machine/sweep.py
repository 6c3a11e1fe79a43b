"""The background verification: read every table through once, at a gentle rate, then follow what changes.

A cutover then finds the ledger up to date, and has to compare only the keys of the last moments in its pause.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress

import psycopg
from loguru import logger

from cdcsync.edges.ledger import Proven
from cdcsync.edges.target import one_line
from cdcsync.machine.comparison import Comparison
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.verify_report import TableResult, VerifyReport
from cdcsync.words.errors import CdcsyncError, GaveUpError, StopRequestedError
from cdcsync.words.nouns import TablePlan

MOST_BEHIND = 20_000
"""Entries the target may be behind: further behind nearly everything differs for the moment, and says nothing."""

TURN_SECONDS = 1.0
"""Between two turns, and while a large table is read through, between two looks at what changed in the others."""

MEASURED_KEYS = 100
"""Fewer keys say nothing about how many are compared in a second."""

AGAIN_SECONDS = 300.0
"""After a table was found different it is read through again this much later: somebody may be mending it."""


class Sweeper:
    """Verifies one source in turns, in a thread of its own, with connections of its own."""

    def __init__(self, context: Context) -> None:
        """Nothing is opened before `start`."""
        self._context, self._ending = context, threading.Event()
        self._rate = context.settings.verify_rows_per_second
        self._session: Session | None = None
        self._tried: dict[int, float] = {}
        self._followed_at = 0.0
        self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin, unless the settings say that there is no background verification."""
        if self._rate:
            self._thread.start()

    def stop(self) -> None:
        """End, also where PostgreSQL does not answer or a read takes long."""
        self._ending.set()
        while self._thread.is_alive():
            # It may close both at this very moment.
            with suppress(sqlite3.ProgrammingError):
                if (session := self._session) is not None:
                    session.target.cut()
                    session.source.stop_soon()
            self._thread.join(0.2)

    def turn(self) -> None:
        """Bring the ledger up to date, or a table nearer to that. Whatever is in the way passes or shows elsewhere."""
        try:
            session = self._prepared()
            if session.store.read().state == "streaming":
                self._watch(session)
                self._sweep_what_is_unproven(session)
                self._follow(session)
        except StopRequestedError:
            self.close()
        except (CdcsyncError, psycopg.Error, sqlite3.Error) as error:
            # The stream meets the same trouble and answers it.
            logger.debug("background verification interrupted: {}", one_line(error))
            self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def _run(self) -> None:
        try:
            while not self._ending.wait(TURN_SECONDS):
                self.turn()
        finally:
            self.close()

    def _prepared(self) -> Session:
        if self._session is not None and self._session.source.was_replaced():
            self.close()
        if self._session is None:
            self._session = Session(self._context)
            self._session.prepare()
        elif not self._is_as_it_was(self._session):
            self._session.prepare()
        return self._session

    @staticmethod
    def _is_as_it_was(session: Session) -> bool:
        """Tell whether schema, history and copies are those the session was prepared for."""
        stored = session.store.read()
        with session.source.reading():
            return (
                not session.schema_moved()
                and session.is_this_history(stored.position)
                and stored.tables == session.checkpoint.tables
            )

    def _sweep_what_is_unproven(self, session: Session) -> None:
        proven = session.ledger.read()
        for plan in session.keyed:
            before = proven.get(plan.number)
            if before is None or (before.differences and self._is_time(plan)):
                self._sweep(session, plan)

    def _is_time(self, plan: TablePlan) -> bool:
        return time.monotonic() - self._tried.get(plan.number, -AGAIN_SECONDS) >= AGAIN_SECONDS

    def _sweep(self, session: Session, plan: TablePlan) -> None:
        def gently(_table: str, rows: int) -> None:
            """Keep to the rate the settings give; what was proven of the other tables must not grow old meanwhile."""
            self._ending.wait(rows / self._rate)
            self._watch(session)
            if time.monotonic() - self._followed_at > TURN_SECONDS:
                self._follow(session, besides=plan)

        self._tried[plan.number] = time.monotonic()
        report, remade = VerifyReport(), session.ledger.remade(plan.number)
        result = Comparison(session, plan, report, None, gently).run()
        if self._still_holds(session, result) and record(session, plan, result, remade):
            self._tell(session, plan, report, result)

    def _follow(self, session: Session, besides: TablePlan | None = None) -> None:
        self._followed_at = time.monotonic()
        proven = session.ledger.read()
        for plan in session.keyed:
            if plan.number in proven and plan is not besides:
                self._follow_table(session, plan, proven[plan.number])

    def _follow_table(self, session: Session, plan: TablePlan, before: Proven) -> None:
        position = session.store.read().position
        if position.seq <= before.seq:
            return
        report = VerifyReport()
        began = time.perf_counter()
        result = Comparison(session, plan, report, None, lambda _table, _rows: self._watch(session)).since(before.seq)
        if result.rows_source >= MEASURED_KEYS:
            session.ledger.measured(result.rows_source / (time.perf_counter() - began))
        if result.proven_seq is not None and self._still_holds(session, result):
            session.ledger.followed(before, position.epoch, result.proven_seq, result.differences)
            self._tell(session, plan, report, result)

    def _still_holds(self, session: Session, result: TableResult) -> bool:
        """Tell whether a difference is one: none is while drift or another history is answered, or rows are mended."""
        return not result.differences or (self._is_as_it_was(session) and session.store.read().state == "streaming")

    def _watch(self, session: Session) -> None:
        """Called at every page. Raises GaveUpError where the target is far behind: there is always a later turn."""
        if self._ending.is_set():
            raise StopRequestedError
        with session.source.reading():
            head = int(session.source.ask("head"))
        if head - session.store.read().position.seq > MOST_BEHIND:
            message = "the target is too far behind to be compared"
            raise GaveUpError(message)

    @staticmethod
    def _tell(session: Session, plan: TablePlan, report: VerifyReport, result: TableResult) -> None:
        if not result.differences:
            logger.debug("background verification: table {} is equal up to position {}", plan.name, result.proven_seq)
            return
        first = report.shown[0] if report.shown else None
        place = "" if first is None else f", such as key {first.key}"
        message = f"background verification: {result.differences} rows of table {plan.name} differ{place}"
        message += ": cdcsync verify --repair mends them"
        logger.error(message)
        with suppress(psycopg.Error):
            session.store.note("error", message)


def record(session: Session, plan: TablePlan, result: TableResult, remade: int) -> bool:
    """Write down in the ledger that a table was read through; False where that says nothing any more."""
    if result.proven_seq is None:
        return False
    epoch, rows = session.checkpoint.position.epoch, result.rows_source
    return session.ledger.swept(plan.number, epoch, result.proven_seq, rows, result.differences, remade=remade)

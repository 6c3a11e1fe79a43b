"""The background verification: read every table through once, at a gentle rate, then follow what changes.

A cutover then finds the ledger up to date, and has to compare only the keys of the last moments in its pause.
"""

from __future__ import annotations

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
from cdcsync.words.errors import CdcsyncError, StopRequestedError
from cdcsync.words.nouns import TablePlan

FOLLOW_ENTRIES = 20_000
"""Most entries whose keys are compared in one turn; more are a turn of their own each."""

MEASURED_KEYS = 100
"""Fewer keys say nothing about how many are compared in a second."""

AGAIN_SECONDS = 300.0
"""After a table was found different it is read through again this much later: somebody may be mending it."""


class Sweeper:
    """Verifies one source in turns, with connections of its own. Usable by one thread at a time."""

    def __init__(self, context: Context, ending: threading.Event) -> None:
        """`ending` is looked at after every page."""
        self._context, self._ending = context, ending
        self._rate = context.settings.verify_rows_per_second
        self._session: Session | None = None
        self._tried: dict[int, float] = {}

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def cut(self) -> None:
        """End a wait for PostgreSQL, from another thread."""
        if self._session is not None:
            self._session.target.cut()

    def turn(self) -> None:
        """Bring the ledger up to date, or a table nearer to that. Whatever is in the way passes or shows elsewhere."""
        try:
            self._turn(self._prepared())
        except StopRequestedError:
            self.close()
        except (CdcsyncError, psycopg.Error) as error:
            # The stream meets the same trouble and answers it.
            logger.debug("background verification interrupted: {}", one_line(error))
            self.close()

    def _prepared(self) -> Session:
        if self._session is None:
            self._session = Session(self._context)
            self._session.prepare()
        session = self._session
        if session.source.was_replaced():
            self.close()
            return self._prepared()
        with session.source.reading():
            moved = session.schema_moved()
        if moved or session.store.read().tables != session.checkpoint.tables:
            session.prepare()
        return session

    def _turn(self, session: Session) -> None:
        if session.store.read().state != "streaming":
            return
        proven = session.ledger.read()
        for plan in session.keyed:
            if plan.number not in proven or (proven[plan.number].differences and self._is_time(plan)):
                self._sweep(session, plan)
        for plan in session.keyed:
            if plan.number in proven:
                self._follow(session, plan, proven[plan.number])

    def _is_time(self, plan: TablePlan) -> bool:
        return time.monotonic() - self._tried.get(plan.number, 0.0) > AGAIN_SECONDS

    def _sweep(self, session: Session, plan: TablePlan) -> None:
        self._tried[plan.number] = time.monotonic()
        report = VerifyReport()
        result = Comparison(session, plan, report, None, self._gently).run()
        record(session, plan, result)
        self._tell(plan, report, result)

    def _follow(self, session: Session, plan: TablePlan, before: Proven) -> None:
        position = session.store.read().position
        if position.seq <= before.seq:
            return
        report = VerifyReport()
        began = time.perf_counter()
        result = Comparison(session, plan, report, None, self._watch).since(before.seq)
        if result.rows_source >= MEASURED_KEYS:
            session.ledger.measured(result.rows_source / (time.perf_counter() - began))
        if result.proven_seq is not None:
            session.ledger.followed(before, position.epoch, result.proven_seq, result.differences)
        self._tell(plan, report, result)

    def _gently(self, table: str, rows: int) -> None:
        """Keep to the rate the settings give."""
        self._ending.wait(rows / self._rate)
        self._watch(table, rows)

    def _watch(self, _table: str, _rows: int) -> None:
        if self._ending.is_set():
            raise StopRequestedError

    def _tell(self, plan: TablePlan, report: VerifyReport, result: TableResult) -> None:
        if not result.differences:
            logger.debug("background verification: table {} is equal up to position {}", plan.name, result.proven_seq)
            return
        first = report.shown[0] if report.shown else None
        place = "" if first is None else f", such as key {first.key}"
        message = f"background verification: {result.differences} rows of table {plan.name} differ{place}"
        logger.error("{}: cdcsync verify --repair mends them", message)
        if self._session is not None:
            with suppress(psycopg.Error):
                self._session.store.note("error", f"{message}: cdcsync verify --repair mends them")


def record(session: Session, plan: TablePlan, result: TableResult) -> None:
    """Write down in the ledger that a table was read through."""
    if result.proven_seq is not None:
        epoch = session.checkpoint.position.epoch
        session.ledger.swept(plan.number, epoch, result.proven_seq, result.rows_source, result.differences)

"""What the daemon does besides streaming, on APScheduler: heartbeat, drift recheck, size watch, pruning.

Chores run in threads of their own with a connection of their own: the stream never waits for them.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC

import psycopg
from apscheduler.schedulers.background import BackgroundScheduler
from loguru import logger

from cdcsync.edges import capture, notify
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.source import MIB, Source
from cdcsync.edges.target import Target, one_line
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.status import size_warnings
from cdcsync.machine.sweep import Sweeper
from cdcsync.words.errors import CdcsyncError

HEARTBEAT_SECONDS = 1.0
RECHECK_SECONDS = 30.0
SIZES_SECONDS = 60.0

PRUNE_ENTRIES = 1000
"""Entries deleted in one transaction: a millisecond or two."""

PRUNE_PAUSE_SECONDS = 0.05

ALIVE_SECONDS = 10.0
"""The stream counts as alive this long after its last beat, and while PostgreSQL works for it."""


class Chores:
    """The chores of one working session; they end with it."""

    def __init__(self, context: Context, session: Session, wake: Callable[[], None]) -> None:
        """Prepare; `wake` ends the stream's wait when it should look at something."""
        self._context, self._session, self._wake = context, session, wake
        self._owner = session.store.owner
        self._lost = threading.Event()
        self._beat = time.monotonic()
        self._recheck_due = threading.Event()
        self._closing = threading.Event()
        self._target: Target | None = None
        self._sweeper = Sweeper(context)
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Begin, with a first heartbeat before anything else."""
        self._heartbeat()
        for chore, seconds in (
            (self._heartbeat, HEARTBEAT_SECONDS),
            (self._recheck, RECHECK_SECONDS),
            (self._sizes, SIZES_SECONDS),
        ):
            self._scheduler.add_job(chore, "interval", seconds=seconds)
        self._scheduler.start()
        self._sweeper.start()

    def close(self) -> None:
        """End all chores and their connection."""
        self._closing.set()
        # A heartbeat may hang on a server that does not answer.
        if self._target is not None:
            self._target.cut()
        self._sweeper.stop()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
        if self._target is not None:
            self._target.close()

    def beat(self) -> None:
        """Say that the stream is moving."""
        self._beat = time.monotonic()

    def is_recheck_due(self) -> bool:
        """Tell whether it is time to look at what nobody tells us, once each time."""
        due = self._recheck_due.is_set()
        self._recheck_due.clear()
        return due

    def lost_checkpoint(self) -> bool:
        """Tell whether another verb took the checkpoint: an idle stream makes no transaction that would notice."""
        return self._lost.is_set()

    def took_checkpoint(self) -> None:
        """Forget that it was lost."""
        self._lost.clear()

    def _heartbeat(self) -> None:
        try:
            store = self._store()
            store.heartbeat(self._session.looked_at)
            if store.current_owner() != self._owner:
                self._lost.set()
                self._wake()
            self._notify()
        except (CdcsyncError, psycopg.Error) as error:
            # The stream meets the same trouble and does something about it.
            logger.debug("heartbeat failed: {}", one_line(error))
            if self._target is not None:
                self._target.close()
                self._target = None

    def _store(self) -> CheckpointStore:
        if self._target is None:
            self._target = self._context.open_target()
        return CheckpointStore(self._target, self._session.store.source_id)

    def _notify(self) -> None:
        if not notify.is_watched():
            return
        checkpoint = self._session.checkpoint
        with Source(self._session.source.path) as source:
            lag = source.lag(checkpoint.position.seq)
        notify.status(f"{checkpoint.state}, {lag.changes} changes behind, {lag.seconds:.1f} s")
        # Building an index may take an hour without a beat: PostgreSQL knows that it does.
        if time.monotonic() - self._beat < ALIVE_SECONDS or self._store().is_working(self._session.target.backend_pid):
            notify.watchdog()

    def _recheck(self) -> None:
        """A trigger removed under writable_schema does not move schema_version: look at the hash anyway."""
        self._session.forget_schema_version()
        self._recheck_due.set()
        self._wake()

    def _sizes(self) -> None:
        try:
            with self._context.open_source() as source:
                wal, log = source.wal_bytes(), source.log_bytes()
            for warning in size_warnings(wal, log, self._session.settings):
                logger.warning(warning)
            if 0 < self._session.settings.prune_max_mb < log / MIB:
                self._prune()
        except (CdcsyncError, sqlite3.Error) as error:
            logger.warning("the changelog could not be looked after: {}", one_line(error))

    def _prune(self) -> None:
        """Delete what is applied and old enough, in many short transactions with pauses for the application."""
        path, hours = self._session.source.path, self._session.settings.prune_min_hours
        below, entries, longest = self._session.checkpoint.position.seq, 0, 0.0
        while not self._closing.is_set():
            deleted, seconds = capture.prune(path, below, hours, PRUNE_ENTRIES)
            entries, longest = entries + deleted, max(longest, seconds)
            if deleted == 0:
                break
            self._closing.wait(PRUNE_PAUSE_SECONDS)
        if entries:
            logger.info("pruned {} entries; the write lock was held for {:.1f} ms at most", entries, longest * 1000)

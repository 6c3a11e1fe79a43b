"""The daemon: stream until told to stop, stand by while another verb has the checkpoint, come back from errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from loguru import logger

from cdcsync.core.backoff import Backoff
from cdcsync.edges import notify
from cdcsync.edges.fence import fence_message
from cdcsync.edges.source import Source
from cdcsync.edges.target import one_line, passes_by_itself
from cdcsync.edges.wakeup import Wakeup
from cdcsync.machine.chores import Chores
from cdcsync.machine.context import Context, Installation
from cdcsync.machine.reconcile import forget_what_is_gone
from cdcsync.machine.rollback import refuse_lifted_alone
from cdcsync.machine.session import TAKEOVER_SECONDS, Session
from cdcsync.machine.stopping import Stopping
from cdcsync.machine.stream import BringUpReport, bring_up, catch_up, copy_stale
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import (
    CdcsyncError,
    FencedError,
    LostCheckpointError,
    NotInstalledError,
    PermanentStopError,
    RefusedError,
    SourceBusyError,
    SourceChangedError,
    StopRequestedError,
    UsageError,
)

REPLACING_SECONDS = 60.0
"""How long a file may be missing or half written while somebody puts another in its place."""

FENCE_SECONDS = 0.5
"""Between two looks at a fence that somebody left behind."""


class SourceReplacedError(Exception):
    """Another file lies at the source's path: open it again and see whether it is the same history."""


class Daemon:
    """One run of the daemon on one source. `stop` is called from another thread."""

    def __init__(self, context: Context) -> None:
        """Prepare; nothing is opened before `run` or `run_once`."""
        self._context = context
        self._stopping = Stopping()
        self._wakeup: Wakeup | None = None
        self._chores: Chores | None = None

    def stop(self) -> None:
        """Ask it to end after the transaction at hand; cancel that one if it takes long, and leave if it hangs."""
        self._stopping.ask()
        if self._wakeup is not None:
            self._wakeup.wake()

    def run(self) -> None:
        """Stream until stopped or cut over; lost connections are retried for ever.

        Raises RefusedError where another daemon runs, TargetError if PostgreSQL was never reached, and
        PermanentStopError for what a restart cannot mend, which it also records as the state.
        """
        try:
            self._run()
        finally:
            self._stopping.ended()

    def _run(self) -> None:
        backoff = Backoff()
        being_replaced = 0.0
        while not self._stopping.is_asked():
            try:
                with self._working() as session:
                    backoff.succeeded()
                    self._stream(session)
                    return
            except StopRequestedError:
                return
            except NotInstalledError as error:
                if self._chores is None:
                    raise
                # Somebody put a file in place that knows nothing of us.
                message = f"{error}; does not retry by itself"
                raise PermanentStopError(message) from error
            except SourceReplacedError:
                logger.warning("the source was replaced by another file: opening it again")
                being_replaced = time.monotonic() + REPLACING_SECONDS
            except UsageError as error:
                if time.monotonic() > being_replaced:
                    raise
                logger.warning("{}: it is being replaced, perhaps; trying again", error)
                self._stopping.wait(0.5)
            except Exception as error:
                if not (isinstance(error, SourceBusyError) or passes_by_itself(error)) or self._never_reached(error):
                    raise
                delay = backoff.failed(random.random())  # noqa: S311  jitter, no secret
                logger.warning("{}; trying again in {:.1f} s", one_line(error), delay)
                self._stopping.wait(delay)

    def run_once(self) -> BringUpReport:
        """Copy, catch up, copy tables without a key, and return."""
        try:
            return self._run_once()
        finally:
            self._stopping.ended()

    def _run_once(self) -> BringUpReport:
        with self._working() as session:
            if session.checkpoint.state == "cut_over":
                refuse_lifted_alone(session.source)
                logger.info("cut over: nothing left to do")
                return BringUpReport()
            sync = Sync(session)
            report = bring_up(session, sync, self._watch)
            copy_stale(session)
            session.release()
            return report

    def _never_reached(self, error: Exception) -> bool:
        return self._chores is None and not isinstance(error, SourceBusyError)

    @contextmanager
    def _working(self) -> Iterator[Session]:
        """Open a session that holds daemon lock and checkpoint, with wake-up and chores around it."""
        with Session(self._context) as session:
            self._stopping.session = session
            try:
                self._become_the_daemon(session)
                logger.info("following {} from position {}", session.source.path, session.checkpoint.position.seq)
                with self._surroundings(session):
                    session.target.execute("session.sql", "loose_commits")
                    # Ready, not up to date: a copy may take longer than any start is given.
                    notify.ready()
                    yield session
            except (PermanentStopError, SourceChangedError, UsageError) as error:
                self._record_stop(session, error)
                raise
            except NotInstalledError as error:
                stop = PermanentStopError(f"{_why_not_installed(session.source) or error}; does not retry by itself")
                self._record_stop(session, stop)
                raise stop from error
            except psycopg.Error as error:
                if passes_by_itself(error):
                    raise
                # A missing table or right does not come back by waiting.
                stop = PermanentStopError(f"PostgreSQL: {one_line(error)}; does not retry by itself")
                self._record_stop(session, stop)
                raise stop from error
            finally:
                self._stopping.session = None

    @contextmanager
    def _surroundings(self, session: Session) -> Iterator[None]:
        wakeup = Wakeup(session.source.path, session.settings.poll_seconds)
        chores = Chores(self._context, session, wakeup.wake)
        self._wakeup, self._chores = wakeup, chores
        try:
            chores.start()
            yield
        finally:
            chores.close()
            self._wakeup = None
            wakeup.close()

    def _become_the_daemon(self, session: Session) -> None:
        """Wait a little for a killed predecessor's session to end, then for any verb that is at work."""
        self._poll(lambda: session.store.try_lock("daemon"), TAKEOVER_SECONDS)
        if not session.store.holds("daemon"):
            holder = session.store.read_daemon()
            who = f" (pid {holder[0]} on {holder[1]})" if holder else ""
            message = f"another daemon is running on this source{who}: stop it first"
            raise RefusedError(message)
        self._take(session)
        session.store.try_left_out_again()

    def _take(self, session: Session) -> None:
        self._poll(lambda: session.try_take("daemon"), None)

    def _poll(self, attempt: Callable[[], bool], seconds: float | None) -> None:
        waited = 0.0
        while not attempt():
            if seconds is not None and waited >= seconds:
                return
            self._stopping.wait(0.2)
            waited += 0.2
            self._stay_alive()

    def _stream(self, session: Session) -> None:
        while session.checkpoint.state != "cut_over":
            try:
                sync = Sync(session)
                bring_up(session, sync, self._watch)
                logger.info("streaming from position {}", session.checkpoint.position.seq)
                with suppress(SourceChangedError):
                    # Bringing it up again begins with the answer.
                    self._follow(session, sync)
            except LostCheckpointError:
                self._stand_by(session)
            except FencedError as error:
                self._wait_behind(session, error)
        refuse_lifted_alone(session.source)
        logger.info("cut over: nothing left to do")

    def _follow(self, session: Session, sync: Sync) -> None:
        def is_new() -> bool:
            self._watch()
            with session.source.reading():
                return session.schema_moved() or int(session.source.ask("head")) != session.checkpoint.position.seq

        while True:
            if self._wakeup is not None and self._wakeup.wait(is_new):
                catch_up(session, sync, self._watch)
            self._watch()
            if self._chores is not None and self._chores.is_recheck_due():
                forget_what_is_gone(session)
                session.refresh()
                session.refuse_changed_target()
            if session.source.was_replaced():
                raise SourceReplacedError

    def _stand_by(self, session: Session) -> None:
        """Let go, and take the checkpoint back when whoever has it is done or dead."""
        logger.info("another verb took the checkpoint over: standing by")
        session.store.unlock("holder")
        # Whoever wants it asks every 50 ms; do not be faster.
        self._stopping.wait(1.0)
        self._take(session)
        if self._chores is not None:
            self._chores.took_checkpoint()
        logger.info("took the checkpoint back in state {}", session.checkpoint.state)

    def _wait_behind(self, session: Session, error: FencedError) -> None:
        """Leave a fence to whoever goes on with the cutover, or goes back."""
        logger.warning("{}", error)
        session.release()
        while fence_message(session.source) is not None and session.store.read().state != "cut_over":
            self._stopping.wait(FENCE_SECONDS)
            self._stay_alive()
        self._take(session)

    def _watch(self) -> None:
        """What every wait, page and cycle calls: end when told to, let go when another verb took the checkpoint."""
        self._stay_alive()
        if self._chores is not None and self._chores.lost_checkpoint():
            raise LostCheckpointError

    def _stay_alive(self) -> None:
        if self._stopping.is_asked():
            raise StopRequestedError
        if self._chores is not None:
            self._chores.beat()

    @staticmethod
    def _record_stop(session: Session, error: CdcsyncError) -> None:
        """Leave the reason where `status` finds it; the error itself matters more than failing at that."""
        try:
            session.store.set_state("stopped")
            session.store.note("error", str(error))
        except psycopg.Error as unrecorded:
            logger.warning("could not record the stop: {}", one_line(unrecorded))


def _why_not_installed(source: Source) -> str | None:
    try:
        Installation(source)
    except NotInstalledError as error:
        return str(error)
    return None

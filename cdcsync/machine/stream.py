"""Bring a source's target up to date and keep it there: what daemon, `run --once` and `drain` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from cdcsync.edges.fence import fence_message, forget_lifted_alone, was_lifted_alone
from cdcsync.machine.completion import complete_target
from cdcsync.machine.reconcile import reconcile
from cdcsync.machine.repair import repair_all
from cdcsync.machine.session import Session
from cdcsync.machine.snapshot import copy_all, copy_whole
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import FencedError, SourceChangedError

Watch = Callable[[], None]


@dataclass(slots=True)
class BringUpReport:
    """What it took until the target equalled a state of the source. Seconds, rows of all tables."""

    rows: int = 0
    copy_seconds: float = 0.0
    catch_up_seconds: float = 0.0


def bring_up(session: Session, sync: Sync, watch: Watch) -> BringUpReport:
    """Answer drift, copy what is not copied, mend what is not equal, catch up, complete the target.

    Raises PermanentStopError where a person has to decide, FencedError where a cutover was cut short.
    """
    if (message := fence_message(session.source)) is not None:
        raise FencedError(message)
    if was_lifted_alone(session.source):
        # PostgreSQL has heard of it: it does not take itself for handed over.
        forget_lifted_alone(session.source.path)
    found: SourceChangedError | None = None
    while True:
        if not reconcile(session, watch) and found is not None:
            # Nobody sees what the read stumbled over: trying again would not end.
            raise found
        try:
            return _bring_up(session, sync, watch)
        except SourceChangedError as error:
            found = error


def _bring_up(session: Session, sync: Sync, watch: Watch) -> BringUpReport:
    unfinished = [p for p in session.checkpoint.tables if p.state in {"pending", "copying"}]
    if unfinished:
        logger.info("copying {} of {} tables", len(unfinished), len(session.plans))
    copied = copy_all(session, watch)
    if unfinished:
        logger.info("copied {} rows in {:.1f} s", copied.rows, copied.seconds)
    repair_all(session, watch)
    began = time.perf_counter()
    catch_up(session, sync, watch)
    complete_target(session, "default", "not_null", "check", "unique")
    # Building the indexes took time in which the source moved on.
    catch_up(session, sync, watch)
    return BringUpReport(
        rows=sum(p.rows_copied for p in session.checkpoint.tables),
        copy_seconds=copied.seconds,
        catch_up_seconds=time.perf_counter() - began,
    )


def catch_up(session: Session, sync: Sync, watch: Watch) -> None:
    """Apply cycles until one reaches the head of the changelog and the state is streaming."""
    while True:
        watch()
        batch = sync.cycle()
        if batch.complete and session.checkpoint.state == session.steady:
            return
        if batch.is_empty:
            session.store.set_state(session.steady)
            session.refresh()
            return


def copy_stale(session: Session) -> int:
    """Copy the tables without a key again if they changed since; return how many were copied."""
    stale = [progress for progress in session.checkpoint.tables if progress.state == "stale"]
    for progress in stale:
        copy_whole(session, progress)
    return len(stale)

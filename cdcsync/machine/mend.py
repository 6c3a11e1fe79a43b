"""What `verify --repair` does beside verifying: take the checkpoint, mend, give it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdcsync.machine.repair import Watch, mark_for_repair
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.errors import SourceChangedError


def answer_drift(session: Session, watch: Watch) -> None:
    """Bring the target up to date where the schema drifted or the changelog is another history; else do nothing."""
    try:
        session.prepare()
    except SourceChangedError:
        with _holding(session):
            bring_up(session, Sync(session), watch)


def repair_different(session: Session, report: VerifyReport, watch: Watch) -> None:
    """Mend the tables a verification found different, and bring the target up to date. Raises what `bring_up` does."""
    with _holding(session):
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            for progress in session.checkpoint.tables:
                if progress.name in report.tables and report.tables[progress.name].differences:
                    mark_for_repair(session.store, progress, keyed=bool(session.plans[progress.number].key))
        bring_up(session, Sync(session), watch)


@contextmanager
def _holding(session: Session) -> Iterator[None]:
    """Hold the checkpoint; a running daemon stands by meanwhile."""
    session.take("verify")
    try:
        yield
    finally:
        session.release()

"""Complete the target with what had to wait: indexes after the copy, unique indexes after the first catch-up."""

from __future__ import annotations

from collections.abc import Callable

from loguru import logger

from cdcsync.edges.control import attach
from cdcsync.edges.target import Target
from cdcsync.machine.session import Session
from cdcsync.words.nouns import PendingDdl

Run = Callable[[Target, str], str | None]
"""Runs a statement, and returns why PostgreSQL refused it."""


def complete_target(session: Session, *phases: str) -> list[str]:
    """Run the pending statements of these phases, each in a transaction of its own; return PostgreSQL's refusals."""
    refusals = []
    for pending in session.store.pending_ddl(*phases):
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            refusals.append(run_pending(session, pending))
    return [refusal for refusal in refusals if refusal is not None]


def run_pending(session: Session, pending: PendingDdl, run: Run = attach) -> str | None:
    """Run one statement inside the caller's transaction; return a line if PostgreSQL refused it.

    A refusal is recorded and never an error: the rows are right, only the index or constraint is missing.
    """
    error = run(session.target, pending.statement)
    session.store.ddl_done(pending.place, error)
    if error is None:
        return None
    refusal = f"{pending.phase} {pending.name} on {pending.table} was refused: {error}"
    logger.warning(refusal)
    return refusal

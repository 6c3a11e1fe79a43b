"""Complete the target with what had to wait: indexes after the copy, unique indexes after the first catch-up."""

from __future__ import annotations

from loguru import logger

from cdcsync.edges.control import run_ddl
from cdcsync.machine.session import Session


def complete_target(session: Session, *phases: str) -> list[str]:
    """Run the pending statements of these phases; return a line for each that PostgreSQL refused.

    A refusal is recorded and never an error: the rows are right, only the index or constraint is missing.
    """
    refusals = []
    for pending in session.store.pending_ddl(*phases):
        with session.target.transaction():
            session.store.hold(session.checkpoint.position)
            error = run_ddl(session.target, pending.statement)
            session.store.ddl_done(pending.place, error)
        if error is not None:
            refusals.append(f"{pending.phase} {pending.name} on {pending.table} was refused: {error}")
            logger.warning(refusals[-1])
    return refusals

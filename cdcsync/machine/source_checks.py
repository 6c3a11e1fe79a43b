"""Validate the CHECKs of the source, which a handover may leave guarding new rows only."""

from __future__ import annotations

from psycopg import sql

from cdcsync.edges import control
from cdcsync.edges.target import table_name
from cdcsync.machine.session import Session

_VALIDATE = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")


def validate_checks(session: Session) -> list[str]:
    """Validate what is not, inside the caller's transaction; return a line for each that does not hold.

    Such a one stays as it is: the rows are what the source has, which took them with ignore_check_constraints or by
    an expression that is true of more values there.
    """
    remarks = []
    for plan in session.plans.values():
        table = table_name(session.settings.target_schema, plan.target)
        for known in control.registered_ddl(session.target, session.store.source_id, plan.name):
            if known.phase != "source_check" or not known.done:
                continue
            refused = control.run_ddl(session.target, _VALIDATE.format(table, sql.Identifier(known.name)).as_string())
            if refused is not None:
                remarks.append(
                    f"check {known.name} of {plan.target} does not hold for all rows ({refused}): it guards new rows "
                    "only (NOT VALID) until they are mended"
                )
    return remarks

"""Validate what a handover left guarding new rows only: that may take its time, and writers go on."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from cdcsync.edges import control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.target import table_name
from cdcsync.machine.session import Session

_FILE = "catalog.sql"
_VALIDATE = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")


@dataclass(frozen=True, slots=True)
class _Unchecked:
    """A foreign key nobody has checked yet, as the catalog tells it."""

    name: str
    table: str
    schema: str
    parent: str
    parent_schema: str
    columns: list[str]
    parent_columns: list[str]


def validate_constraints(session: Session) -> list[str]:
    """Validate what is not, each in a transaction of its own; return a line for each that does not hold.

    Such a one stays as it is: the rows are what the source has.
    """
    return _foreign_keys(session) + _checks(session)


def _checks(session: Session) -> list[str]:
    """The source took rows with ignore_check_constraints, or by an expression that is true of more values there."""
    remarks = []
    for plan in session.plans.values():
        table = table_name(session.settings.target_schema, plan.target)
        for known in control.registered_ddl(session.target, session.store.source_id, plan.name):
            if known.phase != "source_check" or not known.done:
                continue
            statement = _VALIDATE.format(table, sql.Identifier(known.name)).as_string()
            with session.target.transaction():
                refused = control.run_ddl(session.target, statement)
            if refused is not None:
                remarks.append(
                    f"check {known.name} of {plan.target} does not hold for all rows ({refused}): it guards new rows "
                    "only (NOT VALID) until they are mended"
                )
    return remarks


def _foreign_keys(session: Session) -> list[str]:
    schema = session.settings.target_schema
    found = [find_table(session.target, schema, plan.target) for plan in session.plans.values()]
    oids = [table.oid for table in found if table is not None]
    remarks = []
    for row in session.target.rows(_FILE, "unchecked_foreign_keys", oids=oids):
        with session.target.transaction():
            remark = _validate(session, _Unchecked(*row))
        remarks += [] if remark is None else [remark]
    return remarks


def _validate(session: Session, key: _Unchecked) -> str | None:
    """Look for orphans first, VALIDATE would only fail on one: SQLite may have tolerated some."""
    child = table_name(key.schema, key.table)
    pairs = list(zip(key.columns, key.parent_columns, strict=True))
    names: dict[str, sql.Composable] = {
        "child": child,
        "parent": table_name(key.parent_schema, key.parent),
        "no_null": sql.SQL(" AND ").join(
            sql.SQL("{} IS NOT NULL").format(sql.Identifier("c", column)) for column in key.columns
        ),
        "same": sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(sql.Identifier("p", there), sql.Identifier("c", here)) for here, there in pairs
        ),
    }
    orphans = session.target.ask(_FILE, "orphans", names)[0]
    if orphans:
        return (
            f"foreign key {key.name} of {key.table}: {orphans} rows have no parent; it guards new rows only "
            "(NOT VALID) until they are mended"
        )
    refused = control.run_ddl(session.target, _VALIDATE.format(child, sql.Identifier(key.name)).as_string())
    return None if refused is None else f"foreign key {key.name} of {key.table} could not be validated: {refused}"

"""Validate the foreign keys that a handover left guarding new rows only: that may take its time, and writers go on."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from cdcsync.edges.catalog import find_table
from cdcsync.edges.control import run_ddl
from cdcsync.edges.target import table_name
from cdcsync.machine.session import Session

_FILE = "catalog.sql"


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


def validate_foreign_keys(session: Session) -> list[str]:
    """Validate what is not, each in a transaction of its own; return a line for each that does not hold.

    Such a one stays as it is: the rows are what the source has.
    """
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
    validate = sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(child, sql.Identifier(key.name))
    refused = run_ddl(session.target, validate.as_string())
    return None if refused is None else f"foreign key {key.name} of {key.table} could not be validated: {refused}"

"""The control schema in the target: creating it, registering a source, guarding its tables."""

from __future__ import annotations

import psycopg
from psycopg import sql

from cdcsync.core.plan import fingerprint
from cdcsync.edges.statements import postgres_statement
from cdcsync.edges.target import Target, one_line, table_name
from cdcsync.words.errors import RefusedError
from cdcsync.words.nouns import Anchor, Position, TablePlan, TargetStatement

_FILE = "control.sql"


def exists(target: Target) -> bool:
    """Tell whether the target has a control schema."""
    return bool(target.ask(_FILE, "exists")[0])


def is_registered(target: Target, source_id: str) -> bool:
    """Tell whether the target knows this source."""
    return exists(target) and target.ask("checkpoint.sql", "owner", source_id=source_id) is not None


def create(target: Target) -> None:
    """Create the control schema where it is missing, inside the caller's transaction."""
    target.execute(_FILE, "create")


def privileges(target: Target, schema: str) -> tuple[bool, bool, bool, str, str]:
    """Return: control schema possible, target schema exists, tables possible there, role, database."""
    row = target.ask(_FILE, "may_create", schema=schema)
    return bool(row[0]), bool(row[1]), bool(row[2]), str(row[3]), str(row[4])


def register(target: Target, source_id: str, source: str, schema: str, position: Position, *, guard: bool) -> None:
    """Write down a new source at its first position."""
    anchor = position.anchor or Anchor(0.0, "")
    target.execute(
        _FILE,
        "register",
        source_id=source_id,
        source=source,
        schema=schema,
        epoch=position.epoch,
        seq=position.seq,
        anchor_at=anchor.at,
        anchor_key=anchor.key,
        guard=guard,
    )


def register_table(target: Target, source_id: str, plan: TablePlan, schema: str, *, created: bool) -> None:
    """Write down a captured table. Raises RefusedError where another source fills a table of this name."""
    other = target.ask(_FILE, "owner_of_table", schema=schema, target=plan.target, source_id=source_id)
    if other is not None:
        message = (
            f"table {schema}.{plan.target} is already filled from {other[0]}: "
            f"run cdcsync uninstall --target there, or map another target under [tables.{plan.name}]"
        )
        raise RefusedError(message)
    target.execute(
        _FILE,
        "register_table",
        source_id=source_id,
        number=plan.number,
        name=plan.name,
        target=plan.target,
        created=created,
        fingerprint=fingerprint(plan),
    )


def fingerprints(target: Target, source_id: str) -> dict[int, str]:
    """Return what each table's mapping was at install, by table number."""
    return dict(target.rows(_FILE, "fingerprints", source_id=source_id))


def register_ddl(target: Target, source_id: str, place: int, statement: TargetStatement, *, detached: bool) -> None:
    """Write down a statement that completes the target later."""
    target.execute(
        _FILE,
        "register_ddl",
        source_id=source_id,
        place=place,
        phase=statement.phase,
        table=statement.table,
        name=statement.name,
        statement=statement.sql,
        detached=detached,
    )


def guard_statements(source_id: str, number: int, schema: str, table: str) -> list[sql.Composed]:
    """Return the statements that guard one table and count the writes to it after the handover."""
    counter = _counter(source_id, number)
    return [
        postgres_statement(_FILE, "write_counter").format(counter=counter),
        postgres_statement(_FILE, "guard_table").format(
            table=table_name(schema, table),
            source_id=sql.Literal(source_id),
            counter=sql.Literal(counter.as_string()),
        ),
    ]


def guard(target: Target, source_id: str, number: int, schema: str, table: str) -> None:
    """Put the guard on a table."""
    for statement in guard_statements(source_id, number, schema, table):
        target.connection.execute(statement)


def unguard(target: Target, source_id: str, number: int, schema: str, table: str) -> None:
    """Take the guard off a table."""
    target.execute(_FILE, "unguard_table", {"table": table_name(schema, table)})
    target.execute(_FILE, "drop_write_counter", {"counter": _counter(source_id, number)})


def forget(target: Target, source_id: str) -> None:
    """Delete everything about one source."""
    target.execute(_FILE, "forget", source_id=source_id)


def drop(target: Target) -> None:
    """Drop the control schema unless another source still uses it."""
    if exists(target) and target.ask(_FILE, "sources_left")[0] == 0:
        target.execute(_FILE, "drop")


def run_ddl(target: Target, statement: str) -> str | None:
    """Run one statement of the target's DDL in a savepoint; return why PostgreSQL refused it, None if it did not."""
    try:
        with target.savepoint():
            # The text was composed by core.ddl with quoted names, or read from the catalog.
            target.connection.execute(sql.SQL(statement))
    except psycopg.Error as error:
        return one_line(error)
    return None


def attach(target: Target, statement: str) -> str | None:
    """Add a constraint, valid if the rows allow it, else for new rows only; return why PostgreSQL refused both."""
    checked = statement.removesuffix(" NOT VALID")
    if run_ddl(target, checked) is None:
        return None
    return run_ddl(target, statement)


def _counter(source_id: str, number: int) -> sql.Identifier:
    return sql.Identifier("cdcsync", f"writes_{source_id}_{number}")

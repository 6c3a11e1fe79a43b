"""The control schema in the target: creating it, registering a source, guarding its tables."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdcsync.core.evolution import known_columns, written
from cdcsync.core.toml_text import table_rule
from cdcsync.edges.statements import postgres_statement
from cdcsync.edges.target import Target, one_line, passes_by_itself, table_name
from cdcsync.words.errors import RefusedError
from cdcsync.words.nouns import Anchor, PendingDdl, Position, TablePlan, TargetStatement

_FILE = "control.sql"


@dataclass(frozen=True, slots=True)
class RegisteredTable:
    """A captured table as the target knows it. `created`: we made its copy; `plan`: see core.evolution."""

    number: int
    name: str
    target: str
    created: bool
    plan: str


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
            f"run cdcsync uninstall --target there, or map another target under {table_rule(plan.name)}"
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
        plan=written(plan),
    )


def registered_tables(target: Target, source_id: str) -> dict[str, RegisteredTable]:
    """Return what was written down of each captured table, by its name in the source."""
    rows = (RegisteredTable(*row) for row in target.rows(_FILE, "registered_tables", source_id=source_id))
    return {table.name: table for table in rows}


def followed(target: Target, source_id: str, plan: TablePlan, before: str) -> None:
    """Write down that a table is mapped like this from now on, and no more as `before`."""
    target.execute(_FILE, "followed", source_id=source_id, number=plan.number, plan=written(plan, before))


def known_names(target: Target, source_id: str) -> dict[str, set[str]]:
    """Return the tables this source ever had captured, and their columns, whether they are still there or not."""
    known: dict[str, set[str]] = {name: set() for (name,) in target.rows(_FILE, "known_tables", source_id=source_id)}
    return known | {t.name: known_columns(t.plan) for t in registered_tables(target, source_id).values()}


def forget_table(target: Target, source_id: str, number: int) -> None:
    """Forget a table that neither side has any more."""
    target.execute(_FILE, "forget_table", source_id=source_id, number=number)


def registered_as(target: Target, source: str, schema: str) -> str | None:
    """Return the id of the source that was installed under this name; None if there was none."""
    row = target.ask(_FILE, "registered_as", source=source, schema=schema)
    return None if row is None else row[0]


def register_ddl(
    target: Target, source_id: str, statement: TargetStatement, *, detached: bool = False, done: bool = False
) -> None:
    """Write down a statement that completes the target later, or one that was run already."""
    target.execute(
        _FILE,
        "register_ddl",
        source_id=source_id,
        phase=statement.phase,
        table=statement.table,
        name=statement.name,
        statement=statement.sql,
        detached=detached,
        done=done,
    )


def registered_ddl(target: Target, source_id: str, table: str) -> list[PendingDdl]:
    """Return what we gave a source table's copy beside its columns, run or not."""
    return [PendingDdl(*row) for row in target.rows(_FILE, "registered_ddl", source_id=source_id, table=table)]


def run_again_later(target: Target, source_id: str, table: str, name: str) -> bool:
    """Put a unique constraint or index of ours back among what is pending; tell whether there is one of that name."""
    found = target.execute(_FILE, "run_again_later", source_id=source_id, table=table, name=name)
    return found.rowcount > 0


def run_again(target: Target, source_id: str, statement: TargetStatement | PendingDdl) -> bool:
    """Put a statement that was run back among what is pending; tell whether there is one of that phase and name."""
    which = {"phase": statement.phase, "table": statement.table, "name": statement.name}
    return target.execute(_FILE, "run_again", source_id=source_id, **which).rowcount > 0


def highest_number(target: Target, source_id: str) -> int:
    """Return the highest table number this source ever had; none is used for two tables."""
    return int(target.ask(_FILE, "highest_number", source_id=source_id)[0])


def forget_ddl(target: Target, source_id: str, place: int) -> None:
    """Forget a statement: the source has no more what it brought."""
    target.execute(_FILE, "forget_ddl", source_id=source_id, place=place)


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


def guard_again(target: Target, source_id: str, number: int, schema: str, table: str) -> None:
    """Let the guard refuse transactions too that began before this one; it is in one that switches the guard on."""
    names = {
        "table": table_name(schema, table),
        "source_id": sql.Literal(source_id),
        "counter": sql.Literal(_counter(source_id, number).as_string()),
        "since": sql.Literal(target.ask(_FILE, "transaction")[0]),
    }
    target.execute(_FILE, "guard_table_since", names)


def writes(target: Target, source_id: str, number: int) -> int:
    """Return how many statements wrote to a table since the handover."""
    return int(target.ask(_FILE, "writes", {"counter": _counter(source_id, number)})[0])


def forget_writes(target: Target, source_id: str, number: int) -> None:
    """Count the writes to a table from zero on."""
    target.execute(_FILE, "forget_writes", {"counter": sql.Literal(_counter(source_id, number).as_string())})


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
        return run_lasting_ddl(target, statement)
    except psycopg.Error as error:
        return one_line(error)


def run_lasting_ddl(target: Target, statement: str) -> str | None:
    """The same for what is not tried again: a failure that passes by itself, as a lock that is held, is raised."""
    try:
        with target.savepoint():
            # The text was composed by core.ddl with quoted names, or read from the catalog.
            target.connection.execute(sql.SQL(statement))
    except psycopg.Error as error:
        if passes_by_itself(error):
            raise
        return one_line(error)
    return None


def try_ddl(target: Target, statement: str) -> str | None:
    """Return why PostgreSQL would refuse a statement of the target's DDL, None if it would not; nothing is changed."""
    target.control("SAVEPOINT cdcsync_try")
    refused = run_ddl(target, statement)
    target.control("ROLLBACK TO SAVEPOINT cdcsync_try")
    target.control("RELEASE SAVEPOINT cdcsync_try")
    return refused


def attach(target: Target, statement: str) -> str | None:
    """Add a constraint, valid if the rows allow it, else for new rows only; return why PostgreSQL refused both."""
    checked = statement.removesuffix(" NOT VALID")
    if run_ddl(target, checked) is None:
        return None
    return run_ddl(target, statement)


def _counter(source_id: str, number: int) -> sql.Identifier:
    return sql.Identifier("cdcsync", f"writes_{source_id}_{number}")

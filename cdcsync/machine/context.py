"""Settings turned into opened things: the source, the target, and the plan between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from loguru import logger

from cdcsync.core.bookkeeping import is_bookkeeping
from cdcsync.core.collations import is_readable, rows_of
from cdcsync.core.evolution import evolution, with_known_names, with_known_types
from cdcsync.core.plan import StorageClasses, table_plans, untyped_columns
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import control, embedded
from cdcsync.edges.catalog import find_table
from cdcsync.edges.control import RegisteredTable
from cdcsync.edges.fence import fence_triggers
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.machine.fit import as_found
from cdcsync.words.errors import DriftError, NotInstalledError, PermanentStopError
from cdcsync.words.nouns import Anchor, Position, SourceSchema, TablePlan
from cdcsync.words.settings import Settings

EMBEDDED = "embedded"


class Context:
    """What every verb starts from. Close it last: the embedded server lives as long as it does."""

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet."""
        self.settings = settings
        self._stack = ExitStack()
        self._server: embedded.EmbeddedServer | None = None
        self._warned = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything that was opened through it."""
        self._stack.close()

    @property
    def schema(self) -> str:
        """The target schema."""
        return self.settings.target_schema

    def server(self) -> embedded.EmbeddedServer | None:
        """Return the embedded PostgreSQL, started if need be; None where the target is another."""
        if self.settings.target != EMBEDDED:
            return None
        if self._server is None:
            self._server = self._stack.enter_context(embedded.start(Path(self.settings.state_dir)))
        return self._server

    def conninfo(self) -> str:
        """Return the libpq connection string of the target; empty means libpq's own environment."""
        server = self.server()
        return self.settings.target if server is None else server.conninfo

    def open_source(self) -> Source:
        """Open the source read-only; the caller closes it."""
        source = Source(self.settings.source_path, self.settings.read_max_wal_mb)
        owner = source.path.stat().st_uid
        if owner != os.geteuid() and not self._warned:
            self._warned = True
            logger.warning(
                "{} belongs to user id {}, this process runs as {}: -wal and -shm files it creates may be closed to "
                "the application; run cdcsync as the file's owner",
                source.path,
                owner,
                os.geteuid(),
            )
        return source

    def open_target(self, writer: str = "") -> Target:
        """Connect to the target; `writer` is the source id of a session that may write past the guard."""
        return Target(self.conninfo(), self.schema, writer)


class Installation:
    """An installed source: its identity and its table numbers, read from the source itself."""

    def __init__(self, source: Source) -> None:
        """Read it. Raises NotInstalledError."""
        if not source.is_installed():
            message = f"{source.path} is not installed: run cdcsync install"
            if fence_triggers(source):
                message = (
                    f"{source.path} was handed over to PostgreSQL, and cdcsync was uninstalled since: there is no "
                    "way back by cdcsync; cdcsync uninstall --source-only --lift-fence lets SQLite accept writes"
                )
            if source.source_id() is not None:
                message = (
                    f"{source.path} has lost its changelog, so writes to captured tables fail: "
                    "run cdcsync install, which makes it again"
                )
            raise NotInstalledError(message)
        meta = dict(source.rows("meta"))
        self.source_id: str = meta["source_id"]
        self.epoch: str = meta["epoch"]
        self.numbers: dict[str, int] = {table.name: table.number for table in source.registered()}


def anchor_at(source: Source, seq: int) -> Anchor | None:
    """Return what the changelog holds at a position; None if it holds nothing there."""
    rows = source.rows("anchor", seq)
    return None if not rows else Anchor(*rows[0])


def is_history_of(source: Source, installation: Installation, position: Position) -> bool:
    """Tell whether the changelog holds the entry a position was taken from."""
    return installation.epoch == position.epoch and anchor_at(source, position.seq) == position.anchor


def storage_classes(source: Source, schema: SourceSchema, columns: Iterable[tuple[str, str]]) -> StorageClasses:
    """Return the storage classes found in columns, given as (table, column), whose declared type says nothing.

    Nothing is found in a table that only the application can read.
    """
    asked = [(schema.table(table), column) for table, column in columns]
    return {
        (table.name, column): frozenset(
            row[0] for row in source.rows("storage_classes", column=sqlite_name(column), table=rows_of(table))
        )
        for table, column in asked
        if is_readable(table)
    }


def proposed_plans(source: Source, settings: Settings) -> tuple[SourceSchema, tuple[TablePlan, ...]]:
    """Return the source schema and the plans that settings and data give, numbered in their order."""
    with source.reading() as connection:
        schema = read_schema(connection)
        plans = table_plans(schema, settings, storage_classes(source, schema, untyped_columns(schema, settings)))
    return schema, tuple(replace(plan, number=number) for number, plan in enumerate(plans, 1))


def installed_plans(
    source: Source, target: Target, settings: Settings, installation: Installation
) -> tuple[TablePlan, ...]:
    """Return the plans of the captured tables with the types their target tables really have.

    Raises PermanentStopError where mapping or target no longer match the installation.
    """
    plan = _planner(source, target, settings, installation)
    return tuple(plan(name) for name in installation.numbers)


def plans_left(source: Source, target: Target, settings: Settings, installation: Installation) -> tuple[TablePlan, ...]:
    """Return the plans of those captured tables that both sides still have as they were installed."""
    plan, found = _planner(source, target, settings, installation), []
    for name in installation.numbers:
        with suppress(DriftError, PermanentStopError):
            found.append(plan(name))
    return tuple(found)


def _planner(
    source: Source, target: Target, settings: Settings, installation: Installation
) -> Callable[[str], TablePlan]:
    registered = control.registered_tables(target, installation.source_id)
    with source.reading() as connection:
        schema = read_schema(connection)
        known = control.known_names(target, installation.source_id)
        untyped = untyped_columns(schema, settings)
        plans = {
            plan.name: _as_written(plan, registered[plan.name], untyped) if plan.name in registered else plan
            for plan in table_plans(schema, settings, {}, known)
        }

    def plan(name: str) -> TablePlan:
        if name not in registered:
            message = f"the target knows nothing of table {name}, which the source captures"
            raise DriftError(message)
        found = _as_it_was_mapped(registered[name], plans.get(name))
        numbered = replace(found, number=installation.numbers[name])
        return _with_target_types(numbered, target, settings.target_schema)

    return plan


def _as_written(plan: TablePlan, known: RegisteredTable, untyped: Iterable[tuple[str, str]]) -> TablePlan:
    """Return a plan with what only the data or the target could tell when it was written down."""
    named = with_known_names(plan, known.plan)
    return with_known_types(named, known.plan, [column for table, column in untyped if table == plan.name])


def _as_it_was_mapped(known: RegisteredTable, plan: TablePlan | None) -> TablePlan:
    """Return the plan. Raises where the settings map a table otherwise than it was copied.

    DriftError where that can be followed: values are converted anew, a column gets another type.
    """
    changed = None if plan is None else evolution(known.plan, plan)
    if plan is None or changed is None or changed.remapped or changed.added or changed.removed or changed.key_changed:
        raise PermanentStopError(not_as_mapped(known.name))
    if changed.reconverted or (known.created and changed.retyped):
        message = f"the settings map columns of table {known.name} otherwise than they were copied"
        raise DriftError(message)
    return plan


def not_as_mapped(name: str) -> str:
    """Say that the settings name another mapping than the one the table was copied with."""
    return (
        f"table {name} is not mapped any more as it was at install: restore its mapping, or run cdcsync "
        "uninstall, empty the target tables, and install with the new one"
    )


def uncaptured_tables(source: Source, settings: Settings, captured: Collection[str]) -> list[str]:
    """Return ordinary tables that nobody captures and no setting leaves out, inside a read transaction.

    Bookkeeping of migrations that is not captured was left out at install.
    """
    if not {name for (name,) in source.rows("table_names")} - set(captured):
        # Reading the whole schema takes a hundred times as long.
        return []
    names = [table.name for table in read_schema(source.connection).tables]
    loose = [name for name in names if name not in captured and not settings.table(name).skip]
    return [name for name in loose if not may_be_each_sides_own(settings, name)]


def may_be_each_sides_own(settings: Settings, table: str) -> bool:
    """Tell whether a table notes migrations, and the settings say neither skip = true nor skip = false of it."""
    return is_bookkeeping(table) and "skip" not in settings.table(table).model_fields_set


def _with_target_types(plan: TablePlan, target: Target, schema: str) -> TablePlan:
    table = find_table(target, schema, plan.target)
    if table is None:
        message = f"the target has no table {schema}.{plan.target} any more"
        raise DriftError(message)
    if not table.guarded:
        message = f"table {schema}.{plan.target} of the target has no guard: somebody made it anew or took it off"
        raise DriftError(message)
    found = {column.name for column in table.columns}
    missing = [column.target for column in plan.columns if column.target not in found]
    if missing:
        message = f"table {schema}.{plan.target} of the target has no column {missing[0]} any more"
        raise DriftError(message)
    return as_found(plan, table)

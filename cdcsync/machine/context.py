"""Settings turned into opened things: the source, the target, and the plan between them."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from loguru import logger

from cdcsync.core.plan import StorageClasses, fingerprint, table_plans, untyped_columns
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import control, embedded
from cdcsync.edges.catalog import find_table
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.words.errors import NotInstalledError, PermanentStopError
from cdcsync.words.nouns import Anchor, SourceSchema, TablePlan
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
        source = Source(self.settings.source_path)
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
            raise NotInstalledError(message)
        meta = dict(source.rows("meta"))
        self.source_id: str = meta["source_id"]
        self.epoch: str = meta["epoch"]
        self.schema_hash: str = meta["schema_hash"]
        self.numbers: dict[str, int] = {name: number for number, name in source.rows("registry")}


def anchor_at(source: Source, seq: int) -> Anchor | None:
    """Return what the changelog holds at a position; None if it holds nothing there."""
    rows = source.rows("anchor", seq)
    return None if not rows else Anchor(*rows[0])


def storage_classes(source: Source, schema: SourceSchema) -> StorageClasses:
    """Return the storage classes found in columns whose declared type says nothing."""
    return {
        (table, column): frozenset(
            row[0] for row in source.rows("storage_classes", column=sqlite_name(column), table=sqlite_name(table))
        )
        for table, column in untyped_columns(schema)
    }


def proposed_plans(source: Source, settings: Settings) -> tuple[SourceSchema, tuple[TablePlan, ...]]:
    """Return the source schema and the plans that settings and data give, numbered in their order."""
    with source.reading() as connection:
        schema = read_schema(connection)
        plans = table_plans(schema, settings, storage_classes(source, schema))
    return schema, tuple(replace(plan, number=number) for number, plan in enumerate(plans, 1))


def installed_plans(
    source: Source, target: Target, settings: Settings, installation: Installation
) -> tuple[TablePlan, ...]:
    """Return the plans of the captured tables with the types their target tables really have.

    Tables created since are not captured, and no obstacle. Raises PermanentStopError where mapping or target no
    longer match the installation.
    """
    with source.reading() as connection:
        schema = read_schema(connection)
        plans = {plan.name: plan for plan in table_plans(schema, settings, {})}
    registered = control.fingerprints(target, installation.source_id)
    for name, number in installation.numbers.items():
        if name not in plans or fingerprint(plans[name]) != registered.get(number):
            message = (
                f"table {name} is not mapped any more as it was at install: restore its mapping, or run cdcsync "
                "uninstall, empty the target tables, and install with the new one"
            )
            raise PermanentStopError(message)
    return tuple(
        _with_target_types(replace(plans[name], number=number), target, settings.target_schema)
        for name, number in installation.numbers.items()
    )


def _with_target_types(plan: TablePlan, target: Target, schema: str) -> TablePlan:
    table = find_table(target, schema, plan.target)
    found = {} if table is None else {column.name: column for column in table.columns}
    missing = [column.target for column in plan.columns if column.target not in found]
    if table is None or missing:
        what = f"column {missing[0]} of " if table is not None else ""
        message = f"the target has no {what}table {schema}.{plan.target}: create it as `cdcsync plan` prints it"
        raise PermanentStopError(message)
    return replace(
        plan,
        columns=tuple(
            replace(column, type_sql=found[column.target].type_sql, not_null=found[column.target].not_null)
            for column in plan.columns
            # A column PostgreSQL generates takes no value; it computes its own.
            if not found[column.target].generated
        ),
    )

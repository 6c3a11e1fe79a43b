"""What the operator asks about quarantine: which rows, and what SQLite holds in them now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdcsync.core import keys
from cdcsync.core.keys import Part
from cdcsync.core.plan import table_plans
from cdcsync.edges import control
from cdcsync.edges.quarantine import Entry, Quarantine
from cdcsync.edges.rows import RowReader
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import Source
from cdcsync.machine.context import Context, Installation
from cdcsync.words.errors import NotInstalledError, RefusedError, UsageError


@contextmanager
def entries(context: Context, table: str | None) -> Iterator[Iterator[Entry]]:
    """Yield the rows in quarantine, of all tables or of one. Raises UsageError for an unknown table."""
    with context.open_source() as source, context.open_target() as target:
        installation = Installation(source)
        if not control.is_registered(target, installation.source_id):
            message = "the target knows nothing of this source: run cdcsync install"
            raise NotInstalledError(message)
        if table is not None and table not in control.registered_tables(target, installation.source_id):
            message = f"no captured table is called {table!r}"
            raise UsageError(message)
        yield Quarantine(target, installation.source_id).entries(table)


def find(context: Context, table: str, shown_key: str) -> list[tuple[Entry, dict[str, Part]]]:
    """Return what is in quarantine under a key, with storage class and value of every column as SQLite holds it now.

    Raises RefusedError where nothing is.
    """
    with entries(context, table) as found:
        wanted = [entry for entry in found if entry.row.shown_key == shown_key]
    if not wanted:
        message = f"table {table} has no row with key {shown_key} in quarantine: see cdcsync quarantine list"
        raise RefusedError(message)
    with context.open_source() as source:
        return [(entry, _columns(context, source, entry)) for entry in wanted]


def _columns(context: Context, source: Source, entry: Entry) -> dict[str, Part]:
    if not entry.row.key:
        return {}
    with source.reading() as connection:
        plans = table_plans(read_schema(connection), context.settings, {})
        plan = next((plan for plan in plans if plan.name == entry.table), None)
        if plan is None:
            return {}
        return RowReader(plan).as_it_is(connection, keys.load(entry.row.key))

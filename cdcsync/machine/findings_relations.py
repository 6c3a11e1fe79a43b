"""Foreign keys PostgreSQL could not keep: rows without a parent, tables without one, columns of two types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdcsync.core.collations import is_found_by
from cdcsync.core.facts import part_of
from cdcsync.core.keys import Key
from cdcsync.core.mapping_file import column_rule, short
from cdcsync.core.mending import told_anew
from cdcsync.core.quoting import sqlite_name
from cdcsync.core.refusals import Refused
from cdcsync.core.types import parse
from cdcsync.edges.orphans import missing_parents
from cdcsync.edges.source import Source
from cdcsync.edges.statements import sqlite_statement
from cdcsync.machine.scan import Page
from cdcsync.words.nouns import Finding, ForeignKey, SourceSchema, Table, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

KNOWN_PARENTS = 50_000
"""Parents remembered as found, so that children of few parents ask once."""

_NUMBERS = {"bigint", "integer", "smallint", "numeric", "double precision", "real"}
_TEXTS = {"text", "character varying", "character", "citext"}


class Orphans:
    """Rows of one table that refer to a parent that is not there; SQLite tolerates them with foreign_keys off."""

    def __init__(self, source: Source, schema: SourceSchema, plan: TablePlan) -> None:
        """Looks only where an index finds the parent: without one every child would cost a scan of the table."""
        self._plan = plan
        tables = {table.name: table for table in schema.tables}
        places = {column.source: place for place, column in enumerate(plan.columns)}
        self._keys = [
            _OrphansOfKey(source, plan, key, tables[key.parent], [places[column] for column in key.columns])
            for key in plan.table.foreign_keys
            if key.parent in tables
            and is_found_by(tables[key.parent], key.parent_columns)
            and set(key.columns) <= set(places)
        ]

    def look(self, page: Page) -> None:
        """Take in a page."""
        for key in self._keys:
            key.look(page)

    def findings(self) -> Iterator[Finding]:
        """Yield what was found."""
        for key in self._keys:
            yield from key.findings()


class _OrphansOfKey:
    def __init__(self, source: Source, plan: TablePlan, key: ForeignKey, parent: Table, places: Sequence[int]) -> None:
        self._source, self._plan, self._key, self._parent, self._places = source, plan, key, parent, places
        self._known: set[Key] = set()
        self._found = Refused()

    def look(self, page: Page) -> None:
        children = list(zip(*(map(part_of, page.columns[place]) for place in self._places), strict=True))
        null = ("null", None)
        asked = [child for child in set(children) - self._known if null not in child]
        missing = set(missing_parents(self._source, self._key, self._parent, asked))
        for number, child in enumerate(children) if missing else ():
            if child in missing:
                self._found.note(page.key(number), child[0])
        if len(self._known) > KNOWN_PARENTS:
            self._known.clear()
        self._known.update(child for child in asked if child not in missing)

    def findings(self) -> Iterator[Finding]:
        if not self._found.count:
            return
        key, count = self._key, self._found.count
        referring = f"{count:,} rows of {self._plan.name} refer" if count > 1 else f"1 row of {self._plan.name} refers"
        message = (
            f"{referring} by {', '.join(key.columns)} to rows of {key.parent} that are not there, for example "
            f"{self._found.example}: the foreign key will stay NOT VALID, which refuses new orphans only"
        )
        column = key.columns[0] if len(key.columns) == 1 else None
        yield Finding(
            "warning",
            "orphans",
            message,
            _mending(self._plan, key),
            self._plan.name,
            column,
            count,
            tuple(self._found.keys),
        )


def _mending(plan: TablePlan, key: ForeignKey) -> str:
    """Return the statement that sets orphans free, or deletes them where a column takes no NULL."""
    table = sqlite_name(plan.name)
    columns = [f"{table}.{sqlite_name(name)}" for name in key.columns]
    parents = [f"p.{sqlite_name(name)}" for name in key.parent_columns]
    kept = any(plan.table.column(name).not_null for name in key.columns)
    return sqlite_statement("advice.sql", "delete_orphans" if kept else "release_orphans").substitute(
        table=table,
        column=sqlite_name(key.columns[0]),
        filled=" AND ".join(f"{column} IS NOT NULL" for column in columns),
        parent=sqlite_name(key.parent),
        same=" AND ".join(f"{parent} = {column}" for parent, column in zip(parents, columns, strict=True)),
    )


def relation_findings(plan: TablePlan, plans: Sequence[TablePlan], settings: Settings) -> Iterator[Finding]:
    """Say which foreign keys PostgreSQL cannot have, by the plans alone."""
    by_name = {other.name: other for other in plans}
    for key in plan.table.foreign_keys:
        parent = by_name.get(key.parent)
        if parent is None:
            message = (
                f"{plan.name} refers by {', '.join(key.columns)} to {key.parent}, which is not moved: "
                "PostgreSQL will not have this foreign key"
            )
            fix = f"move {key.parent} too, or drop the foreign key"
            yield Finding("warning", "no_parent", message, fix, plan.name, key.columns[0])
            continue
        for child, column in zip(key.columns, key.parent_columns, strict=False):
            yield from _torn(plan, child, parent, column, settings)


def _torn(plan: TablePlan, child: str, parent: TablePlan, column: str, settings: Settings) -> Iterator[Finding]:
    here = {one.source: one.type_sql for one in plan.columns}.get(child)
    there = {one.source: one.type_sql for one in parent.columns}.get(column)
    if here is None or there is None or _family(here) == _family(there):
        return
    told = settings.table(plan.name).columns.get(child, ColumnMapping())
    message = (
        f"{plan.name}.{child} is {short(here)} and refers to {parent.name}.{column}, which is {short(there)}: "
        "PostgreSQL will not have this foreign key"
    )
    fix = column_rule(plan.name, child, there, told_anew(told, {"type": short(there)}))
    yield Finding("warning", "foreign_key_types", message, fix, plan.name, child)


def _family(type_sql: str) -> str:
    """Types of one family can be compared by a foreign key."""
    base = parse(type_sql).base
    return "number" if base in _NUMBERS else "text" if base in _TEXTS else base

"""From source schema and mapping to one plan per table: what each column becomes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from cdcsync.core.mapping_rules import refuse_senseless, type_of_format
from cdcsync.core.types import NOT_FOR_KEYS, default_type, integer_limit, parse, type_of_classes, uuid_format
from cdcsync.words.errors import UsageError
from cdcsync.words.nouns import Column, ColumnPlan, KeyColumn, SourceSchema, Table, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings, TableMapping

StorageClasses = Mapping[tuple[str, str], frozenset[str]]
"""(table, column) -> storage classes its values have; only columns whose declared type says nothing."""


KnownNames = Mapping[str, Collection[str]]
"""Tables that were captured once, with the columns they had: settings may go on naming them."""

NO_NAMES: KnownNames = {}


def untyped_columns(schema: SourceSchema, settings: Settings) -> list[tuple[str, str]]:
    """Return the (table, column) pairs whose type neither the settings nor their declaration tell."""
    return [
        (table.name, column.name)
        for table in schema.tables
        for column in table.columns
        if default_type(column.declared_type) is None
        and settings.table(table.name).columns.get(column.name, ColumnMapping()).type is None
    ]


def table_plans(
    schema: SourceSchema, settings: Settings, classes: StorageClasses, known: KnownNames = NO_NAMES
) -> tuple[TablePlan, ...]:
    """Return a plan for each table that is moved, parents before children.

    Raises UsageError for a mapping that names a table or column the source neither has nor had (`known`).
    """
    _refuse_unknown(schema, settings, known)
    moved = [table for table in schema.tables if not settings.table(table.name).skip]
    plans = {table.name: _table_plan(table, settings.table(table.name), classes) for table in moved}
    return _follow_parents([plans[name] for name in _parents_first(moved)], settings)


def _refuse_unknown(schema: SourceSchema, settings: Settings, known: KnownNames) -> None:
    tables = {table.name: table for table in schema.tables}
    for name, mapping in settings.tables.items():
        if name in known and name not in tables:
            continue
        if name not in tables:
            message = f"[tables.{name}]: the source has no such table (it has {_listed(tables)})"
            raise UsageError(message)
        columns = [column.name for column in tables[name].columns]
        for column in (*mapping.columns, *(mapping.key or ())):
            if column not in columns and column not in known.get(name, ()):
                message = f"[tables.{name}]: the table has no column {column!r} (it has {_listed(columns)})"
                raise UsageError(message)


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = list(names)
    return ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")  # noqa: PLR2004  one line


def _table_plan(table: Table, mapping: TableMapping, classes: StorageClasses) -> TablePlan:
    keys = {*table.key_names, *(mapping.key or ())}
    columns = tuple(
        _column_plan(table, column, mapping.columns.get(column.name, ColumnMapping()), classes, keys)
        for column in table.columns
        if not mapping.columns.get(column.name, ColumnMapping()).skip
    )
    plan = TablePlan(table, mapping.target or table.name, columns, _key(table, mapping))
    kept = {column.source for column in columns}
    if not columns or not kept.issuperset(plan.table.key_names if not mapping.key else mapping.key):
        message = f"[tables.{table.name}]: skip leaves the table without its key or without any column"
        raise UsageError(message)
    return plan


def _key(table: Table, mapping: TableMapping) -> tuple[KeyColumn, ...]:
    """The mapping's key must be one the source keeps unique: a wrong one would make two rows into one."""
    if mapping.key is None:
        return table.key
    wanted = set(mapping.key)
    if wanted == set(table.key_names):
        return table.key
    for index in table.indexes:
        if index.unique and not index.partial and {column.name for column in index.columns} == wanted:
            return tuple(KeyColumn(c.name, c.collation) for c in index.columns if c.name is not None)
    message = f"[tables.{table.name}]: key = {sorted(wanted)} has no primary key or unique index in the source"
    raise UsageError(message)


def _column_plan(
    table: Table, column: Column, mapping: ColumnMapping, classes: StorageClasses, keys: Collection[str]
) -> ColumnPlan:
    refuse_senseless(f"[tables.{table.name}.columns] {column.name}", mapping)
    found = classes.get((table.name, column.name), frozenset())
    type_sql = _type(column, mapping, found, keys)
    is_number = integer_limit(parse(type_sql).base) is not None
    identity = mapping.identity if mapping.identity is not None else column.name == table.rowid_key
    return ColumnPlan(
        source=column.name,
        target=mapping.target or column.name,
        type_sql=type_sql,
        format=mapping.format or uuid_format(column.declared_type) or "iso",
        naive=mapping.naive,
        not_null=mapping.not_null if mapping.not_null is not None else column.not_null or column.name in keys,
        default=mapping.default,
        check=mapping.check,
        identity=identity and is_number,
        on_nul=mapping.on_nul,
        on_bad_utf8=mapping.on_bad_utf8,
        on_finer=mapping.on_finer,
    )


def _type(column: Column, mapping: ColumnMapping, found: frozenset[str], keys: Collection[str]) -> str:
    if mapping.type is not None:
        return str(parse(mapping.type))
    type_sql = default_type(column.declared_type) or type_of_classes(column.declared_type, found)
    if mapping.format is not None:
        return type_of_format(mapping.format, type_sql)
    return "text" if column.name in keys and type_sql in NOT_FOR_KEYS else type_sql


def _parents_first(tables: Sequence[Table]) -> list[str]:
    """Foreign-key order as far as there is one; cycles keep the order of creation."""
    names = [table.name for table in tables]
    parents = {
        table.name: {key.parent for key in table.foreign_keys if key.parent in names and key.parent != table.name}
        for table in tables
    }
    try:
        return list(TopologicalSorter(parents).static_order())
    except CycleError:
        return names


def _follow_parents(plans: Sequence[TablePlan], settings: Settings) -> tuple[TablePlan, ...]:
    """A foreign key nobody gave a type takes its parent's, or PostgreSQL would refuse the constraint.

    `plans` come parents first, so that a type goes from key to key.
    """
    told = {
        (table, column)
        for table, mapping in settings.tables.items()
        for column, said in mapping.columns.items()
        if said.type is not None or said.format is not None
    }
    followed = {plan.name: plan for plan in plans}
    for plan in plans:
        taken = {
            child: parent
            for key in plan.table.foreign_keys
            for child, column in zip(key.columns, key.parent_columns, strict=False)
            if (key.parent, column) in told and (plan.name, child) not in told
            for parent in (followed[key.parent].columns if key.parent in followed else ())
            if parent.source == column
        }
        told |= {(plan.name, child) for child in taken}
        followed[plan.name] = replace(plan, columns=tuple(_alike(c, taken.get(c.source, c)) for c in plan.columns))
    return tuple(followed.values())


def _alike(column: ColumnPlan, parent: ColumnPlan) -> ColumnPlan:
    return replace(column, type_sql=parent.type_sql, format=parent.format)

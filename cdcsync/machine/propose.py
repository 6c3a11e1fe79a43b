"""Look at the data for better types: a TEXT column whose every value is a UUID or a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cdcsync.core.convert import rule_for
from cdcsync.core.mapping_file import Proposal
from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.source import Source
from cdcsync.words.nouns import ColumnPlan, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

CANDIDATES = {"uuid": ("uuid", "UUIDs"), "timestamptz": ("timestamp with time zone", "ISO-8601 times")}


def proposals(
    source: Source, plans: Sequence[TablePlan], settings: Settings, tick: Callable[[str, int], None]
) -> dict[tuple[str, str], Proposal]:
    """Return proposals for text columns the mapping says nothing about. Foreign keys follow their parent."""
    found: dict[tuple[str, str], Proposal] = {}
    for plan in plans:
        mapped = settings.table(plan.name).columns
        for column in plan.columns:
            if column.type_sql == "text" and mapped.get(column.source, ColumnMapping()).type is None:
                proposal = _proposal(source, plan, column)
                if proposal is not None:
                    found[plan.name, column.source] = proposal
            tick(plan.name, 1)
    return _consistent(plans, found)


def _proposal(source: Source, plan: TablePlan, column: ColumnPlan) -> Proposal | None:
    key = any(part.name == column.source for part in plan.key)
    for name, (type_sql, plural) in CANDIDATES.items():
        accepts = rule_for(replace(column, type_sql=type_sql), key=key).accepts
        if accepts is None or (key and name != "uuid"):
            continue
        quoted = sqlite_name(column.source)
        with source.reading():
            values, fitting = source.rows(
                "fitting", column=quoted, table=sqlite_name(plan.name), accepts=accepts.replace("{}", quoted)
            )[0]
        if values and values == fitting:
            return Proposal(name, f"{fitting:,} of {values:,} values are {plural}")
    return None


def _consistent(
    plans: Sequence[TablePlan], found: dict[tuple[str, str], Proposal]
) -> dict[tuple[str, str], Proposal]:
    """Drop a proposal where the other end of a foreign key has none: PostgreSQL wants one type at both."""
    links = [
        ((plan.name, child), (key.parent, parent))
        for plan in plans
        for key in plan.table.foreign_keys
        for child, parent in zip(key.columns, key.parent_columns, strict=False)
    ]
    types = {(plan.name, column.source): column.type_sql for plan in plans for column in plan.columns}
    kept = dict(found)
    changed = True
    while changed:
        changed = False
        for ends in links:
            for here, there in (ends, ends[::-1]):
                if here in kept and kept.get(there, Proposal("", "")).type != kept[here].type and there in types:
                    if _same(types[there], kept[here].type):
                        continue
                    del kept[here]
                    changed = True
    return kept


def _same(type_sql: str, proposed: str) -> bool:
    return type_sql == CANDIDATES[proposed][0]

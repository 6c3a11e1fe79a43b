"""Types a mapping names: those cdcsync knows nothing of are PostgreSQL's to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import psycopg

from cdcsync.core.codecs import has_rule
from cdcsync.core.mapping_rules import unknown_type_hint
from cdcsync.core.toml_text import columns_section
from cdcsync.core.types import KNOWN, parse
from cdcsync.edges.target import Target
from cdcsync.machine.context import Context
from cdcsync.words.errors import UsageError
from cdcsync.words.nouns import ColumnPlan, Finding, TablePlan


def type_findings(target: Target, plan: TablePlan) -> list[Finding]:
    """Return a blocking finding for each column whose type PostgreSQL does not have."""
    fix = "write one of PostgreSQL's types, or create your own first"
    return [
        Finding("blocking", "no_type", _missing(plan, column), fix, plan.name, column.source)
        for column in _doubtful(plan)
        if not _has(target, parse(column.type_sql).base)
    ]


def refuse_types(context: Context, plans: Iterable[TablePlan]) -> None:
    """Raise UsageError for the first type no value can arrive as. Asks PostgreSQL only about names we do not know."""
    plans = list(plans)
    for plan in plans:
        for column in plan.columns:
            if not has_rule(column.type_sql):
                place = f"{columns_section(plan.name)} {column.source}"
                message = f'{place}: there is no rule for {column.type_sql}: write type = "text"'
                raise UsageError(message)
    if any(True for plan in plans for _ in _doubtful(plan)):
        with context.open_target() as target:
            for finding in (finding for plan in plans for finding in type_findings(target, plan)):
                message = f"{finding.message}; {finding.fix}"
                raise UsageError(message)


def _doubtful(plan: TablePlan) -> Iterator[ColumnPlan]:
    return (c for c in plan.columns if parse(c.type_sql).base not in KNOWN and has_rule(c.type_sql))


def _missing(plan: TablePlan, column: ColumnPlan) -> str:
    place = f"{columns_section(plan.name)} {column.source}"
    return f"{place}: PostgreSQL has no type {column.type_sql}{unknown_type_hint(column.type_sql)}"


def _has(target: Target, name: str) -> bool:
    try:
        return target.ask("catalog.sql", "type_named", name=name)[0] is not None
    except psycopg.errors.SyntaxError:
        # What is no name at all, to the versions before 16.
        return False

"""A target schema that something else made, such as Alembic, Django or Diesel: what of it is filled, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from loguru import logger

from cdcsync.core.mapping_file import Proposal, Proposals, short
from cdcsync.core.toml_text import columns_section, table_rule
from cdcsync.core.types import default_type, parse
from cdcsync.edges.catalog import TargetTable, emptying, find_table, has_rows, loose_sequences, same_but_for_case
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.machine.context import EMBEDDED, Context, may_be_each_sides_own, proposed_plans
from cdcsync.machine.fit import as_found, misfits
from cdcsync.words.errors import TargetError, UsageError
from cdcsync.words.nouns import ColumnPlan, Finding, SourceSchema, TablePlan
from cdcsync.words.settings import Settings, TableMapping

_MOMENTS = {"timestamp with time zone", "timestamp without time zone"}


def moved_plans(source: Source, target: Target, settings: Settings) -> tuple[SourceSchema, tuple[TablePlan, ...]]:
    """Return the proposed plans without the tables in which either side notes its own migrations.

    SQLite's names mean the same in any case: a table or column of the target that differs in case alone is the one.
    """
    schema, plans = proposed_plans(source, settings)
    named = [_named_as_found(target, settings, plan) for plan in plans]
    return schema, tuple(plan for plan in named if not _is_each_sides_own(target, settings, plan))


def _named_as_found(target: Target, settings: Settings, plan: TablePlan) -> TablePlan:
    mapping, schema = settings.table(plan.name), settings.target_schema
    found = find_table(target, schema, plan.target)
    if found is None and mapping.target is None:
        similar = same_but_for_case(target, schema, plan.target)
        if len(similar) == 1:
            plan = replace(plan, target=similar[0])
            found = find_table(target, schema, plan.target)
    if found is None:
        return plan
    told = {name for name, column in mapping.columns.items() if column.target is not None}
    taken = {column.target for column in plan.columns}
    free = [column.name for column in found.columns if column.name not in taken]
    there = taken & {column.name for column in found.columns}

    def spelled(column: ColumnPlan) -> ColumnPlan:
        similar = [name for name in free if name.lower() == column.target.lower()]
        alone = len(similar) == 1 and column.target not in there and column.source not in told
        return replace(column, target=similar[0]) if alone else column

    return replace(plan, columns=tuple(map(spelled, plan.columns)))


def fitted_plans(target: Target, schema: str, plans: Sequence[TablePlan]) -> tuple[TablePlan, ...]:
    """Return plans with the types and NOT NULLs of the tables that are there; what is to be created stays as it is."""
    found = [(plan, find_table(target, schema, plan.target)) for plan in plans]
    return tuple(plan if table is None else as_found(plan, table) for plan, table in found)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Plans as the target wants them, proposals that agree with it, and the tables of the source it has in place."""

    plans: tuple[TablePlan, ...]
    proposals: Proposals
    in_place: frozenset[str] = frozenset()


def outlook(settings: Settings, plans: Sequence[TablePlan], proposals: Proposals) -> Outlook:
    """Look what the target makes of a plan. It stays as it is where the target is out of reach, or not made yet."""
    untouched = Outlook(tuple(plans), proposals)
    if settings.target == EMBEDDED:
        return untouched
    try:
        with Context(settings) as context, context.open_target() as target:
            named = [_named_as_found(target, settings, plan) for plan in plans]
            there = frozenset(p.name for p in named if find_table(target, settings.target_schema, p.target) is not None)
            fitted = fitted_plans(target, settings.target_schema, named)
    except (TargetError, UsageError) as error:
        logger.info("planned without a look at the target: {}", error)
        return untouched
    types = {(plan.name, column.source): column.type_sql for plan in fitted for column in plan.columns}
    agreeing = {
        place: proposal if place[0] not in there else _agreeing(proposal, types.get(place))
        for place, proposal in proposals.items()
    }
    return Outlook(fitted, {place: one for place, one in agreeing.items() if one is not None}, there)


def _agreeing(proposal: Proposal, there: str | None) -> Proposal | None:
    """Return what a proposal says of the type that is there: moments are read alike for both kinds of timestamp."""
    wanted = str(parse(proposal.type))
    if wanted == there:
        return proposal
    return replace(proposal, type=short(there)) if there is not None and {wanted, there} == _MOMENTS else None


def _is_each_sides_own(target: Target, settings: Settings, plan: TablePlan) -> bool:
    """Tell whether it notes migrations, and PostgreSQL has filled its own. What we fill is guarded."""
    if not may_be_each_sides_own(settings, plan.name):
        return False
    found = find_table(target, settings.target_schema, plan.target)
    return _is_readable(found) and not found.guarded and has_rows(target, settings.target_schema, plan.target)


def _is_readable(found: TargetTable | None) -> TypeGuard[TargetTable]:
    """Tell whether we may look for rows: row level security may keep even its owner from that."""
    return found is not None and found.kind == "r" and found.ours and not found.obstacles


def existing_findings(
    target: Target, settings: Settings, schema: SourceSchema, plans: Sequence[TablePlan]
) -> list[Finding]:
    """Return what has to be said of the tables that are there before any is filled."""
    there = {plan.name: find_table(target, settings.target_schema, plan.target) for plan in plans}
    findings = [*_left_out(settings, schema, plans), *_loose_sequences(target, settings.target_schema)]
    for plan in plans:
        found = there[plan.name]
        if found is None:
            findings += _created(target, settings.target_schema, plan, beside=any(there.values()))
        else:
            findings += misfits(target, settings.target_schema, plan, found)
            findings += _remarks(plan, found, settings.table(plan.name))
    readable = [plan for plan in plans if _is_readable(there[plan.name])]
    return findings + rows_in_the_way(target, settings.target_schema, readable)


def rows_in_the_way(target: Target, schema: str, plans: Sequence[TablePlan]) -> list[Finding]:
    """Return the tables that hold rows, each with the one statement that empties them all."""
    full = [plan for plan in plans if has_rows(target, schema, plan.target)]
    if not full:
        return []
    statement = emptying(target, schema, [plan.target for plan in full])
    mend = f"{statement}; (once for all such tables; look first whether the rows can go)"
    findings = []
    for plan in full:
        message = f"table {schema}.{plan.target} is in the way: it holds rows"
        fix = f"{mend}, or skip = true under {table_rule(plan.name)}"
        findings.append(Finding("blocking", "target_not_empty", message, fix, plan.name))
        mend = f"the TRUNCATE named for {full[0].target}"
    return findings


def _loose_sequences(target: Target, schema: str) -> list[Finding]:
    names = loose_sequences(target, schema)
    if not names:
        return []
    message = f"nothing tells what {', '.join(names)} count: the handover leaves such sequences as they are"
    fix = "SELECT setval(...) for each, after the handover and before the application starts"
    return [Finding("warning", "loose_sequence", message, fix)]


def _left_out(settings: Settings, schema: SourceSchema, plans: Sequence[TablePlan]) -> list[Finding]:
    planned = {plan.name for plan in plans}
    return [
        Finding(
            "info",
            "bookkeeping",
            f"{table.name} is left out: it notes migrations, and PostgreSQL has filled its own",
            f"{table_rule(table.name, skip=False)} copies it nevertheless",
            table.name,
        )
        for table in schema.tables
        if table.name not in planned and not settings.table(table.name).skip
    ]


def _created(target: Target, schema: str, plan: TablePlan, *, beside: bool) -> list[Finding]:
    if similar := same_but_for_case(target, schema, plan.target):
        message = f"{schema}.{plan.target} will be created beside {' and '.join(similar)}, which differ in case alone"
        fix = table_rule(plan.name, target=similar[0])
        return [Finding("warning", "other_case", message, fix, plan.name)]
    if beside:
        message = f"{schema}.{plan.target} is not there, unlike other tables, and will be created"
        return [Finding("info", "created", message, f"{table_rule(plan.name, skip=True)} leaves it out", plan.name)]
    return []


def _remarks(plan: TablePlan, found: TargetTable, mapping: TableMapping) -> list[Finding]:
    """Where the table that is there decides otherwise than settings or source."""
    findings = []
    columns = {column.name: column for column in found.columns}
    if not mapping.target and plan.target != plan.name:
        message = f"{plan.name} arrives in {plan.target}, as the target spells it"
        findings.append(Finding("info", "other_case", message, "", plan.name))
    for column in plan.columns:
        there = columns.get(column.target)
        if there is None:
            continue
        named = mapping.columns[column.source].type if column.source in mapping.columns else None
        declared = default_type(plan.table.column(column.source).declared_type)
        if there.generated:
            message = f"{plan.name}.{column.source} is not copied: PostgreSQL computes {column.target} itself"
            findings.append(Finding("info", "generated", message, "", plan.name, column.source))
        elif named is not None and str(parse(named)) not in {there.type_sql, declared}:
            message = f"{plan.name}.{column.source} arrives as {there.type_sql}, as the target has it, not as {named}"
            fix = f"change the type in the target, or name {there.type_sql} under {columns_section(plan.name)}"
            findings.append(Finding("warning", "type_of_target", message, fix, plan.name, column.source))
    return findings

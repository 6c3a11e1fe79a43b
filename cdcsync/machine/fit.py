"""Whether a table found in the target can take the rows of a planned one, and what is detached for that."""

from __future__ import annotations

from dataclasses import replace

from cdcsync.core.codecs import codec_for, has_rule
from cdcsync.core.keys import Part
from cdcsync.core.quoting import postgres_name
from cdcsync.edges.catalog import (
    TargetColumn,
    TargetConstraint,
    TargetIndex,
    TargetTable,
    has_rows,
    other_constraints,
    unique_indexes,
    unique_keys,
    user_triggers,
)
from cdcsync.edges.target import Target
from cdcsync.words.nouns import ColumnPlan, Finding, TablePlan

# A value of the kind each type stands for, which its column in the target has to take.
_PROBES: dict[str, Part] = {
    "bigint": ("integer", 1),
    "double precision": ("real", 0.5),
    "bytea": ("blob", bytes(16)),
}


def misfits(target: Target, schema: str, plan: TablePlan, found: TargetTable) -> list[Finding]:
    """Return what keeps a table that is already there from being filled; empty if nothing does."""
    name = f"{schema}.{plan.target}"
    ways = f'skip = true or target = "another name" under [tables.{plan.name}]'

    def blocking(code: str, message: str, fix: str, column: str | None = None) -> Finding:
        return Finding("blocking", code, message, fix, plan.name, column)

    if found.kind != "r":
        return [blocking("target_in_the_way", f"{name} is in the way: it is no ordinary table", ways)]
    if not found.ours:
        fix = f"ALTER TABLE {postgres_name(schema, plan.target)} OWNER TO this role, or {ways}"
        return [blocking("not_owner", f"{name} is in the way: it belongs to {found.owner}", fix)]
    if found.obstacles:
        return [blocking("obstacle", f"{name} is in the way: it {what}", ways) for what in found.obstacles]
    findings = []
    if has_rows(target, schema, plan.target):
        findings.append(
            blocking("target_not_empty", f"table {name} is in the way: it holds rows", f"empty or drop it, or {ways}")
        )
    key = frozenset(column.target for column in plan.key_plans)
    if key and key not in unique_keys(target, found.oid):
        message = f"{name} has no primary key or unique constraint on ({', '.join(sorted(key))})"
        findings.append(blocking("no_key", message, "add one: rows are upserted by it"))
    for trigger in user_triggers(target, found.oid):
        message = f"{name} has a trigger {trigger}, which could change the rows that are copied"
        findings.append(blocking("user_trigger", message, "drop it until the handover is done"))
    return findings + _column_misfits(name, plan, found)


def _column_misfits(name: str, plan: TablePlan, found: TargetTable) -> list[Finding]:
    def blocking(code: str, message: str, fix: str, column: str | None = None) -> Finding:
        return Finding("blocking", code, message, fix, plan.name, column)

    findings = []
    columns = {column.name: column for column in found.columns}
    wanted = {column.target for column in plan.columns}
    for column in plan.columns:
        if column.target not in columns:
            fix = f"add it to {name}, or skip = true for the column"
            findings.append(blocking("no_column", f"{name} has no column {column.target}", fix, column.source))
        elif (reason := _cannot_hold(column, columns[column.target])) is not None:
            fix = f"change its type, or name a format under [tables.{plan.name}.columns]"
            message = f"{name}.{column.target} is {columns[column.target].type_sql}: {reason}"
            findings.append(blocking("wrong_type", message, fix, column.source))
    for extra in found.columns:
        free = not extra.not_null or extra.has_default or extra.identity or extra.generated
        if extra.name not in wanted and not free:
            message = f"{name}.{extra.name} is NOT NULL without a default, and the source has no such column"
            findings.append(blocking("no_value", message, f"give {name}.{extra.name} a default"))
    return findings


def _cannot_hold(column: ColumnPlan, found: TargetColumn) -> str | None:
    """Say why the target's type takes no value of the source's kind; for text only the values can tell."""
    if found.is_domain:
        return "it is a domain, whose base type may round or cut"
    if not has_rule(found.type_sql):
        return "there is no rule for this type"
    probe = _PROBES.get(column.type_sql)
    if probe is None or found.generated:
        return None
    try:
        codec_for(replace(column, type_sql=found.type_sql), key=False).one(*probe)
    except ValueError as error:
        return str(error)
    return None


def detachable_indexes(target: Target, plan: TablePlan, found: TargetTable) -> list[TargetIndex]:
    """Return the unique indexes that must wait, like unique constraints; one on the key is the upserts' arbiter."""
    key = sorted(column.target for column in plan.key_plans)
    return [index for index in unique_indexes(target, found.oid) if not (index.whole and sorted(index.columns) == key)]


def detachable(target: Target, plan: TablePlan, found: TargetTable) -> list[TargetConstraint]:
    """Return what must not be enforced while rows arrive: foreign keys, and unique constraints but the key's."""
    key = sorted(column.target for column in plan.key_plans)
    return [
        constraint
        for constraint in other_constraints(target, found.oid)
        if constraint.kind == "f" or sorted(constraint.columns) != key
    ]

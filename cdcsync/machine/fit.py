"""Whether a table found in the target can take the rows of a planned one, and what is detached for that."""

from __future__ import annotations

from cdcsync.core.quoting import postgres_name
from cdcsync.edges.catalog import (
    TargetConstraint,
    TargetTable,
    has_rows,
    other_constraints,
    unique_keys,
    user_triggers,
)
from cdcsync.edges.target import Target
from cdcsync.words.nouns import Finding, TablePlan


def misfits(target: Target, schema: str, plan: TablePlan, found: TargetTable) -> list[Finding]:
    """Return what keeps a table that is already there from being filled; empty if nothing does."""
    name = f"{schema}.{plan.target}"
    ways = f'skip = true or target = "another name" under [tables.{plan.name}]'

    def blocking(code: str, message: str, fix: str, column: str | None = None) -> Finding:
        return Finding("blocking", code, message, fix, plan.name, column)

    if found.kind not in {"r", "p"}:
        return [blocking("target_in_the_way", f"{name} is in the way: it is no table", ways)]
    if not found.ours:
        fix = f"ALTER TABLE {postgres_name(schema, plan.target)} OWNER TO this role, or {ways}"
        return [blocking("not_owner", f"{name} is in the way: it belongs to {found.owner}", fix)]
    findings = []
    if has_rows(target, schema, plan.target):
        findings.append(
            blocking("target_not_empty", f"table {name} is in the way: it holds rows", f"empty or drop it, or {ways}")
        )
    columns = {column.name: column for column in found.columns}
    wanted = {column.target for column in plan.columns}
    for column in plan.columns:
        if column.target not in columns:
            fix = f"add it to {name}, or skip = true for the column"
            findings.append(blocking("no_column", f"{name} has no column {column.target}", fix, column.source))
    for extra in found.columns:
        free = not extra.not_null or extra.has_default or extra.identity or extra.generated
        if extra.name not in wanted and not free:
            message = f"{name}.{extra.name} is NOT NULL without a default, and the source has no such column"
            findings.append(blocking("no_value", message, f"give {name}.{extra.name} a default"))
    key = frozenset(column.target for column in plan.key_plans)
    if key and key not in unique_keys(target, found.oid):
        message = f"{name} has no primary key or unique constraint on ({', '.join(sorted(key))})"
        findings.append(blocking("no_key", message, "add one: rows are upserted by it"))
    for trigger in user_triggers(target, found.oid):
        message = f"{name} has a trigger {trigger}, which could change the rows that are copied"
        findings.append(blocking("user_trigger", message, "drop it until the handover is done"))
    return findings


def detachable(target: Target, plan: TablePlan, found: TargetTable) -> list[TargetConstraint]:
    """Return the constraints that must not be enforced while rows arrive: foreign keys, and unique ones
    other than the key's.
    """  # noqa: D205  one sentence
    key = sorted(column.target for column in plan.key_plans)
    return [
        constraint
        for constraint in other_constraints(target, found.oid)
        if constraint.kind == "f" or sorted(constraint.columns) != key
    ]

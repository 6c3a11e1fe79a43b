"""What `check` says about the parts of the source's schema that will not be in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from cdcsync.core.ddl import differences, target_ddl
from cdcsync.core.listing import listed
from cdcsync.core.toml_text import columns_section
from cdcsync.words.nouns import Finding, NotCarried, NotCarriedKind, SourceSchema, TablePlan

_NOUNS: dict[NotCarriedKind, str] = {
    "check": "CHECK",
    "collation": "collation",
    "default": "default",
    "foreign_key": "foreign key",
    "generated": "generated column",
    "index": "index",
}


def carried_findings(
    schema: SourceSchema, plans: Sequence[TablePlan], target_schema: str, in_place: Collection[str]
) -> Iterator[Finding]:
    """Yield what is not carried, by kind, and apart from that the defaults rows are refused without.

    Tables that are `in_place` keep their own schema.
    """
    _, left = target_ddl(schema, plans, target_schema)
    created = {plan.name: plan for plan in plans if plan.name not in in_place}
    by_kind: dict[NotCarriedKind, list[NotCarried]] = defaultdict(list)
    for one in (*left, *differences(plans)):
        plan = created.get(one.table)
        if plan is None or one.kind is None:
            continue
        if one.kind == "default" and any(column.source == one.column and column.not_null for column in plan.columns):
            yield _missed_default(one)
        else:
            by_kind[one.kind].append(one)
    for kind, several in by_kind.items():
        yield _together(_NOUNS[kind], several)


def _missed_default(one: NotCarried) -> Finding:
    message = (
        f"{one.what} of {one.table} is not carried ({one.reason}), and the column is NOT NULL: PostgreSQL will refuse "
        "rows that leave it out"
    )
    fix = f"{one.suggestion or 'give default = ..'} ({columns_section(one.table)})"
    return Finding("warning", "default_lost", message, fix, one.table, one.column)


def _together(noun: str, several: Sequence[NotCarried]) -> Finding:
    """Return one line for all of a kind."""
    plural = "indexes" if noun == "index" else f"{noun}s"
    names = listed([f"{one.table}: {one.what}" for one in several])
    message = (
        f"1 {noun} is not carried: {names}"
        if len(several) == 1
        else f"{len(several)} {plural} are not carried: {names}"
    )
    fix = "cdcsync plan prints why, and what to do instead"
    table = several[0].table if len(several) == 1 else None
    return Finding("info", "not_carried", message, fix, table, count=len(several))


def not_migrated_findings(schema: SourceSchema) -> Iterator[Finding]:
    """Yield what is left alone, by the reason for it."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in schema.not_migrated:
        by_reason[reason].append(name)
    for reason, names in by_reason.items():
        if len(names) == 1:
            yield Finding("info", "not_migrated", f"{names[0]} is not migrated: {reason}", table=names[0])
        else:
            message = f"{len(names)} are not migrated, each {reason}: {listed(names)}"
            yield Finding("info", "not_migrated", message, count=len(names))

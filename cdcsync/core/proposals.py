"""Proposals that agree with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cdcsync.core.mapping_file import Proposal, Proposals
from cdcsync.core.types import parse
from cdcsync.words.nouns import ColumnPlan, TablePlan

Place = tuple[str, str]
"""(table, column)."""


def alike_at_both_ends(
    plans: Sequence[TablePlan], found: dict[Place, Proposal], empty: set[Place], weak: Mapping[Place, Proposal]
) -> dict[Place, Proposal]:
    """Make proposals alike at both ends of a foreign key, as PostgreSQL wants them.

    A column without values follows the other end, and so does one with too few (`weak`, what they speak for); else a
    proposal falls where the other end has none.
    """
    types = {(plan.name, column.source): column.type_sql for plan in plans for column in plan.columns}
    links = [
        ((plan.name, child), (key.parent, parent))
        for plan in plans
        for key in plan.table.foreign_keys
        for child, parent in zip(key.columns, key.parent_columns, strict=False)
        if (key.parent, parent) in types
    ]

    def future(end: Place) -> tuple[str, str | None]:
        proposal = found.get(end)
        return (types[end], None) if proposal is None else (str(parse(proposal.type)), proposal.format)

    def torn() -> list[tuple[Place, Place]]:
        return [ends for ends in links if future(ends[0]) != future(ends[1])]

    for one, other in [*links, *links[::-1]]:
        for end, far in ((one, other), (other, one)):
            if end in found or far not in found:
                continue
            if end in empty:
                found[end] = replace(found[far], evidence=f"no values yet; as {far[0]}.{far[1]}")
            elif end in weak and weak[end].said == found[far].said:
                found[end] = replace(weak[end], evidence=f"{weak[end].evidence}; as {far[0]}.{far[1]}")
    while ends := [end for pair in torn() for end in pair if end in found]:
        for end in ends:
            found.pop(end, None)
    return found


def accepted(plans: Sequence[TablePlan], proposals: Proposals) -> tuple[TablePlan, ...]:
    """Return the plans as a mapping makes them that keeps every proposed line."""

    def taken(plan: TablePlan, column: ColumnPlan) -> ColumnPlan:
        proposal = proposals.get((plan.name, column.source))
        if proposal is None:
            return column
        # What the declared type says of a UUID's form is spoken against, as the mapping's line does it.
        usual = "hyphens" if proposal.type == "uuid" and column.format != "iso" else "iso"
        return replace(
            column,
            type_sql=str(parse(proposal.type)),
            format=proposal.format or usual,
            naive=proposal.naive or column.naive,
            on_finer=proposal.on_finer or column.on_finer,
        )

    return tuple(replace(plan, columns=tuple(taken(plan, column) for column in plan.columns)) for plan in plans)

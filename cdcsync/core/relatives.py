"""Which tables hang on one by foreign keys, and in which order: parents before their children."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cdcsync.words.nouns import ForeignKey, TablePlan


def parents(plan: TablePlan, among: Collection[TablePlan]) -> Iterator[tuple[ForeignKey, TablePlan]]:
    """Yield the foreign keys of a table to others of these tables; SQLite compares names without case."""
    by_name = {other.name.casefold(): other for other in among if other is not plan}
    for key in plan.table.foreign_keys:
        parent = by_name.get(key.parent.casefold())
        if parent is not None and len(key.parent_columns) == len(key.columns):
            yield key, parent


def descendants(root: TablePlan, plans: Collection[TablePlan]) -> list[TablePlan]:
    """Return the tables that refer to one, directly or not. In a circle, one of them comes before a parent."""
    found = [root]
    while reached := [plan for plan in plans if plan not in found and _refers(plan, found)]:
        found += reached
    ordered, waiting = [root], found[1:]
    while waiting:
        # In a circle nobody is free of parents that wait: then whoever refers to one that does not.
        free = [plan for plan in waiting if not _refers(plan, waiting)]
        free = free or [next(plan for plan in waiting if _refers(plan, ordered))]
        ordered += free
        waiting = [plan for plan in waiting if plan not in free]
    return ordered[1:]


def _refers(plan: TablePlan, others: Collection[TablePlan]) -> bool:
    return any(True for _ in parents(plan, others))

"""All statements of all tables, by phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdcsync.core.ddl.build import PHASES, Build
from cdcsync.core.ddl.checks import add_checks
from cdcsync.core.ddl.conflicts import list_conflicts
from cdcsync.core.ddl.defaults import add_defaults
from cdcsync.core.ddl.foreign_keys import add_foreign_keys
from cdcsync.core.ddl.generated import list_generated
from cdcsync.core.ddl.indexes import add_indexes, add_unique
from cdcsync.core.ddl.moved import Moved
from cdcsync.core.ddl.tables import add_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdcsync.words.nouns import NotCarried, SourceSchema, TablePlan, TargetStatement

# A foreign key refers to what the steps before it have kept unique, in any table.
_STEPS = (
    add_table,
    list_generated,
    add_defaults,
    add_checks,
    add_unique,
    add_indexes,
    list_conflicts,
    add_foreign_keys,
)


def target_ddl(
    schema: SourceSchema, plans: Sequence[TablePlan], target_schema: str
) -> tuple[tuple[TargetStatement, ...], tuple[NotCarried, ...]]:
    """Return the statements that build the tables of `plans`, by phase, and what they do not carry.

    `table` in both is the name of the source table.
    """
    build = Build(schema, target_schema, {plan.name: Moved.of(plan) for plan in plans})
    for step in _STEPS:
        for moved in build.moved.values():
            step(build, moved)
    ordered = sorted(build.statements, key=lambda statement: PHASES.index(statement.phase))
    return tuple(ordered), tuple(build.left)

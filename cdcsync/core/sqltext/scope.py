"""What names mean inside one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdcsync.core.sqltext.kinds import affinity_of
from cdcsync.core.sqltext.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdcsync.core.sqltext.kinds import Affinity
    from cdcsync.words.nouns import ColumnPlan, TablePlan


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean inside one table. `collations` maps source columns that declare one to it, in capitals.

    `exact`: lower() and upper() change ASCII letters only, as in SQLite, which a CHECK or unique index needs;
    otherwise they are PostgreSQL's own, which is what queries will say that hope for an index.
    """

    plan: TablePlan
    collations: Mapping[str, str]
    exact: bool = True

    def source_name(self, name: str) -> str | None:
        """Return the exact spelling of a source column; None if there is none."""
        return next((c.name for c in self.plan.table.columns if c.name.lower() == name.lower()), None)

    def affinity(self, name: str) -> Affinity:
        """Return the affinity of a source column of exactly this name."""
        declared = self.plan.table.column(name).declared_type
        return "" if self.plan.table.strict and declared.upper() == "ANY" else affinity_of(declared)

    def column(self, name: str) -> ColumnPlan:
        """Return the plan of a source column of exactly this name; UntranslatableError if it is left out."""
        found = next((column for column in self.plan.columns if column.source == name), None)
        if found is None:
            refuse(f"the mapping leaves out the column {name}")
        return found

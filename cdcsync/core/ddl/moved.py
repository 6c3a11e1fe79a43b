"""A table that is moved, with what its text declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdcsync.core.ddl.names import Names
from cdcsync.core.sqltext.declarations import declarations
from cdcsync.core.sqltext.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cdcsync.core.sqltext.declarations import Declaration, DeclarationKind
    from cdcsync.words.nouns import Index, TablePlan


@dataclass(frozen=True, slots=True)
class Moved:
    """A table that is moved, with what its text declares.

    `primary`: its key is the source's primary key. `key_index` is what keeps the key unique in the source.
    `unique_sets` are the columns PostgreSQL keeps unique, which a foreign key may refer to.
    """

    plan: TablePlan
    declared: tuple[Declaration, ...]
    scope: Scope
    primary: bool
    key_index: Index | None
    constraints: Names = field(default_factory=Names)
    unique_sets: list[frozenset[str]] = field(default_factory=list)

    @classmethod
    def of(cls, plan: TablePlan) -> Moved:
        """Read what the table declares."""
        declared = declarations(plan.table.sql)
        names = Scope(plan, {})
        collations = {
            name: declaration.text.upper()
            for declaration in declared
            if declaration.kind == "collate" and (name := names.source_name(declaration.column or "")) is not None
        }
        key = {column.name for column in plan.key}
        primary = {column.name for column in plan.table.columns if column.primary_key}
        index = next((index for index in plan.table.indexes if key and _keeps_unique(index, key)), None)
        return cls(plan, declared, Scope(plan, collations), bool(key) and key == primary, index)

    def of_kind(self, kind: DeclarationKind) -> list[Declaration]:
        """Return what the text declares of this kind, in its order."""
        return [declaration for declaration in self.declared if declaration.kind == kind]

    def declared_name(self, kind: DeclarationKind, columns: Iterable[str]) -> str | None:
        """Return the name the source gives to a constraint over these columns."""
        wanted = {column.lower() for column in columns}
        found = (d.name for d in self.of_kind(kind) if {name.lower() for name in d.columns} == wanted)
        return next((name for name in found if name is not None), None)

    def target(self, source: str) -> str:
        """Return the name of a source column in the target."""
        return self.scope.column(source).target


def _keeps_unique(index: Index, key: set[str]) -> bool:
    return index.unique and not index.partial and {column.name for column in index.columns} == key

"""The statements and omissions of one target, as they come up."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from psycopg import sql

from cdcsync.core.ddl.names import Names
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.words.nouns import NotCarried, NotCarriedKind, Phase, TargetStatement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cdcsync.core.ddl.moved import Moved
    from cdcsync.words.nouns import SourceSchema

PHASES: tuple[Phase, ...] = get_args(Phase)


class Build:
    """Statements and omissions as they come up; `kept` holds the target names of the source's own indexes."""

    def __init__(self, schema: SourceSchema, target_schema: str, moved: Mapping[str, Moved]) -> None:
        """Give tables and the source's own indexes their names first: all others are of our making."""
        self.schema = schema
        self.moved = moved
        self.statements: list[TargetStatement] = []
        self.left: list[NotCarried] = []
        self._target_schema = target_schema
        plans = [table.plan for table in moved.values()]
        identities = [f"{plan.target}_{c.target}_seq" for plan in plans for c in plan.columns if c.identity]
        self.names = Names([plan.target for plan in plans] + identities)
        own = [index.name for plan in plans for index in plan.table.indexes if index.origin == "c"]
        self.kept = {name: self.names.pick(name) for name in own}

    def add(self, phase: Phase, moved: Moved, name: str, statement: sql.Composable) -> None:
        """Add a statement."""
        self.statements.append(TargetStatement(phase, moved.plan.name, name, statement.as_string()))

    def leave(
        self,
        moved: Moved,
        what: str,
        reason: str | UntranslatableError,
        suggestion: str = "",
        *,
        kind: NotCarriedKind | None = None,
        column: str | None = None,
    ) -> None:
        """List what is not carried; a refusal's own suggestion goes before the one given here."""
        if isinstance(reason, UntranslatableError):
            suggestion = reason.suggestion or suggestion
        self.left.append(NotCarried(moved.plan.name, what, str(reason), suggestion, kind, column))

    def relation(self, moved: Moved) -> sql.Composable:
        """Return the table's name in the target."""
        return sql.Identifier(self._target_schema, moved.plan.target)

    def constraint(self, moved: Moved, wanted: str) -> str:
        """Name a UNIQUE or PRIMARY KEY constraint: its index shares the names of tables."""
        name = self.names.pick(wanted)
        moved.constraints.taken.add(name)
        return name


def identifiers(names: Iterable[str]) -> sql.Composable:
    """Return names in a row."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def verbatim(text: str) -> sql.Composable:
    """Return a text of the user's that is PostgreSQL already."""
    return sql.SQL(text)

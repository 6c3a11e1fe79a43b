"""ON CONFLICT clauses of the schema, which PostgreSQL has nothing like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved


def list_conflicts(build: Build, moved: Moved) -> None:
    """List the clauses that change what a statement of the application does to its rows."""
    for declaration in moved.of_kind("conflict"):
        action = declaration.text.upper()
        if action in {"REPLACE", "IGNORE"}:
            what = f"ON CONFLICT {action} at {declaration.column or 'a constraint of the table'}"
            reason = "PostgreSQL has it in statements only, not in the schema"
            build.leave(moved, what, reason, "write INSERT .. ON CONFLICT in the application")

"""ON CONFLICT clauses of the schema, which PostgreSQL has nothing like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved

_IN_STATEMENTS = (
    "PostgreSQL has it in statements only, not in the schema",
    "write INSERT .. ON CONFLICT in the application",
)
_ABORTS = (
    "PostgreSQL undoes the whole statement and lets the transaction do nothing more",
    "use a SAVEPOINT where the transaction is to go on",
)
_ACTIONS = {"REPLACE": _IN_STATEMENTS, "IGNORE": _IN_STATEMENTS, "FAIL": _ABORTS}


def list_conflicts(build: Build, moved: Moved) -> None:
    """List the clauses that change what a statement of the application does to its rows."""
    for declaration in moved.of_kind("conflict"):
        action = declaration.text.upper()
        if action in _ACTIONS:
            what = f"ON CONFLICT {action} at {declaration.column or 'a constraint of the table'}"
            build.leave(moved, what, *_ACTIONS[action])

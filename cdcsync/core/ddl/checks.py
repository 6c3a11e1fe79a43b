"""CHECK constraints: the mapping's own verbatim, the source's as far as they surely mean the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import verbatim
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.translate import conjuncts
from cdcsync.core.toml_text import columns_section

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.core.sqltext.declarations import Declaration
    from cdcsync.core.sqltext.terms import Term

_CHECK = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({})")
_NOT_VALID = sql.SQL("{} NOT VALID")


def add_checks(build: Build, moved: Moved) -> None:
    """Add the checks of a table, and list the parts that are not carried."""
    for column in moved.plan.columns:
        if column.check:
            name, check = _check(build, moved, f"{moved.plan.target}_{column.target}_check", verbatim(column.check))
            build.add("check", moved, name, check)
    for place, declaration in enumerate(moved.of_kind("check"), start=1):
        _carry(build, moved, declaration, place)


def _check(build: Build, moved: Moved, wanted: str, check: sql.Composable) -> tuple[str, sql.Composable]:
    name = moved.constraints.pick(wanted)
    return name, _CHECK.format(build.relation(moved), sql.Identifier(name), check)


def _carry(build: Build, moved: Moved, declaration: Declaration, place: int) -> None:
    column = moved.scope.source_name(declaration.column or "")
    plan = next((c for c in moved.plan.columns if c.source == column), None)
    what = f"CHECK {declaration.name}" if declaration.name else "CHECK"
    if plan is not None and plan.check:
        build.leave(
            moved, f"{what} ({declaration.text})", f"the mapping gives {column} a check of its own", kind="check"
        )
        return
    carried = _carried(build, moved, what, declaration.text)
    if carried:
        middle = plan.target if plan is not None else place
        whole = sql.SQL(" AND ").join(term.inner if len(carried) > 1 else term.code for term in carried)
        name, check = _check(build, moved, declaration.name or f"{moved.plan.target}_{middle}_check", whole)
        build.add("source_check", moved, name, _NOT_VALID.format(check))


def _carried(build: Build, moved: Moved, what: str, text: str) -> list[Term]:
    """Return the parts of a check that are carried, and list the others but for those the types see to."""
    carried = []
    for part, found in conjuncts(text, moved.scope):
        if isinstance(found, UntranslatableError):
            suggestion = f"give check = .. in {columns_section(moved.plan.name)}, or add it after the cutover"
            build.leave(moved, f"{what} ({part})", found, suggestion, kind="check")
        elif not found.certain:
            carried.append(found)
    return carried

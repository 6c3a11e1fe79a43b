"""Whole expressions of SQLite's in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdcsync.core.sqltext import arithmetic, choices, conditions, functions, inspection, operands, patterns
from cdcsync.core.sqltext.coercions import truth
from cdcsync.core.sqltext.parsing import parsed, parts_joined_by_and, spelled
from cdcsync.core.sqltext.refusal import UntranslatableError
from cdcsync.core.sqltext.translator import Translator

if TYPE_CHECKING:
    from psycopg import sql

    from cdcsync.core.sqltext.scope import Scope
    from cdcsync.core.sqltext.terms import Term

_HANDLERS = {
    **operands.HANDLERS,
    **conditions.HANDLERS,
    **patterns.HANDLERS,
    **arithmetic.HANDLERS,
    **functions.HANDLERS,
    **inspection.HANDLERS,
    **choices.HANDLERS,
}
_TOO_DEEP = "the expression is nested too deeply"


def translate(text: str, scope: Scope) -> Term:
    """Translate an expression; UntranslatableError with the reason if that is not sure to mean the same."""
    try:
        return Translator(scope, _HANDLERS).term(parsed(text, scope))
    except RecursionError:
        raise UntranslatableError(_TOO_DEEP) from None


def condition(text: str, scope: Scope) -> sql.Composable:
    """Translate an expression used as a condition, such as the WHERE of an index."""
    return truth(translate(text, scope)).code


def conjuncts(text: str, scope: Scope) -> list[tuple[str, Term | UntranslatableError]]:
    """Translate a CHECK part by part: those joined by AND hold each on their own, NULL included."""
    translator = Translator(scope, _HANDLERS)
    found: list[tuple[str, Term | UntranslatableError]] = []
    try:
        for node in parts_joined_by_and(parsed(text, scope)):
            try:
                found.append((spelled(node), truth(translator.term(node))))
            except UntranslatableError as error:
                found.append((spelled(node), error))
    except UntranslatableError as error:
        return [(text, error)]
    except RecursionError:
        return [(text, UntranslatableError(_TOO_DEEP))]
    return found

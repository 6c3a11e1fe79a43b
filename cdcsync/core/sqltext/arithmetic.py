"""Operators that compute: on numbers, and || on texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import number, written
from cdcsync.core.sqltext.kinds import widest
from cdcsync.core.sqltext.operators import ARITHMETIC
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, joined
from cdcsync.core.sqltext.translator import Handler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator


def _negative(translator: Translator, node: exp.Expression) -> Term:
    term = number(translator.term(node.this))
    code = sql.SQL("-{}").format(term.inner)
    if isinstance(term.literal, int | float):
        return Term(code, term.kind, -term.literal)
    return Term(code, term.kind, operator="-")


def _arithmetic(translator: Translator, node: exp.Expression) -> Term:
    _refuse_mixture(node, {"dpipe"})
    left, right = (number(term) for term in translator.operands(node))
    kind = widest({left.kind, right.kind})
    for_integers = node.key in {"mod", "bitwiseand", "bitwiseor"}
    if (for_integers and kind != "integer") or (node.key == "div" and kind == "numeric"):
        refuse(f"{spelled(node)} computes otherwise on numbers that are no integers")
    divisor = right.inner
    if node.key in {"div", "mod"} and not right.literal:
        # SQLite gives NULL where PostgreSQL raises an error.
        divisor = sql.SQL("nullif({}, 0)").format(right.code)
    operator = ARITHMETIC[node.key]
    return Term(joined(left.inner, operator, divisor), kind, operator=operator)


def _concatenation(translator: Translator, node: exp.Expression) -> Term:
    _refuse_mixture(node, ARITHMETIC)
    left, right = (written(term) for term in translator.operands(node))
    return Term(joined(left.inner, "||", right.inner), "text", operator="||")


def _refuse_mixture(node: exp.Expression, others: Iterable[str]) -> None:
    """Refuse || beside arithmetic without parentheses: it binds tighter in SQLite, elsewhere it does not."""
    if {node.this.key, node.expression.key} & {*others}:
        refuse(f"{spelled(node)} mixes || with arithmetic without parentheses")


HANDLERS = {
    "neg": Handler(_negative),
    **dict.fromkeys(ARITHMETIC, Handler(_arithmetic, "this expression")),
    "dpipe": Handler(_concatenation, "this expression"),
}

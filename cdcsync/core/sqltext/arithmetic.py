"""Operators that compute: on numbers, and || on texts."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import in_binary, number, written
from cdcsync.core.sqltext.kinds import widest
from cdcsync.core.sqltext.operators import ARITHMETIC
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, integer_term, joined
from cdcsync.core.sqltext.translator import Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator

_INTEGER_LIMIT = 2**63
_FOLDED: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}


def _negative(translator: Translator, node: exp.Expression) -> Term:
    term = number(translator.term(node.this))
    if term.kind == "null":
        return term
    if isinstance(term.literal, int):
        return integer_term(-term.literal)
    code = sql.SQL("-{}").format(term.inner)
    negated = -term.literal if isinstance(term.literal, float) else None
    return Term(code, term.kind, negated, operator="-")


def _arithmetic(translator: Translator, node: exp.Expression) -> Term:
    _refuse_mixture(node, {"dpipe"})
    left, right = (number(term) for term in translator.operands(node))
    kind = widest({left.kind, right.kind})
    if {left.kind, right.kind} == {"null"}:
        return left
    if kind == "numeric":
        refuse(
            f"{spelled(node)}: SQLite computes decimals in binary, PostgreSQL exactly",
            "say it in PostgreSQL's words by check = .. in the mapping",
        )
    if isinstance(left.literal, int) and isinstance(right.literal, int) and node.key in _FOLDED:
        return _constant(_FOLDED[node.key](left.literal, right.literal))
    left, right = in_binary(left), in_binary(right)
    for_integers = node.key in {"mod", "bitwiseand", "bitwiseor"}
    if for_integers and kind != "integer":
        refuse(f"{spelled(node)} computes otherwise on numbers that are no integers")
    divisor = right.inner
    if node.key in {"div", "mod"} and not right.literal:
        # SQLite gives NULL where PostgreSQL raises an error.
        divisor = sql.SQL("nullif({}, 0)").format(right.code)
    sign = ARITHMETIC[node.key]
    return Term(joined(left.inner, sign, divisor), kind, operator=sign)


def _constant(value: int) -> Term:
    """Return what was computed here: PostgreSQL counts small constants in 32 bits."""
    if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        refuse("it does not fit an integer")
    return integer_term(value)


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

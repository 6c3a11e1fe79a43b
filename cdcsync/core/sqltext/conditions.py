"""AND, OR and NOT, and the comparisons."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import as_boolean, number, truth
from cdcsync.core.sqltext.comparison import comparable, compared
from cdcsync.core.sqltext.operators import COMPARISONS, ORDERING
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, joined
from cdcsync.core.sqltext.translator import Handler

if TYPE_CHECKING:
    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator


def _junction(translator: Translator, node: exp.Expression) -> Term:
    word = node.key.upper()
    sides = [truth(term) for term in translator.terms([node.this, node.expression])]
    left, right = (side.code if side.operator == word else side.inner for side in sides)
    certain = (any if word == "OR" else all)(side.certain for side in sides)
    return Term(joined(left, word, right), "boolean", operator=word, certain=certain)


def _negation(translator: Translator, node: exp.Expression) -> Term:
    bare = node.this.unnest()
    if bare.key == "is":
        return _identity(translator, bare, negated=True)
    if bare.key == "in":
        return _membership(translator, bare, negated=True)
    negated = sql.SQL("NOT {}").format(truth(translator.term(node.this)).inner)
    return Term(negated, "boolean", operator="NOT")


def _comparison(translator: Translator, node: exp.Expression) -> Term:
    left, right = translator.operands(node)
    return compared(left, COMPARISONS[node.key], right, ordering=node.key in ORDERING)


def _identity(translator: Translator, node: exp.Expression, *, negated: bool = False) -> Term:
    left, right = translator.operands(node)
    if right.kind == "null" or (right.kind == "boolean" and node.expression.key == "boolean"):
        side = left if right.kind == "null" else truth(left)
        return Term(joined(side.inner, "IS NOT" if negated else "IS", right.code), "boolean", operator="IS")
    return compared(left, COMPARISONS["nullsafeneq" if negated else "nullsafeeq"], right)


def _membership(translator: Translator, node: exp.Expression, *, negated: bool = False) -> Term:
    left = translator.operands(node, "this")[0]
    items = [replace(item, affinity="") for item in translator.terms(node.expressions)]
    if any(item.collation not in {"", "BINARY"} for item in items):
        refuse(f"{spelled(node)} compares by the collation of its left side only")
    if left.kind == "boolean" and any(as_boolean(item) is None and item.kind != "null" for item in items):
        left = number(left)
    pairs = [comparable(left, item) for item in items]
    if not pairs or any(pair[0].code != pairs[0][0].code for pair in pairs):
        refuse("its values are of different types")
    listed = sql.SQL("({})").format(sql.SQL(", ").join(item.code for _, item in pairs))
    code = joined(pairs[0][0].inner, "NOT IN" if negated else "IN", listed)
    return Term(code, "boolean", operator="IN")


def _between(translator: Translator, node: exp.Expression) -> Term:
    value, low, high = translator.operands(node, "this", "low", "high")
    lower, upper = comparable(value, low, ordering=True), comparable(value, high, ordering=True)
    text = sql.SQL("{} >= {} AND {} <= {}").format(*(side.inner for side in (*lower, *upper)))
    return Term(text, "boolean", operator="AND")


HANDLERS = {
    "and": Handler(_junction, "this expression"),
    "or": Handler(_junction, "this expression"),
    "not": Handler(_negation),
    **dict.fromkeys(COMPARISONS, Handler(_comparison, "this expression")),
    "is": Handler(_identity, "this expression"),
    "in": Handler(_membership, "this expressions"),
    "between": Handler(_between, "this low high"),
}

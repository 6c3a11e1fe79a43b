"""CASE and the functions that choose one of several values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import truth
from cdcsync.core.sqltext.comparison import comparable, compared, unified
from cdcsync.core.sqltext.kinds import one_of
from cdcsync.core.sqltext.terms import Term, call, null_term
from cdcsync.core.sqltext.translator import Handler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator


def _nullified(translator: Translator, node: exp.Expression) -> Term:
    # A function sees values, whose affinity plays no part any more.
    whole, other = (replace(term, affinity="") for term in translator.operands(node))
    if whole.kind == "null":
        return whole
    left, right = comparable(whole, other)
    if left.code == whole.code and left.kind == right.kind:
        return replace(call("nullif", left.kind, [left, right]), column=left.column)
    # PostgreSQL's own would give the type that holds both, SQLite gives the first value as it is.
    code = sql.SQL("CASE WHEN {} = {} THEN NULL ELSE {} END").format(left.inner, right.inner, whole.code)
    return Term(code, whole.kind)


def _coalesced(translator: Translator, node: exp.Expression) -> Term:
    terms = unified(translator.terms([node.this, *node.expressions]))
    if one_of({term.kind for term in terms}) == "null":
        return null_term()
    first = next((term for term in terms if term.kind != "null"), terms[0])
    called = call("coalesce", one_of({term.kind for term in terms}), terms)
    return replace(called, column=first.column)


def _case(translator: Translator, node: exp.Expression) -> Term:
    branches = node.args["ifs"]
    if node.this is None:
        whens = [truth(translator.term(branch.this)) for branch in branches]
    else:
        whens = [compared(translator.term(node.this), "=", translator.term(branch.this)) for branch in branches]
    return _chosen(translator, whens, branches, node.args.get("default"))


def _either(translator: Translator, node: exp.Expression) -> Term:
    return _chosen(translator, [truth(translator.term(node.this))], [node], node.args.get("false"))


def _chosen(
    translator: Translator,
    whens: Sequence[Term],
    branches: Sequence[exp.Expression],
    default: exp.Expression | None,
) -> Term:
    nodes = [branch.args["true"] for branch in branches]
    results = unified(translator.terms(nodes if default is None else [*nodes, default]))
    kind = one_of({result.kind for result in results})
    if kind == "null":
        # PostgreSQL would take it for a text, beside which no number can stand.
        return null_term()
    pieces = [
        sql.SQL("WHEN {} THEN {}").format(when.code, result.code) for when, result in zip(whens, results, strict=False)
    ]
    if default is not None:
        pieces.append(sql.SQL("ELSE {}").format(results[-1].code))
    code = sql.SQL("CASE {} END").format(sql.SQL(" ").join(pieces))
    return Term(code, kind)


HANDLERS = {
    "nullif": Handler(_nullified, "this expression"),
    "coalesce": Handler(_coalesced, "this expressions"),
    "case": Handler(_case, "this ifs default"),
    "if": Handler(_either, "this true false"),
}

"""Columns and constants, and what only wraps them: parentheses and COLLATE."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.lexer import number_value
from cdcsync.core.sqltext.literals import blob_literal, boolean_literal
from cdcsync.core.sqltext.operators import COMPARISONS
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, column_term, null_term, text_term
from cdcsync.core.sqltext.translator import Handler
from cdcsync.core.types import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator


def _column(translator: Translator, node: exp.Expression) -> Term:
    scope = translator.scope
    name = scope.source_name(node.name)
    if name is not None:
        return _cased(column_term(scope.column(name), scope.collations.get(name, "BINARY"), scope.affinity(name)))
    if not node.this.args.get("quoted") or node.args.get("table"):
        refuse(f"{node.name} is no column that arrives")
    # SQLite takes a double-quoted name that is no column for a string.
    return text_term(node.name)


def _cased(term: Term) -> Term:
    """Return a column so that PostgreSQL tells its letters apart, as SQLite does: citext would not."""
    if term.column is None or parse(term.column.type_sql).base != "citext":
        return term
    return replace(term, code=sql.SQL("CAST({} AS text)").format(term.code))


def _literal(_: Translator, node: exp.Expression) -> Term:
    if node.is_string:
        return text_term(node.name)
    digits = node.name.replace("_", "")
    value = number_value(digits)
    if math.isinf(value) or (value == 0 and digits.lower().partition("e")[0].strip("0.")):
        refuse(f"{digits} is beyond what PostgreSQL's numbers hold")
    return Term(sql.SQL(digits), "integer" if isinstance(value, int) else "float", value)


def _blob(_: Translator, node: exp.Expression) -> Term:
    return Term(blob_literal(node.name), "bytea")


def _boolean(_: Translator, node: exp.Expression) -> Term:
    return Term(boolean_literal(node.this), "boolean", int(node.this))


def _null(_: Translator, __: exp.Expression) -> Term:
    return null_term()


def _parentheses(translator: Translator, node: exp.Expression) -> Term:
    return translator.term(node.this)


def _above(node: exp.Expression) -> Iterator[str]:
    """Return the kinds of the nodes around this one up to the whole expression, but for parentheses."""
    above = node.parent
    while above is not None and above.key != "select":
        if above.key != "paren":
            yield above.key
        above = above.parent


def _collation(translator: Translator, node: exp.Expression) -> Term:
    # SQLite lets a COLLATE reach whatever the value it is in, computed or chosen, is compared with.
    above = list(_above(node))
    if not above or above[0] not in {*COMPARISONS, "is", "in", "between"} or {*above[1:]} - {"and", "or", "not"}:
        refuse(f"{spelled(node)} reaches further than it seems to")
    return replace(translator.term(node.this), collation=node.expression.name.upper(), explicit=True)


HANDLERS = {
    "column": Handler(_column, "this table db"),
    "literal": Handler(_literal),
    "hexstring": Handler(_blob),
    "boolean": Handler(_boolean),
    "null": Handler(_null, ""),
    "paren": Handler(_parentheses),
    "collate": Handler(_collation, "this expression"),
}

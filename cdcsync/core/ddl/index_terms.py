"""What an index is on: its columns and expressions, and the WHERE of a partial one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import collated
from cdcsync.core.sqltext.declarations import index_text
from cdcsync.core.sqltext.refusal import UntranslatableError, refuse
from cdcsync.core.sqltext.scope import Scope
from cdcsync.core.sqltext.terms import column_term
from cdcsync.core.sqltext.translate import condition, translate
from cdcsync.core.types import parse

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.core.sqltext.terms import Term
    from cdcsync.words.nouns import Index, IndexColumn

# Types without an order, which no index of the usual kind takes.
_NOT_INDEXABLE = frozenset({"json", "xml", "point"})


def index_terms(build: Build, moved: Moved, index: Index, what: str) -> tuple[list[sql.Composable], bool]:
    """Return the terms of an index, and whether they are plain columns."""
    scope = Scope(moved.plan, moved.scope.collations, exact=index.unique)
    texts = index_text(index.sql)[0] if index.sql else []
    terms, all_plain = [], True
    for place, column in enumerate(index.columns):
        text = texts[place] if place < len(texts) else ""
        term = _column(scope, column.name) if column.name is not None else translate(text, scope)
        try:
            term = _compared_alike(term, column)
        except UntranslatableError as error:
            what_is_left = f"collation {column.collation} of {what}"
            build.leave(moved, what_is_left, error, "it compares bytes instead", kind="collation")
        plain = column.name is not None and term.column is not None
        all_plain = all_plain and plain
        code = term.code if plain or _is_call(term) else sql.SQL("({})").format(term.code)
        terms.append(sql.SQL("{} DESC").format(code) if column.descending else code)
    return terms, all_plain


def index_condition(moved: Moved, index: Index) -> sql.Composable:
    """Return the WHERE of a partial index; nothing for any other."""
    if not index.partial:
        return sql.SQL("")
    text = index_text(index.sql)[1] if index.sql else None
    return sql.SQL(" WHERE {}").format(condition(text or "", moved.scope))


def _column(scope: Scope, name: str) -> Term:
    column = scope.column(name)
    if parse(column.type_sql).base in _NOT_INDEXABLE:
        refuse(f"{name} is {column.type_sql}, which PostgreSQL does not index like this", "use jsonb")
    return column_term(column)


def _compared_alike(term: Term, column: IndexColumn) -> Term:
    """Return a term that is equal where the index of the source takes it for equal."""
    if term.kind != "text" or (term.column is not None and parse(term.column.type_sql).base == "citext"):
        return term
    return collated(term, column.collation)


def _is_call(term: Term) -> bool:
    return re.match(r"\w+\(", term.code.as_string()) is not None

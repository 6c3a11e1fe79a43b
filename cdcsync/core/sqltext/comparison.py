"""Terms made alike, so that PostgreSQL compares and combines them as SQLite does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import as_boolean, collated, in_binary, number, written
from cdcsync.core.sqltext.kinds import NUMBERS
from cdcsync.core.sqltext.literals import boolean_literal, sent_literal
from cdcsync.core.sqltext.refusal import UntranslatableError, refuse
from cdcsync.core.sqltext.terms import Term, joined

if TYPE_CHECKING:
    from collections.abc import Sequence


def compared(left: Term, operator: str, right: Term, *, ordering: bool = False) -> Term:
    """Return the comparison of two terms."""
    left, right = comparable(left, right, ordering=ordering)
    return Term(joined(left.inner, operator, right.inner), "boolean", operator=operator)


def comparable(left: Term, right: Term, *, ordering: bool = False) -> tuple[Term, Term]:
    """Return both sides so that PostgreSQL compares them as SQLite does."""
    left, right = _adapted(left, right, ordering=ordering), _adapted(right, left, ordering=ordering)
    kinds = {left.kind, right.kind} - {"null"}
    if kinds == {"text"}:
        return _collated_pair(left, right, ordering=ordering)
    different = UntranslatableError(f"{left.says()} is compared with {right.says()}".rstrip(","))
    if len(kinds) > 1 or (ordering and kinds == {"boolean"}):
        try:
            return number(left), number(right)
        except UntranslatableError:
            raise different from None
    if _differ_in_format([left, right]) or kinds == {"json"} or (ordering and kinds & {"uuid", "other"}):
        raise different
    return left, right


def unified(terms: Sequence[Term]) -> list[Term]:
    """Return terms of one kind, for the branches of a CASE and the like."""
    column = next((term for term in terms if term.literal is None and term.kind != "null"), None)
    if column is not None:
        terms = [_adapted(term, replace(column, affinity=""), ordering=False) for term in terms]
    if len({term.kind for term in terms} - {"null"}) > 1:
        terms = [number(term) for term in terms]
    if _differ_in_format(terms):
        refuse("its times are kept in different formats")
    return [in_binary(term) for term in terms]


def _differ_in_format(terms: Sequence[Term]) -> bool:
    """Tell whether these are times that the source keeps in different formats."""
    formats = {term.column.format for term in terms if term.column is not None}
    return {term.kind for term in terms} - {"null"} == {"time"} and len(formats) > 1


def _collated_pair(left: Term, right: Term, *, ordering: bool) -> tuple[Term, Term]:
    # A COLLATE wins over a column's own collation, and then the left side over the right.
    sides = sorted((left, right), key=lambda side: not side.explicit)
    collation = next((side.collation for side in sides if side.collation), "BINARY")
    if collation == "BINARY":
        # PostgreSQL's order is the database's, SQLite's that of the bytes.
        ordered = sql.SQL('{} COLLATE "C"').format(left.inner)
        return (replace(left, code=ordered, operator="") if ordering else left), right
    return collated(left, collation), collated(right, collation)


def _adapted(term: Term, other: Term, *, ordering: bool) -> Term:
    """Give a constant the type of what it is compared with."""
    if term.literal is None or other.literal is not None:
        return term
    if other.kind == "boolean" and not ordering:
        value = as_boolean(term)
        return term if value is None else Term(boolean_literal(value), "boolean")
    if other.kind == "text" and other.affinity == "text":
        return written(term)
    if other.kind in NUMBERS and other.affinity == "number" and isinstance(term.literal, str):
        if not re.fullmatch(r"-?\d+(\.\d+)?", term.literal):
            refuse(f"{other.says()} is compared with a text")
        return Term(sql.SQL(term.literal), "integer" if term.literal.lstrip("-").isdecimal() else "float")
    if other.kind in {"uuid", "date", "clock"} and other.column is not None and isinstance(term.literal, str):
        if other.kind == "uuid" and term.literal != term.literal.lower():
            refuse(f"{other.says()} has no case, unlike {term.literal!r}")
        return Term(sent_literal(other.column, "text", term.literal), other.kind)
    return replace(term, kind="other") if other.kind == "other" and term.kind == "text" else term

"""Terms made into what their place asks for, where SQLite converts by itself and PostgreSQL does not."""

from __future__ import annotations

from dataclasses import replace

from psycopg import sql

from cdcsync.core.sqltext.kinds import NUMBERS, is_zoned
from cdcsync.core.sqltext.literals import boolean_literal
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, text_term

# What one second is in each format of a column that the source keeps as an epoch.
_EPOCHS = {"epoch_s": 1, "epoch_ms": 1000, "epoch_us": 1_000_000}


def truth(term: Term) -> Term:
    """Return the term as a condition: SQLite takes any number but 0 for true."""
    if term.kind == "integer" and term.literal in (0, 1):
        return Term(boolean_literal(term.literal), "boolean")
    if term.kind in NUMBERS:
        return Term(sql.SQL("{} <> 0").format(term.inner), "boolean", operator="<>")
    if term.kind not in {"boolean", "null"}:
        refuse(f"{term.says()} is used as a condition")
    return term


def as_boolean(term: Term) -> bool | None:
    """Return the truth a constant stands for beside a boolean; None if it is no such constant."""
    if term.kind in {"integer", "boolean"} and term.literal in (0, 1):
        return bool(term.literal)
    if term.kind == "text" and term.literal in {"true", "false", "0", "1"}:
        return term.literal in {"true", "1"}
    return None


def number(term: Term) -> Term:
    """Return the term as a number: a condition counts 0 or 1, a time its epoch if the source keeps that."""
    if term.kind == "boolean":
        if term.literal is not None:
            return Term(sql.SQL(str(term.literal)), "integer", term.literal)
        return Term(sql.SQL("CAST({} AS integer)").format(term.code), "integer")
    if term.kind == "time" and term.column is not None and term.column.format in _EPOCHS:
        seconds = sql.SQL("extract(epoch FROM {})").format(in_utc(term.inner, term.column.type_sql))
        scale = _EPOCHS[term.column.format]
        if scale == 1:
            return Term(seconds, "numeric")
        return Term(sql.SQL("{} * {}").format(seconds, sql.SQL(str(scale))), "numeric", operator="*")
    if term.kind not in NUMBERS and term.kind != "null":
        refuse(f"{term.says()} is used as a number")
    return term


def in_binary(term: Term) -> Term:
    """Return a constant with a fraction as SQLite computes with it; PostgreSQL takes it for a decimal."""
    if isinstance(term.literal, float):
        return Term(sql.SQL("CAST({} AS double precision)").format(term.inner), "float")
    return term


def in_utc(moment: sql.Composable, type_sql: str) -> sql.Composable:
    """Return a time as that of UTC; immutable, unlike one of a zone, so that an index may use it."""
    return sql.SQL("{} AT TIME ZONE 'UTC'").format(moment) if is_zoned(type_sql) else moment


def written(term: Term) -> Term:
    """Return the term as text, where both databases write it alike."""
    if term.kind == "integer":
        if term.literal is not None:
            return text_term(str(term.literal))
        return Term(sql.SQL("CAST({} AS text)").format(term.code), "text")
    if term.kind not in {"text", "null"}:
        refuse(f"{term.says()} is used as text")
    return term


def collated(term: Term, collation: str) -> Term:
    """Return a text so that PostgreSQL's equality says what this collation of SQLite says."""
    if collation.upper() in {"", "BINARY"}:
        return term
    if collation.upper() == "RTRIM":
        return replace(term, code=sql.SQL("rtrim({}, ' ')").format(term.code), operator="", column=None)
    if collation.upper() != "NOCASE":
        refuse(f"PostgreSQL has no collation {collation}")
    if isinstance(term.literal, str):
        return text_term("".join(x.lower() if x.isascii() else x for x in term.literal))
    return replace(term, code=sql.SQL('lower({} COLLATE "C")').format(term.inner), operator="", column=None)

"""Defaults that are constants."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from cdcsync.core.ddl.moments import CLOCK_WORDS
from cdcsync.core.sqltext.lexer import number_value, tokens, without_parentheses
from cdcsync.core.sqltext.literals import sent_literal
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.types import by_affinity

if TYPE_CHECKING:
    from psycopg import sql

    from cdcsync.words.nouns import Column, ColumnPlan

_STORAGE: dict[type, Literal["integer", "real", "text", "blob"]] = {
    int: "integer",
    float: "real",
    str: "text",
    bytes: "blob",
}
_BLOB = re.compile(r"[xX]'((?:[0-9a-fA-F]{2})*)'")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_INTEGER_LIMIT = 2**63


def constant_default(text: str, source: Column, column: ColumnPlan, *, strict: bool) -> sql.Composable | None:
    """Return a constant as it arrives in the column; None if the text is none."""
    constant = _constant(text)
    if constant is None:
        return None
    value = _stored(constant, source.declared_type.upper(), strict=strict)
    return sent_literal(column, _STORAGE[type(value)], value)


def _constant(text: str) -> int | float | str | bytes | None:
    """Return the value of a constant; a bare word or a double-quoted one is a text to SQLite."""
    found = tokens(without_parentheses(text))
    signs = [token.text for token in found[:-1]]
    if not found or signs not in ([], ["+"], ["-"]) or found[-1].word.lower() in CLOCK_WORDS:
        return None
    token, negative = found[-1], signs == ["-"]
    if token.kind == "number":
        return -number_value(token.text) if negative else number_value(token.text)
    if negative:
        # SQLite makes a number of anything here; what it makes of a text nobody means.
        return None
    if token.kind == "string" and token.text[0] in "xX":
        blob = _BLOB.fullmatch(token.text)
        return bytes.fromhex(blob[1]) if blob is not None else None
    if token.word in {"TRUE", "FALSE"}:
        return int(token.word == "TRUE")
    return token.name if token.kind in {"string", "name", "word"} else None


def _written(value: float | str) -> str:
    """Return what SQLite writes for a number in a column of texts."""
    text = str(value)
    if isinstance(value, float) and ("e" in text or float(f"{value:.15g}") != value):
        refuse("SQLite writes this number in digits of its own")
    return text


def _stored(value: float | str | bytes, declared: str, *, strict: bool) -> int | float | str | bytes:
    """Return what SQLite stores for a constant in this column (sqlite.org/datatype3.html, section 3)."""
    affinity = by_affinity(declared)
    if isinstance(value, bytes) or not declared or affinity == "bytea" or (strict and declared == "ANY"):
        return value
    if affinity == "text":
        return _written(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value) if _WHOLE.fullmatch(value) else float(value)
    if isinstance(value, str):
        return value
    if affinity == "double precision":
        return float(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _INTEGER_LIMIT
    return int(value) if whole else value

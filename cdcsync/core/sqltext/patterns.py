"""LIKE and GLOB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import collated, written
from cdcsync.core.sqltext.literals import literal
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, joined
from cdcsync.core.sqltext.translator import Handler, unknown

if TYPE_CHECKING:
    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator

_GLOB_SET = re.compile(r"\[(\^?)(\]?[^\]]*)\]")


def _like(translator: Translator, node: exp.Expression, escape: str = "") -> Term:
    value, pattern = (written(term) for term in translator.operands(node))
    if escape and (not isinstance(pattern.literal, str) or not _may_escape(escape, pattern.literal)):
        refuse(f"its ESCAPE {escape!r} cannot be used alike in PostgreSQL")
    cased = pattern.literal is None or any(x.isascii() and x.isalpha() for x in str(pattern.literal))
    sides = [collated(side, "NOCASE") if cased else side for side in (value, pattern)]
    text = joined(sides[0].inner, "NOT LIKE" if node.args.get("negate") else "LIKE", sides[1].inner)
    if escape or pattern.literal is None or "\\" in str(pattern.literal):
        # SQLite has no escape character unless one is named, PostgreSQL the backslash.
        text = joined(text, "ESCAPE", literal(escape))
    return Term(text, "boolean", operator="LIKE")


def _escape(translator: Translator, node: exp.Expression) -> Term:
    if node.this.key != "like" or not node.expression.is_string or len(node.expression.name) != 1:
        raise unknown(node)
    return _like(translator, node.this, node.expression.name)


def _may_escape(escape: str, pattern: str) -> bool:
    """Tell whether PostgreSQL escapes alike: a letter may lose its case, a last character escapes nothing."""
    rest = re.sub(re.escape(escape) + ".", "", pattern, flags=re.DOTALL)
    return not escape.isalpha() and escape not in rest


def _glob(translator: Translator, node: exp.Expression) -> Term:
    value, pattern = (written(term) for term in translator.operands(node))
    if not isinstance(pattern.literal, str):
        refuse("the pattern of its GLOB is not constant")
    regex = literal(_glob_regex(pattern.literal))
    return Term(sql.SQL('{} COLLATE "C" ~ {}').format(value.inner, regex), "boolean", operator="~")


def _glob_regex(pattern: str) -> str:
    """Write a GLOB pattern as a regular expression of PostgreSQL."""
    pieces, place = [], 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "[":
            piece, place = _glob_set(pattern, place)
            pieces.append(piece)
            continue
        pieces.append({"*": ".*", "?": "."}.get(letter) or re.sub(r"([\\^$.|+(){}\]])", r"\\\1", letter))
        place += 1
    return f"^{''.join(pieces)}$"


def _glob_set(pattern: str, opening: int) -> tuple[str, int]:
    match = _GLOB_SET.match(pattern, opening)
    if match is None or not match[2]:
        refuse(f"the GLOB pattern {pattern!r} has a [ that is not closed")
    if any(low > high for low, high in re.findall(r"(.)-(.)", match[2], flags=re.DOTALL)):
        refuse(f"the GLOB pattern {pattern!r} has a range from the end to the beginning")
    members = re.sub(r"([\\\[\]^])", r"\\\1", match[2])
    return f"[{match[1]}{members}]", match.end()


HANDLERS = {
    "like": Handler(_like, "this expression negate"),
    "escape": Handler(_escape, "this expression"),
    "glob": Handler(_glob, "this expression"),
}

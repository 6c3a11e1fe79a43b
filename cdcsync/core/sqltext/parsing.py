"""An expression of SQLite's as a tree of sqlglot's."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from cdcsync.core.quoting import sqlite_name
from cdcsync.core.sqltext.lexer import number_value, tokens
from cdcsync.core.sqltext.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlglot import exp

    from cdcsync.core.sqltext.lexer import Token
    from cdcsync.core.sqltext.scope import Scope

# Words that stand where a column may, but are none even if a column is called so.
_OPERATORS = frozenset({"LIKE", "GLOB", "REGEXP", "MATCH", "CAST", "CASE", "NOT"})
# What an operand may follow, beside the signs but a closing parenthesis.
_BEFORE_OPERANDS = _OPERATORS | {"AND", "OR", "IN", "IS", "BETWEEN", "WHEN", "THEN", "ELSE"}


def parsed(text: str, scope: Scope) -> exp.Expression:
    """Return the tree of an expression; UntranslatableError if it is none."""
    # Imported late: it costs memory and time that the daemon, which translates nothing, should not pay.
    from sqlglot import parse_one  # noqa: PLC0415
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        tree = parse_one("SELECT " + _names_quoted(text, scope), read="sqlite")
    except SqlglotError as error:
        refuse(f"it cannot be parsed: {str(error).splitlines()[0]}")
    if tree.key != "select" or len(tree.expressions) != 1:
        refuse("it is no single expression")
    found: exp.Expression = tree.expressions[0]
    return found


def spelled(node: exp.Expression) -> str:
    """Return the text of a node, for people."""
    return node.sql(dialect="sqlite")


def parts_joined_by_and(node: exp.Expression) -> Iterator[exp.Expression]:
    """Return the conditions that must each hold for the whole to hold."""
    while node.key == "paren":
        node = node.this
    if node.key == "and":
        yield from parts_joined_by_and(node.this)
        yield from parts_joined_by_and(node.expression)
    else:
        yield node


def _refuse_unary_plus(found: Sequence[Token]) -> None:
    """Refuse +column, which takes the affinity off the column and of which the parser tells nothing."""
    for before, token, after in zip([None, *found], found, found[1:], strict=False):
        opens = before is None or before.word in _BEFORE_OPERANDS or (before.kind == "sign" and before.text != ")")
        if token.text == "+" and opens and after.kind not in {"number", "string"}:
            refuse(f"the unary plus at {after.text} is no mere sign in SQLite")


def _names_quoted(text: str, scope: Scope) -> str:
    """Quote columns, which a parser may take for its keywords; drop comments, and hexadecimal numbers."""
    found = tokens(text)
    _refuse_unary_plus(found)
    operators = _OPERATORS | {"END"} if any(token.word == "CASE" for token in found) else _OPERATORS
    pieces, last = [], 0
    for token, following in zip_longest(found, found[1:]):
        pieces.append(" " if token.start > last else "")
        name = scope.source_name(token.text) if token.word and token.word not in operators else None
        call = following is not None and following.text == "("
        plain = str(number_value(token.text)) if token.text[:2] in {"0x", "0X"} else token.text
        pieces.append(plain if name is None or call else sqlite_name(name))
        last = token.end
    return "".join(pieces)

"""What the text of CREATE TABLE and CREATE INDEX declares and no pragma of SQLite's tells."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from cdcsync.core.sqltext.lexer import group, spanned, split, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cdcsync.core.sqltext.lexer import Token

DeclarationKind: TypeAlias = Literal["check", "unique", "primary", "foreign", "collate", "generated", "conflict"]

_KINDS: dict[str, DeclarationKind] = {
    "CHECK": "check",
    "AS": "generated",
    "UNIQUE": "unique",
    "PRIMARY": "primary",
    "REFERENCES": "foreign",
    "COLLATE": "collate",
    "CONFLICT": "conflict",
}
_TABLE_LEVEL = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_DEFERRABLE = re.compile(r"(?<!NOT )\bDEFERRABLE( INITIALLY DEFERRED)?")


@dataclass(frozen=True, slots=True)
class Declaration:
    """One constraint as a CREATE TABLE spells it.

    `column` is the one it stands at, None at the table's end. `text` is the expression of a check or
    generated column, the name of a collation, the action of ON CONFLICT, how a foreign key is deferred.
    """

    kind: DeclarationKind
    name: str | None
    column: str | None
    columns: tuple[str, ...] = ()
    text: str = ""


def declarations(create_table: str) -> tuple[Declaration, ...]:
    """Return the constraints of a CREATE TABLE in the order of its text."""
    whole = tokens(create_table)
    opening = next((place for place, token in enumerate(whole) if token.text == "("), len(whole))
    body, _ = group(whole, opening)
    return tuple(found for part in split(body) if part for found in _definition(create_table, part))


def _definition(text: str, part: Sequence[Token]) -> Iterator[Declaration]:
    column = None if part[0].word in _TABLE_LEVEL else part[0].name
    name: str | None = None
    columns: tuple[str, ...] = (column,) if column is not None else ()
    place = 0 if column is None else 1
    while place < len(part):
        word, after = part[place].word, place + 1
        kind = _KINDS.get(word)
        inner, end = group(part, after + (word in {"PRIMARY", "FOREIGN"}))
        named = tuple(item[0].name for item in split(inner) if item) or columns
        if word == "CONSTRAINT" and after < len(part):
            name, end = part[after].name, after + 1
        elif word == "FOREIGN":
            columns = named
        elif kind in {"check", "generated"}:
            yield Declaration(kind, name, column, text=spanned(text, inner))
        elif kind in {"primary", "unique"}:
            yield Declaration(kind, name, column, named)
        elif kind == "foreign":
            yield Declaration(kind, name, column, columns, _deferral(part[after:]))
        elif kind is not None and after < len(part):
            yield Declaration(kind, name, column, columns, part[after].name)
        name = name if word in {"CONSTRAINT", "FOREIGN"} else None
        place = end if inner or word in {"CONSTRAINT", "PRIMARY", "FOREIGN"} else after


def _deferral(rest: Sequence[Token]) -> str:
    """Return DEFERRABLE, with INITIALLY DEFERRED where that is said; empty if the key cannot be deferred."""
    words = [token.word for token in rest]
    stop = next((place for place, word in enumerate(words) if word in {*_TABLE_LEVEL, "REFERENCES"}), len(words))
    found = _DEFERRABLE.search(" ".join(words[:stop]))
    return found[0] if found is not None else ""


def index_text(create_index: str) -> tuple[list[str], str | None]:
    """Return the terms of a CREATE INDEX without collation and direction, and its WHERE if it has one."""
    whole = tokens(create_index)
    on = next((place for place, token in enumerate(whole) if token.word == "ON"), 0)
    opening = next((place for place in range(on, len(whole)) if whole[place].text == "("), len(whole))
    inner, end = group(whole, opening)
    where = create_index[whole[end].end :].strip().rstrip(";") if end < len(whole) else None
    return [spanned(create_index, _bare(term)) for term in split(inner)], where


def _bare(term: Sequence[Token]) -> Sequence[Token]:
    if term and term[-1].word in {"ASC", "DESC"}:
        term = term[:-1]
    named = [token.word for token in term[-2:-1]] == ["COLLATE"]
    return term[:-2] if named else term

"""The row that a trigger's NEW will become, spelled for a trigger body.

In a BEFORE trigger NEW.x has the value a column will store, but neither the column's affinity nor, under REPLACE, its
default, and generated columns are NULL.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cdcsync.core.quoting import sqlite_name, sqlite_text
from cdcsync.core.sqltext.declarations import declarations, index_text
from cdcsync.core.sqltext.lexer import Token, spanned, tokens
from cdcsync.core.types import by_affinity
from cdcsync.edges.statements import trigger_template
from cdcsync.words.nouns import Column, Index, Table

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_ROWIDS = {"rowid", "_rowid_", "oid"}
# Words that are no strings after DEFAULT. TRUE and FALSE are younger than SQLite 3.8.
_CONSTANTS = {"TRUE": "1", "FALSE": "0"} | {
    word: word for word in ("NULL", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME")
}
# Functions that give the trigger what they will give the row; the time stands still within a statement.
_REPEATABLE = frozenset(
    """ABS CAST CHAR COALESCE DATE DATETIME HEX IFNULL JSON JSON_ARRAY JSON_OBJECT JULIANDAY LENGTH LOWER LTRIM PRINTF
    REPLACE ROUND RTRIM STRFTIME SUBSTR TIME TRIM TYPEOF UNIXEPOCH UPPER""".split()  # noqa: SIM905  a table of words
)
# What looks at affinities and collations; anything else sees values alone.
_COMPARISONS = frozenset("= == <> != < > <= >= IS IN BETWEEN CASE MAX MIN NULLIF".split())  # noqa: SIM905
_TYPED = {
    "": "typed_blob",
    "bytea": "typed_blob",
    "text": "typed_text",
    "bigint": "typed_number",
    "numeric": "typed_number",
    "double precision": "typed_real",
}


class Arriving:
    """The arriving row of one table."""

    def __init__(self, table: Table) -> None:
        """Read what only the text of CREATE TABLE tells."""
        self.table = table
        told = declarations(table.sql)
        self.generated = {one.column: one.text for one in told if one.kind == "generated" and one.column}
        self.checks = [one.text for one in told if one.kind == "check"]
        self._collations = {one.column: one.text for one in told if one.kind == "collate"}
        self._exact = {column.name.translate(_ASCII_LOWER): column.name for column in table.columns}

    def needed(self, texts: Iterable[str], names: Iterable[str] = ()) -> list[str]:
        """Return the columns that these columns and expressions depend on; generated ones behind what they read."""
        needed: dict[str, None] = {}

        def need(name: str) -> None:
            if name in self.generated and name not in needed:
                for one in self._mentioned(self.generated[name]):
                    need(one)
            needed[name] = None

        for name in (*names, *(name for text in texts for name in self._mentioned(text))):
            need(name)
        order = [column.name for column in self.table.columns]
        stored = sorted((name for name in needed if name not in self.generated), key=order.index)
        return [*stored, *(name for name in needed if name in self.generated)]

    def stored(self, texts: Iterable[str], names: Iterable[str] = ()) -> list[str]:
        """Return the stored columns that these columns and expressions depend on, in the table's order."""
        return [name for name in self.needed(texts, names) if name not in self.generated]

    def needs_rowid(self, text: str) -> bool:
        """Tell whether an expression reads the rowid, which is -1 in a BEFORE trigger as long as nobody chose it."""
        rowids = _ROWIDS - self._exact.keys()
        named = {token.name.translate(_ASCII_LOWER) for token in tokens(text) if token.kind in {"word", "name"}}
        return bool(rowids & named) or self.table.rowid_key in self.stored([text])

    def value(self, name: str) -> str:
        """Return a stored column's value; only a comparison with that column gives a default its storage class."""
        new = f"new.{sqlite_name(name)}"
        default = self.table.column(name).default
        if default is None or not self.is_defaulted(name) or self.is_unforeseeable(name):
            return new
        return f"coalesce({new}, {self._default(default)})"

    def stored_value(self, name: str) -> str:
        """Return a stored column's value with its storage class."""
        return self._typed(name, self.value(name)) if self.is_defaulted(name) else self.value(name)

    def is_defaulted(self, name: str) -> bool:
        """Tell whether REPLACE turns an explicit NULL into a default."""
        column = self.table.column(name)
        return column.not_null and column.default is not None

    def is_unforeseeable(self, name: str) -> bool:
        """Tell whether an explicit NULL may turn into a default that a trigger cannot compute."""
        found = tokens(self.table.column(name).default or "")
        called = {one.name.upper() for one, after in pairwise(found) if after.text == "("}
        return self.is_defaulted(name) and any(name[:1].isidentifier() for name in called - _REPEATABLE)

    def computed(self, name: str) -> str | None:
        """Return the expression to compare a column with where its plain value will not do, else None."""
        is_real = affinity(self.table.column(name), strict=self.table.strict) == "double precision"
        if is_real and (name in self.generated or self.is_defaulted(name)):
            # A comparison turns text into a whole number that storing it as REAL would round.
            return sqlite_name(name)
        return self.generated.get(name)

    def row(self, texts: Sequence[str]) -> str:
        """Return a SELECT of the columns these expressions read: values, affinities and collations as if stored."""
        needed = self.needed(texts)
        known = [name for name in needed if name not in self.generated]
        computed = [*texts, *(self.generated[name] for name in needed if name in self.generated)]
        compares = any(token.text.upper() in _COMPARISONS for text in computed for token in tokens(text))
        row = trigger_template("arriving").substitute(
            columns=_listed((self.value(name), name) for name in known) or "NULL"
        )
        if known and (compares or any(self.is_defaulted(name) for name in known)):
            row = _derived(row, [(self._typed(name, sqlite_name(name)), name) for name in known])
        for name in (name for name in needed if name in self.generated):
            before = [(sqlite_name(one), one) for one in known]
            row = _derived(row, [*before, (f"({self.in_body(self.generated[name])})", name)])
            row = _derived(row, [*before, (self._typed(name, sqlite_name(name)), name)])
            known.append(name)
        return row

    def in_body(self, text: str) -> str:
        """Return an expression of the schema so that it means the same in a trigger.

        A double-quoted word that is no column is a string, but not to every SQLite in a trigger; a name qualified by
        the table's would not find the alias.
        """
        found = tokens(text)
        pieces, end = [], found[0].start if found else 0
        around = zip([None, *found], found, [*found[1:], None], strict=False)
        for before, token, after in around:
            pieces.append(text[end : token.start])
            if token.text != "." and (after is None or after.text != "."):
                pieces.append(self._word(before, token, after))
            end = token.end
        return "".join(pieces)

    def _word(self, before: Token | None, token: Token, after: Token | None) -> str:
        is_string = token.text[0] == '"' and token.name.translate(_ASCII_LOWER) not in self._exact
        return sqlite_text(token.name) if is_string and not _names_no_column(before, after) else token.text

    def _mentioned(self, text: str) -> list[str]:
        found = tokens(text)
        names = (
            token.name.translate(_ASCII_LOWER)
            for before, token, after in zip([None, *found], found, [*found[1:], None], strict=False)
            if token.kind in {"word", "name"} and not _names_no_column(before, after)
        )
        return [self._exact[name] for name in names if name in self._exact]

    def _typed(self, name: str, value: str) -> str:
        """Return a value as a column would hold it."""
        template = trigger_template(_TYPED[affinity(self.table.column(name), strict=self.table.strict)])
        collation = self._collations.get(name)
        return template.substitute(value=value) + ("" if collation is None else f" COLLATE {sqlite_name(collation)}")

    def _default(self, text: str) -> str:
        """Return a column's default as an expression; a word of any quoting after DEFAULT is a string to SQLite."""
        found = tokens(text)
        if len(found) == 1 and found[0].kind in {"word", "name"}:
            return _CONSTANTS.get(found[0].word) or sqlite_text(found[0].name)
        return f"({spanned(text, found)})"


def index_where(index: Index) -> str | None:
    """Return the predicate of a partial index as its CREATE INDEX spells it."""
    where = None if index.sql is None else index_text(index.sql)[1]
    return None if where is None else spanned(where, tokens(where))


def _names_no_column(before: Token | None, after: Token | None) -> bool:
    """Tell by a name's neighbours that it names a collation, a type or a function."""
    return (before is not None and before.word in {"COLLATE", "AS"}) or (after is not None and after.text == "(")


def affinity(column: Column, *, strict: bool) -> str:
    """Return the affinity of a column as the PostgreSQL type that stands for it; empty where it has none."""
    declared = column.declared_type.upper()
    return "" if not declared or (strict and declared == "ANY") else by_affinity(declared)


def _listed(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{value} AS {sqlite_name(name)}" for value, name in columns)


def _derived(row: str, columns: Iterable[tuple[str, str]]) -> str:
    return trigger_template("derived").substitute(columns=_listed(columns), row=row)

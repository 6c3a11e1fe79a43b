"""A piece of PostgreSQL with what is known of its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.kinds import kind_of
from cdcsync.core.sqltext.literals import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cdcsync.core.sqltext.kinds import Affinity, Kind
    from cdcsync.words.nouns import ColumnPlan


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of PostgreSQL with what is known of its value.

    `operator` is set where the piece needs parentheses as an operand; `literal` is a constant's value.
    `explicit`: its collation was asked for by COLLATE and is not just that of a column. `affinity`: what SQLite
    makes of a constant it is compared with, which only columns and CASTs have. `certain`: a condition that is
    never false, whatever the columns hold.
    """

    code: sql.Composable
    kind: Kind
    literal: str | float | None = None
    column: ColumnPlan | None = None
    collation: str = ""
    explicit: bool = False
    affinity: Affinity = ""
    certain: bool = False
    operator: str = ""

    @property
    def inner(self) -> sql.Composable:
        """The piece as an operand."""
        return sql.SQL("({})").format(self.code) if self.operator else self.code

    def says(self) -> str:
        """Name the piece for people."""
        if self.column is not None:
            return f"{self.column.source}, which is {self.column.type_sql} in PostgreSQL,"
        return f"the constant {self.literal!r}" if self.literal is not None else f"a value of kind {self.kind}"


def column_term(column: ColumnPlan, collation: str = "BINARY", affinity: Affinity = "") -> Term:
    """Return a reference to a column of the target, with collation and affinity of the source's column."""
    code = sql.Identifier(column.target)
    return Term(code, kind_of(column.type_sql), column=column, collation=collation, affinity=affinity)


def text_term(value: str) -> Term:
    """Return a constant text."""
    return Term(literal(value), "text", value)


def integer_term(value: int) -> Term:
    """Return a constant integer."""
    return Term(sql.SQL(str(value)), "integer", value)


def null_term() -> Term:
    """Return NULL."""
    return Term(sql.SQL("NULL"), "null")


def call(name: str, kind: Kind, arguments: Iterable[Term]) -> Term:
    """Return a call of a function of PostgreSQL."""
    listed = sql.SQL(", ").join(argument.code for argument in arguments)
    return Term(sql.SQL("{}({})").format(sql.SQL(name), listed), kind)


def joined(left: sql.Composable, operator: str, right: sql.Composable) -> sql.Composable:
    """Write an operator between its operands."""
    return sql.SQL("{} {} {}").format(left, sql.SQL(operator), right)

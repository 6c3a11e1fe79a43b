"""Defaults: the mapping's own verbatim, the source's as PostgreSQL says them for the column's type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.ddl.build import verbatim
from cdcsync.core.ddl.constants import constant_default
from cdcsync.core.ddl.moments import moment_default
from cdcsync.core.ddl.random_values import random_default
from cdcsync.core.sqltext.coercions import number, written
from cdcsync.core.sqltext.kinds import NUMBERS, kind_of
from cdcsync.core.sqltext.lexer import normal_form, tokens
from cdcsync.core.sqltext.literals import sent_literal
from cdcsync.core.sqltext.refusal import UntranslatableError, refuse
from cdcsync.core.sqltext.scope import Scope
from cdcsync.core.sqltext.translate import translate
from cdcsync.core.toml_text import columns_section

if TYPE_CHECKING:
    from cdcsync.core.ddl.build import Build
    from cdcsync.core.ddl.moved import Moved
    from cdcsync.words.nouns import Column, ColumnPlan, TablePlan

_DEFAULT = sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}")
_JSON_DOCUMENT = re.compile(r"jsonb?\(('(?:[^']|'')*')\)|(json_array|json_object)\(\)")


def add_defaults(build: Build, moved: Moved) -> None:
    """Set the default of every column that has one."""
    for column in moved.plan.columns:
        source = moved.plan.table.column(column.source)
        text = _text(source, column)
        if not text:
            continue
        try:
            default = _given(column, text) if column.default else _carried(text, source, column, moved.plan)
        except UntranslatableError as error:
            suggestion = f"give default = .. in {columns_section(moved.plan.name)}"
            build.leave(
                moved, f"default of {column.source}: {text}", error, suggestion, kind="default", column=column.source
            )
            continue
        if default is not None:
            statement = _DEFAULT.format(build.relation(moved), sql.Identifier(column.target), default)
            build.add("default", moved, column.target, statement)


def _text(source: Column, column: ColumnPlan) -> str | None:
    """Return the default that counts; an empty one of the mapping's means none."""
    if column.default is not None:
        return column.default
    return None if column.identity or source.generated else source.default


def _given(column: ColumnPlan, text: str) -> sql.Composable:
    if column.identity:
        refuse("an identity column takes its value from its sequence", "leave out identity or default")
    return verbatim(text)


def _carried(text: str, source: Column, column: ColumnPlan, plan: TablePlan) -> sql.Composable | None:
    """Return a default of the source as PostgreSQL says it for the column's type; None for NULL.

    A constant becomes what a row with it would have become. UntranslatableError if there is no equivalent.
    """
    normal = normal_form(text)
    if normal == "null":
        return None
    return (
        constant_default(text, source, column, strict=plan.table.strict)
        or moment_default(normal, column)
        or random_default(normal, column)
        or _json_default(normal, column)
        or _computed_default(normal, column, plan)
    )


def _json_default(text: str, column: ColumnPlan) -> sql.Composable | None:
    document = _JSON_DOCUMENT.fullmatch(text)
    if document is None:
        return None
    empty = {"json_array": "[]", "json_object": "{}"}.get(document[2] or "")
    return sent_literal(column, "text", empty or tokens(document[1])[0].name)


def _computed_default(text: str, column: ColumnPlan, plan: TablePlan) -> sql.Composable:
    """Translate an expression of constants."""
    term = translate(text, Scope(plan, {}))
    wanted = kind_of(column.type_sql)
    if wanted == "text":
        term = written(term)
    elif wanted in NUMBERS:
        term = number(term)
    if term.kind != wanted and not (term.kind == "integer" and wanted in NUMBERS):
        refuse(f"it gives a value of kind {term.kind} for a column of type {column.type_sql}")
    return term.code

"""Render the triggers and the tables of the changelog. Nothing here executes a statement."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cdcsync.core.quoting import sqlite_name, sqlite_text
from cdcsync.core.sqltext.lexer import group, split, tokens
from cdcsync.edges.statements import trigger_template
from cdcsync.words.nouns import Index, KeyColumn, Table

_TERM_TAIL = re.compile(r"(\s+COLLATE\s+\S+)?(\s+(ASC|DESC))?\s*$", re.IGNORECASE)

_QUOTED_WORD = re.compile(r"""(["`\[])(.*)["`\]]""", re.DOTALL)
_BARE_WORD = re.compile(r"[^\W\d]\w*")
_CONSTANTS = {"TRUE", "FALSE", "NULL", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"}

Captured = tuple[int, Table, tuple[KeyColumn, ...]]
"""Table number, table, key; an empty key asks for marker entries."""


def changelog_statements(captured: Sequence[Captured]) -> list[str]:
    """Return the statements that create our tables in the source; the log is as wide as the widest key."""
    width = max((len(key) for _, _, key in captured), default=1) or 1
    return [
        trigger_template("changelog").substitute(log_keys=_log_keys(width)),
        trigger_template("registry").template,
        trigger_template("meta").template,
    ]


def trigger_statements(number: int, table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    """Return the CREATE TRIGGER statements that capture one table."""
    if not key:
        return [
            trigger_template("marker").substitute(
                trigger=trigger_name(number, event.lower()), table=sqlite_name(table.name), number=number, event=event
            )
            for event in ("INSERT", "UPDATE", "DELETE")
        ]
    names = {"table": sqlite_name(table.name), "number": str(number), "log_keys": _log_keys(len(key))}
    for row in ("new", "old", "victim"):
        names[f"{row}_keys"] = ", ".join(f"{row}.{sqlite_name(column.name)}" for column in key)
    names["moved"] = " OR ".join(_moved(column.name) for column in key)
    rendered = [
        trigger_template(purpose).substitute(names, trigger=trigger_name(number, purpose))
        for purpose in ("after_insert", "after_update", "after_delete")
    ]
    collisions = _collisions(table, key)
    itself = f" AND victim.{table.hidden_rowid} <> old.{table.hidden_rowid}" if table.hidden_rowid else ""
    insert_victims = [_victim(names, collides) for collides in collisions]
    update_victims = [_victim(names, collides + itself) for collides in collisions]
    if collisions:
        rendered.append(
            trigger_template("before_insert").substitute(
                names, trigger=trigger_name(number, "before_insert"), victims=";\n".join(insert_victims)
            )
        )
        rendered.append(
            trigger_template("before_update").substitute(
                names,
                trigger=trigger_name(number, "before_update"),
                victims=";\n".join(update_victims),
                may_collide=_may_collide(table),
            )
        )
    return rendered


def trigger_name(number: int, purpose: str) -> str:
    """Return the quoted name of one of our triggers."""
    return sqlite_name(f"_cdcsync_{number}_{purpose}")


def _log_keys(width: int) -> str:
    return ", ".join(f"k{place}" for place in range(1, width + 1))


def _moved(column: str) -> str:
    name = sqlite_name(column)
    return f"old.{name} COLLATE BINARY IS NOT new.{name} COLLATE BINARY OR typeof(old.{name}) <> typeof(new.{name})"


def _collisions(table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    collisions = [_collides(table, index) for index in table.indexes if index.unique]
    rowid = _rowid(table)
    # Where the key is the rowid itself, a victim has the new row's own key, which the AFTER triggers log.
    if rowid is not None and [column.name for column in key] != [table.rowid_key]:
        collisions.append(f"victim.{rowid} = new.{rowid}")
    return collisions


def _rowid(table: Table) -> str | None:
    """Return a name the rowid can be reached by, if there is one."""
    return table.hidden_rowid or (None if table.rowid_key is None else sqlite_name(table.rowid_key))


def _victim(names: dict[str, str], collides: str) -> str:
    return trigger_template("victim").substitute(names, collides=collides)


def _collides(table: Table, index: Index) -> str:
    """Return the condition under which `victim` and `new` collide in a unique index.

    A partial index's predicate is left out: too many entries do no harm. The collation is the index's own.
    """
    terms = []
    expressions = iter(index_expressions(index))
    for column in index.columns:
        if column.name is None:
            terms.append(_expression_collides(table, next(expressions), column.collation))
        else:
            name = sqlite_name(column.name)
            terms.append(f"victim.{name} = {_arriving(table, column.name)} COLLATE {sqlite_name(column.collation)}")
    return " AND ".join(terms)


def _arriving(table: Table, column: str) -> str:
    """Return the value that will be stored: under REPLACE an explicit NULL turns into the column's default."""
    name = f"new.{sqlite_name(column)}"
    told = table.column(column)
    return f"coalesce({name}, {_default(told.default)})" if told.not_null and told.default is not None else name


def _default(text: str) -> str:
    """Return a column's default as an expression for a trigger body.

    A bare or double-quoted word after DEFAULT is a string to SQLite; in a body it would name a column, and fail.
    """
    quoted = _QUOTED_WORD.fullmatch(text)
    if quoted is not None:
        mark, word = quoted.groups()
        closing = "]" if mark == "[" else mark
        return sqlite_text(word.replace(closing * 2, closing))
    if _BARE_WORD.fullmatch(text) and text.upper() not in _CONSTANTS:
        return sqlite_text(text)
    return f"({text})"


def _expression_collides(table: Table, expression: str, collation: str) -> str:
    """Left as it stands the expression can use its index; right it sees the arriving values as columns."""
    arriving = ", ".join(f"{_arriving(table, c.name)} AS {sqlite_name(c.name)}" for c in table.columns)
    return trigger_template("expression").substitute(
        expression=expression, arriving=arriving, collation=sqlite_name(collation)
    )


def _may_collide(table: Table) -> str:
    """Return the condition under which an update can take a place that another row holds.

    Any column may matter to an expression, and to the predicate of a partial index.
    """
    unique = [index for index in table.indexes if index.unique]
    if any(index.partial or column.name is None for index in unique for column in index.columns):
        return "1"
    columns = {column.name: None for index in unique for column in index.columns if column.name is not None}
    changed = [f"old.{sqlite_name(c)} COLLATE BINARY IS NOT new.{sqlite_name(c)} COLLATE BINARY" for c in columns]
    if (rowid := _rowid(table)) is not None:
        changed.append(f"old.{rowid} <> new.{rowid}")
    return " OR ".join(changed)


def index_expressions(index: Index) -> list[str]:
    """Return the expressions of an index in order, as its CREATE INDEX text spells them."""
    if index.sql is None:
        return []
    found = tokens(index.sql)
    listed, _ = group(found, next(place for place, token in enumerate(found) if token.text == "("))
    terms = [_TERM_TAIL.sub("", " ".join(token.text for token in term)) for term in split(listed)]
    return [term for term, column in zip(terms, index.columns, strict=True) if column.name is None]

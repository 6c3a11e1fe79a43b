"""Render the triggers and the tables of the changelog. Nothing here executes a statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges.arriving import Arriving, affinity
from cdcsync.edges.collisions import cascading_changes, changes, collisions, moved, rowid_name
from cdcsync.edges.statements import trigger_template
from cdcsync.words.nouns import KeyColumn, Table

Captured = tuple[int, Table, tuple[KeyColumn, ...]]
"""Table number, table, key; an empty key asks for marker entries."""


def changelog_statements(captured: Sequence[Captured]) -> list[str]:
    """Return the statements that come before the triggers; the log is as wide as the widest key."""
    width = max((len(key) for _, _, key in captured), default=1) or 1
    return [_filled("changelog", log_keys=_log_keys(width)), trigger_template("meta").template]


def closing_statements() -> list[str]:
    """Return the statements that come after the triggers: see core.drift for what their place tells."""
    return [trigger_template("registry").template, trigger_template("last").template]


def trigger_statements(number: int, table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    """Return the CREATE TRIGGER statements that capture one table."""
    names = {"table": sqlite_name(table.name), "number": str(number), "log_keys": _log_keys(len(key))}
    if not key:
        return [
            _filled("marker", names, trigger=trigger_name(number, event.lower()), when=when, event=event)
            for event, when in _markers(table)
        ]
    for row in ("new", "old", "victim", "stored"):
        names[f"{row}_keys"] = ", ".join(f"{row}.{sqlite_name(column.name)}" for column in key)
    convertible, rowid = _convertible(table, key), rowid_name(table)
    names["arrived"] = _filled("arrived_stored" if convertible and rowid else "arrived_new", names, rowid=rowid or "")
    concerns, before = changes(table, key), []
    names["arriving_keys"] = _arriving_keys(table, key)
    if convertible and not rowid:
        before = [_convertible_entry(table, convertible, names)]
        concerns += [_looks_numeric(f"new.{sqlite_name(name)}") for name in convertible]
    before += [_filled("victim", names, collides=condition) for condition in collisions(table)]
    # An update does not displace the row it changes.
    others = f" AND victim.{rowid} <> old.{rowid}" if rowid else ""
    names |= {
        "moved": " OR ".join(moved(column.name) for column in key),
        "cascading": " OR ".join(cascading_changes(table, key)),
        "concerns": " OR ".join(concerns),
        "before_insert": "".join(f"  {statement};\n" for statement in before),
        "before_update": "".join(f"  {statement}{others};\n" for statement in before),
    }
    purposes = ("after_insert", "after_update", "before_delete", "before_update", "before_insert")
    return [_filled(purpose, names, trigger=trigger_name(number, purpose)) for purpose in purposes]


def trigger_name(number: int, purpose: str) -> str:
    """Return the quoted name of one of our triggers."""
    return sqlite_name(f"_cdcsync_{number}_{purpose}")


def _filled(template: str, names: Mapping[str, str] | None = None, /, **more: str) -> str:
    return trigger_template(template).substitute(names or {}, **more)


def _log_keys(width: int) -> str:
    return ", ".join(f"k{place}" for place in range(1, width + 1))


def _convertible(table: Table, key: tuple[KeyColumn, ...]) -> list[str]:
    """Return the key columns whose values a foreign key's look-up may convert in NEW and OLD.

    It gives them the affinity of the child's column, in place; whole numbers stay as they are.
    """
    columns = (table.column(one.name) for one in key)
    return [one.name for one in columns if affinity(one, strict=table.strict) not in {"bigint", "numeric"}]


def _markers(table: Table) -> list[tuple[str, str]]:
    """Return the events of a table without a key, and when each is caught.

    A cascade may end the statement before its AFTER triggers; so may that of a row an INSERT OR REPLACE displaces.
    """
    displaces = any(index.unique for index in table.indexes)
    return [("INSERT", "BEFORE" if displaces else "AFTER"), ("UPDATE", "BEFORE"), ("DELETE", "BEFORE")]


def _arriving_keys(table: Table, key: tuple[KeyColumn, ...]) -> str:
    """Return the key a row is about to have, for BEFORE triggers, with where it is read from if that takes one."""
    arriving, names = Arriving(table), [sqlite_name(column.name) for column in key]
    if not any(table.column(column.name).generated for column in key):
        return ", ".join(arriving.stored_value(column.name) for column in key)
    return f"{', '.join(f'arriving.{name}' for name in names)} FROM ({arriving.row(names)}) AS arriving"


def _convertible_entry(table: Table, convertible: list[str], names: dict[str, str]) -> str:
    arriving = Arriving(table)
    looks_numeric = " OR ".join(_looks_numeric(arriving.value(name)) for name in convertible)
    return _filled("convertible", names, looks_numeric=looks_numeric)


def _looks_numeric(value: str) -> str:
    return _filled("looks_numeric", value=value)

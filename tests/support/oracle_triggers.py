"""Random triggers of the application's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdcsync.core.quoting import sqlite_name
from support.oracle_expressions import predicate

if TYPE_CHECKING:
    from support.oracle_dice import Dice
    from support.oracle_schema import Schema, Shape

CLAUSES = ("", "", "", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR FAIL", " OR ROLLBACK")
JOURNAL = sqlite_name("journal")


def add_triggers(dice: Dice, schema: Schema) -> None:
    """Add one to three triggers. BEFORE triggers write to a journal only.

    SQLite leaves undefined what becomes of a row that a BEFORE trigger itself changes, directly or through others.
    """
    schema.statements.append([f"CREATE TABLE {JOURNAL} (n INTEGER PRIMARY KEY, what UNIQUE, changed, rowid_then)"])
    for number in range(dice.number(1, 3)):
        table = dice.pick(schema.tables)
        event = dice.pick(("INSERT", "UPDATE", "DELETE"))
        when = dice.pick(("AFTER", "AFTER", "BEFORE"))
        row = "old" if event == "DELETE" else "new"
        head = f"CREATE TRIGGER {sqlite_name(f'own {number}')} {when} {event} ON {table.name}"
        if event == "UPDATE" and dice.chance(0.3):
            head = head.replace("UPDATE ON", f"UPDATE OF {dice.pick(table.columns)} ON")
        if dice.chance(0.3):
            head += f" WHEN {predicate(dice, [f'{row}.{column}' for column in table.columns])}"
        bodies = [_body(dice, schema, table, row, when) for _ in range(dice.pick((1, 1, 2)))]
        schema.statements.append([f"{head} BEGIN {' '.join(f'{body};' for body in bodies)} END"])
    children = [table for table in schema.tables if table.refers]
    if children and dice.chance(0.5):
        _stop_cascades(dice, schema, dice.pick(children))


def _stop_cascades(dice: Dice, schema: Schema, child: Shape) -> None:
    """Let a cascade end the statement that set it off, whose earlier changes stay."""
    event = dice.pick(("UPDATE", "DELETE"))
    row = "old" if event == "DELETE" else "new"
    when = f"WHEN {predicate(dice, [f'{row}.{column}' for column in child.columns])} " if dice.chance(0.5) else ""
    head = f"CREATE TRIGGER {sqlite_name('own stop')} AFTER {event} ON {child.name} {when}"
    schema.statements.append([f"{head}BEGIN SELECT RAISE(FAIL, 'no'); END"])


def _body(dice: Dice, schema: Schema, table: Shape, row: str, when: str) -> str:
    value = f"{row}.{dice.pick(table.columns)}"
    if dice.chance(0.12):
        action = dice.pick(("IGNORE", "IGNORE", "ABORT, 'no'", "FAIL, 'no'", "ROLLBACK, 'no'"))
        return f"SELECT RAISE({action}) WHERE {predicate(dice, [f'{row}.{c}' for c in table.columns])}"
    # With recursive triggers one that writes to its own table would go on for ever.
    others = [one for one in schema.tables if one is not table or not schema.recursive]
    if when == "BEFORE" or not others or dice.chance(0.25):
        clause = dice.pick(CLAUSES)
        return (
            f"INSERT{clause} INTO {JOURNAL} (what, changed, rowid_then) SELECT {value}, changes(), last_insert_rowid()"
        )
    other = dice.pick(others)
    column = dice.pick(other.columns)
    return dice.pick(
        (
            f"INSERT{dice.pick(CLAUSES)} INTO {other.name} ({column}) VALUES ({value})",
            f"INSERT{dice.pick(CLAUSES)} INTO {other.name} ({column}) VALUES ({dice.pick(other.palettes[column])})",
            f"UPDATE{dice.pick(CLAUSES)} {other.name} SET {column} = {value}",
            f"UPDATE{dice.pick(CLAUSES)} {other.name} SET {column} = 1 WHERE {dice.pick(other.columns)} IS {value}",
            f"DELETE FROM {other.name} WHERE {column} IS {value}",
        )
    )

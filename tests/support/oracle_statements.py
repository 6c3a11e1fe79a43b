"""Random statements of an application on a random schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.oracle_expressions import LITERALS, predicate

if TYPE_CHECKING:
    from support.oracle_dice import Dice
    from support.oracle_schema import Schema, Shape

CLAUSES = ("", "", " OR REPLACE", " OR REPLACE", " OR REPLACE", " OR IGNORE", " OR FAIL", " OR ABORT", " OR ROLLBACK")
ROWIDS = ("1", "2", "3", "4", "-1", "NULL", "5")
RETURNING = 0.08


def random_history(dice: Dice, schema: Schema, length: int) -> list[str]:
    """Return statements, most of them in an order that an application could have thought of."""
    statements: list[str] = []
    open_marks: list[str] = []
    for _ in range(length):
        if not dice.chance(0.1):
            statements.append(_write(dice, schema))
            continue
        if not open_marks or dice.chance(0.3):
            begin = dice.pick(("BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT one", "SAVEPOINT one", "SAVEPOINT two"))
            open_marks.append(begin.split()[-1])
        elif open_marks[-1] in {"one", "two"} and dice.chance(0.7):
            begin = f"{dice.pick(('ROLLBACK TO', 'RELEASE'))} {open_marks[-1]}"
            open_marks.pop()
        else:
            begin = dice.pick(("COMMIT", "ROLLBACK"))
            open_marks.clear()
        statements.append(begin)
    return statements


def _write(dice: Dice, schema: Schema) -> str:
    table = dice.pick(schema.views if schema.views and dice.chance(0.12) else schema.tables)
    throw = dice.number(1, 90)
    if throw <= 38:
        text = _insert(dice, table)
    elif throw <= 46:
        text = _insert_selected(dice, schema, table)
    elif throw <= 56:
        text = _insert(dice, table) if table in schema.views else _upsert(dice, table)
    elif throw <= 82:
        text = _update(dice, schema, table)
    elif throw <= 89:
        text = f"DELETE FROM {table.name} WHERE {_where(dice, table)}"
    else:
        text = f"DELETE FROM {table.name}"
    return f"{text} RETURNING *" if dice.chance(RETURNING) else text


def _value(dice: Dice, table: Shape, column: str) -> str:
    is_free = column != table.integer_key and dice.chance(0.03 if table.strict else 0.15)
    return dice.pick(LITERALS if is_free else table.palettes[column])


def _named(dice: Dice, table: Shape) -> list[str]:
    """Return the columns an INSERT names: mostly all, sometimes the rowid too."""
    columns = list(table.columns)
    if dice.chance(0.15):
        columns = dice.some(columns, 1, len(columns))
    if table.rowid is not None and dice.chance(0.15) and table.integer_key not in columns:
        columns.append(table.rowid)
    return columns


def _row(dice: Dice, table: Shape, columns: list[str]) -> str:
    values = [dice.pick(ROWIDS) if column == table.rowid else _value(dice, table, column) for column in columns]
    return f"({', '.join(values)})"


def _insert(dice: Dice, table: Shape) -> str:
    verb = dice.pick(("REPLACE", *(f"INSERT{clause}" for clause in CLAUSES)))
    if dice.chance(0.03):
        return f"{verb} INTO {table.name} DEFAULT VALUES"
    columns = _named(dice, table)
    rows = [_row(dice, table, columns) for _ in range(dice.pick((1, 1, 1, 2, 3)))]
    return f"{verb} INTO {table.name} ({', '.join(columns)}) VALUES {', '.join(rows)}"


def _insert_selected(dice: Dice, schema: Schema, table: Shape) -> str:
    verb = dice.pick(("REPLACE", *(f"INSERT{clause}" for clause in CLAUSES)))
    columns = _named(dice, table)
    source = dice.pick(schema.tables)
    values = [
        dice.pick(ROWIDS)
        if column == table.rowid
        else dice.pick(source.columns)
        if dice.chance(0.7)
        else _value(dice, table, column)
        for column in columns
    ]
    where = f" WHERE {_where(dice, source)}" if dice.chance(0.5) else " WHERE 1"
    return f"{verb} INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {source.name}{where}"


def _upsert(dice: Dice, table: Shape) -> str:
    clause = dice.pick(("", "", "", " OR REPLACE", " OR IGNORE"))
    columns = _named(dice, table)
    rows = [_row(dice, table, columns) for _ in range(dice.pick((1, 1, 2)))]
    text = f"INSERT{clause} INTO {table.name} ({', '.join(columns)}) VALUES {', '.join(rows)} ON CONFLICT"
    target = f" ({', '.join(dice.pick(table.unique))})" if table.unique and dice.chance(0.7) else ""
    if dice.chance(0.3):
        return f"{text}{target} DO NOTHING"
    text = f"{text}{target} DO UPDATE SET {_assignments(dice, table, 'excluded')}"
    return f"{text} WHERE {_where(dice, table)}" if dice.chance(0.2) else text


def _assignments(dice: Dice, table: Shape, other: str | None = None) -> str:
    columns = dice.some(table.columns, 1, 3)
    if table.rowid is not None and dice.chance(0.08) and table.integer_key not in columns:
        columns.append(table.rowid)
    return ", ".join(f"{column} = {_assigned(dice, table, column, other)}" for column in columns)


def _assigned(dice: Dice, table: Shape, column: str, other: str | None) -> str:
    if column == table.rowid:
        return dice.pick((*ROWIDS[:4], f"{table.rowid} + 1"))
    if dice.chance(0.15):
        return dice.pick(table.columns)
    if other is not None and dice.chance(0.6):
        return f"{other}.{dice.pick(table.columns)}"
    if dice.chance(0.1):
        return dice.pick((f"{column} + 1", f"{column} || 'a'", f"upper({column})", f"- {column}", f"{column} + 0.0"))
    return _value(dice, table, column)


def _where(dice: Dice, table: Shape) -> str:
    column = dice.pick(table.columns)
    if dice.chance(0.25):
        return predicate(dice, table.columns)
    if table.rowid is not None and dice.chance(0.15):
        return f"{table.rowid} = {dice.pick(ROWIDS)}"
    return f"{column} {dice.pick(('=', 'IS', 'IS', '<', '>=', '<>'))} {_value(dice, table, column)}"


def _update(dice: Dice, schema: Schema, table: Shape) -> str:
    verb = f"UPDATE{dice.pick(CLAUSES)} {table.name}"
    if dice.chance(0.08):
        other = dice.pick(schema.tables)
        column = dice.pick(table.columns)
        join = f"src.{dice.pick(other.columns)} IS {table.name}.{dice.pick(table.columns)}"
        return f"{verb} SET {column} = src.{dice.pick(other.columns)} FROM {other.name} AS src WHERE {join}"
    text = f"{verb} SET {_assignments(dice, table)}"
    return text if dice.chance(0.12) else f"{text} WHERE {_where(dice, table)}"

"""Random schemas: everything SQLite lets a table be that can decide which row a statement changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cdcsync.core.quoting import sqlite_name
from support.oracle_expressions import LITERALS, default, expression, of_type, predicate
from support.oracle_triggers import add_triggers

if TYPE_CHECKING:
    from support.oracle_dice import Dice

TYPES = ("", "", "INT", "INTEGER", "REAL", "TEXT", "TEXT", "BLOB", "NUMERIC", "DATETIME", "VARCHAR(3)", "BOOLEAN")
STRICT_TYPES = ("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY")
# None begins with a quote: SQLite 3.40 corrupts its memory when a foreign key then says RESTRICT.
PLAIN_TABLES = ("t", "u", "w")
ODD_TABLES = ("new", "old", "victim", "a b", 'a "b"', "it's", "x.y", "$log_keys", "${table}", "{x}", "%s", "select")
ODD_TABLES += ("größe", "rowid", "log", "_cdcsync", "z]", "T")
PLAIN_COLUMNS = ("a", "b", "c", "d", "e")
ODD_COLUMNS = ("new", "old", "victim", "tbl", "at", "k1", "seq", "rowid", "oid", "_rowid_", "a b", 'q"', "it's", "x.y")
ODD_COLUMNS += ("$log_keys", "order", "größe", "NULL", "true", "z]", "Id", "value", "lower")
COLLATIONS = ("NOCASE", "RTRIM", "BINARY", "NOCASE")
CONFLICTS = ("REPLACE", "REPLACE", "REPLACE", "IGNORE", "FAIL", "ROLLBACK", "ABORT")
ACTIONS = ("CASCADE", "CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION")
KEYS = ("integer", "integer", "integer", "autoincrement", "desc", "typed", "typed", "typed", "composite", "composite")
KEYS += ("unique", "unique", "none")


@dataclass
class Shape:
    """What statements need to know of a table; all names are quoted."""

    name: str
    columns: list[str] = field(default_factory=list)
    """Those that can be written: generated ones are not among them."""
    palettes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The few values that most of a column's values come from."""
    generated: list[str] = field(default_factory=list)
    key: tuple[str, ...] = ()
    unique: list[tuple[str, ...]] = field(default_factory=list)
    """The columns of its unique indexes: what UPSERT and foreign keys may name."""
    rowid: str | None = None
    """A name the hidden rowid has."""
    integer_key: str | None = None
    strict: bool = False
    refers: bool = False
    """Whether it has a foreign key."""


@dataclass(eq=False)
class Schema:
    """Statements in order; each is a list of parts, of which all but first and last can be left out."""

    statements: list[list[str]]
    tables: list[Shape]
    views: list[Shape] = field(default_factory=list)
    recursive: bool = False
    """Whether triggers fire triggers of their own table."""

    @property
    def sql(self) -> list[str]:
        """The statements as SQLite takes them."""
        return [joined(parts) for parts in self.statements]


def joined(parts: list[str]) -> str:
    """Return a statement whose parts are separated by commas."""
    return parts[0] if len(parts) == 1 else parts[0] + ", ".join(parts[1:-1]) + parts[-1]


def random_schema(dice: Dice) -> Schema:
    """Return one to three tables with their indexes, foreign keys, triggers and views."""
    odd = dice.chance(0.25)
    names = dice.some(ODD_TABLES if odd else PLAIN_TABLES, 1, 3)
    schema = Schema([], [], recursive=dice.chance(0.15))
    for name in names:
        _add_table(dice, schema, sqlite_name(name), odd=odd)
    for table in schema.tables:
        _add_indexes(dice, schema, table)
    if dice.chance(0.3):
        _add_view(dice, schema, dice.pick(schema.tables))
    if dice.chance(0.4):
        add_triggers(dice, schema)
    if dice.chance(0.6):
        schema.statements.append(["PRAGMA foreign_keys = ON"])
    if schema.recursive:
        schema.statements.append(["PRAGMA recursive_triggers = ON"])
    return schema


def conflict(dice: Dice, probability: float = 0.35) -> str:
    """Return an ON CONFLICT clause of a constraint, or nothing."""
    return f" ON CONFLICT {dice.pick(CONFLICTS)}" if dice.chance(probability) else ""


def _add_table(dice: Dice, schema: Schema, name: str, *, odd: bool) -> None:
    table = Shape(name, strict=dice.chance(0.12))
    kind = dice.pick(KEYS)
    without_rowid = kind not in {"autoincrement", "unique", "none"} and dice.chance(0.25)
    pool = ODD_COLUMNS + PLAIN_COLUMNS if odd else PLAIN_COLUMNS
    names = [sqlite_name(column) for column in dice.some(pool, 2, 5)]
    parts = [f"CREATE TABLE {name} ("]
    if kind in {"integer", "autoincrement"} and not without_rowid:
        table.integer_key = names[0]
    key_width = 2 if kind == "composite" else 1
    table.columns = names
    for place, column in enumerate(names):
        in_key = place < key_width
        if place == 0 and kind in {"integer", "autoincrement", "desc"}:
            parts.append(_integer_key(dice, table, column, kind))
        else:
            parts.append(_column(dice, table, column, single_key=in_key and kind == "typed", not_null=in_key))
    _add_generated(dice, table, parts)
    if kind == "composite":
        parts.append(f"PRIMARY KEY ({', '.join(_collated(dice, c) for c in names[:2])}){conflict(dice)}")
        table.unique.append(tuple(names[:2]))
    elif kind == "unique":
        parts.append(f"UNIQUE ({_collated(dice, names[0])}){conflict(dice)}")
        table.unique.append((names[0],))
        parts[1] += "" if "NOT NULL" in parts[1] else " NOT NULL"
    elif kind == "typed":
        table.unique.append((names[0],))
    table.key = () if kind == "none" else tuple(names[:key_width])
    _add_constraints(dice, schema, table, parts)
    options = [*(["WITHOUT ROWID"] if without_rowid else []), *(["STRICT"] if table.strict else [])]
    parts.append(f") {', '.join(options)}".rstrip())
    if not without_rowid:
        taken = {column.lower() for column in (*names, *table.generated)}
        table.rowid = next((n for n in ("rowid", "_rowid_", "oid") if sqlite_name(n) not in taken), None)
    schema.statements.append(parts)
    schema.tables.append(table)


def _integer_key(dice: Dice, table: Shape, column: str, kind: str) -> str:
    table.unique.append((column,))
    table.palettes[column] = ("1", "2", "3", "4", "NULL", "-1", "'2'")
    tail = {"desc": " DESC", "autoincrement": " AUTOINCREMENT"}.get(kind, "")
    where = conflict(dice) if kind != "autoincrement" else ""
    if kind == "desc":
        return f"{column} INTEGER PRIMARY KEY DESC{where}"
    return f"{column} INTEGER PRIMARY KEY{where}{tail}"


def _column(dice: Dice, table: Shape, name: str, *, single_key: bool, not_null: bool) -> str:
    declared = dice.pick(STRICT_TYPES if table.strict else TYPES)
    table.palettes[name] = tuple(dice.some(of_type(declared) if table.strict else LITERALS, 3, 5))
    text = f"{name} {declared}"
    if single_key:
        text += f" PRIMARY KEY{conflict(dice)}"
    elif dice.chance(0.15):
        text += f" UNIQUE{conflict(dice, 0.5)}"
        table.unique.append((name,))
    if dice.chance(0.5 if not_null else 0.25):
        text += f" NOT NULL{conflict(dice)}"
        if dice.chance(0.8):
            text += f" DEFAULT {default(dice)}"
    elif dice.chance(0.15):
        text += f" DEFAULT {default(dice)}"
    if dice.chance(0.25):
        text += f" COLLATE {dice.pick(COLLATIONS)}"
    if dice.chance(0.04):
        text += f" CHECK ({predicate(dice, [name])})"
    return text


def _add_generated(dice: Dice, table: Shape, parts: list[str]) -> None:
    for number in range(dice.pick((0, 0, 0, 1, 1, 2))):
        name = sqlite_name(f"g{number}")
        readable = [c for c in (*table.columns, *table.generated) if c != table.integer_key or dice.chance(0.1)]
        if not readable:
            return
        # SQLite 3.40 checks a generated column's type in STRICT tables now and then only.
        declared = "ANY" if table.strict else dice.pick(TYPES)
        text = f"{name} {declared} GENERATED ALWAYS AS ({expression(dice, readable)})"
        text += dice.pick((" STORED", " VIRTUAL", ""))
        if dice.chance(0.3):
            text += f" COLLATE {dice.pick(COLLATIONS)}"
        if dice.chance(0.4):
            text += f" UNIQUE{conflict(dice, 0.5)}"
            table.unique.append((name,))
        if dice.chance(0.1):
            text += " NOT NULL"
        table.generated.append(name)
        parts.append(text)


def _add_constraints(dice: Dice, schema: Schema, table: Shape, parts: list[str]) -> None:
    columns = [*table.columns, *table.generated]
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        named = dice.some(columns, 1, 2)
        parts.append(f"UNIQUE ({', '.join(_collated(dice, c) for c in named)}){conflict(dice, 0.5)}")
        table.unique.append(tuple(named))
    if dice.chance(0.06):
        parts.append(f"CHECK ({predicate(dice, columns)})")
    for parent in dice.some([*schema.tables, table], 0, 1):
        if not parent.unique or dice.chance(0.3):
            continue
        referenced = dice.pick(parent.unique)
        if len(referenced) > len(table.columns):
            continue
        own = dice.some(table.columns[1:] or table.columns, len(referenced), len(referenced))
        if len(own) < len(referenced):
            continue
        text = f"FOREIGN KEY ({', '.join(own)}) REFERENCES {parent.name} ({', '.join(referenced)})"
        text += f" ON DELETE {dice.pick(ACTIONS)} ON UPDATE {dice.pick(ACTIONS)}"
        parts.append(text + (" DEFERRABLE INITIALLY DEFERRED" if dice.chance(0.2) else ""))
        table.refers = True
        for child, column in zip(own, referenced, strict=True):
            # Most of a child's values must be somewhere in the parent, or nothing ever cascades.
            table.palettes[child] = ("NULL", *parent.palettes.get(column, ("1", "2")))


def _add_indexes(dice: Dice, schema: Schema, table: Shape) -> None:
    columns = [*table.columns, *table.generated]
    readable = [c for c in columns if c != table.integer_key or dice.chance(0.05)] or columns
    for _ in range(dice.pick((0, 0, 1, 1, 2))):
        terms: list[str] = []
        plain: list[str] = []
        for _ in range(dice.pick((1, 1, 2))):
            if dice.chance(0.45):
                terms.append(
                    f"{expression(dice, readable)}{dice.pick(('', '', ' DESC', ' COLLATE NOCASE', ' COLLATE RTRIM'))}"
                )
            else:
                plain.append(dice.pick(columns))
                terms.append(_collated(dice, plain[-1]))
        where = f" WHERE {predicate(dice, columns)}" if dice.chance(0.3) else ""
        name = sqlite_name(f"i{len(schema.statements)}")
        schema.statements.append([f"CREATE UNIQUE INDEX {name} ON {table.name} (", *terms, f"){where}"])
        if len(plain) == len(terms) and not where:
            table.unique.append(tuple(plain))
    if dice.chance(0.1):
        name = sqlite_name(f"i{len(schema.statements)}")
        schema.statements.append([f"CREATE INDEX {name} ON {table.name} ({dice.pick(columns)})"])


def _collated(dice: Dice, column: str) -> str:
    text = f"{column} COLLATE {dice.pick(COLLATIONS)}" if dice.chance(0.3) else column
    return f"{text} DESC" if dice.chance(0.15) else text


def _add_view(dice: Dice, schema: Schema, table: Shape) -> None:
    name = sqlite_name("seen")
    schema.statements.append([f"CREATE VIEW {name} AS SELECT * FROM {table.name}"])
    columns = ", ".join(table.columns)
    values = ", ".join(f"new.{column}" for column in table.columns)
    clause = dice.pick(("INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE"))
    own = f"{table.columns[0]} IS old.{table.columns[0]}"
    change = ", ".join(f"{column} = new.{column}" for column in table.columns)
    for event, body in (
        ("INSERT", f"{clause} INTO {table.name} ({columns}) VALUES ({values})"),
        ("UPDATE", f"UPDATE {dice.pick(('', 'OR REPLACE', 'OR IGNORE'))} {table.name} SET {change} WHERE {own}"),
        ("DELETE", f"DELETE FROM {table.name} WHERE {own}"),
    ):
        trigger = sqlite_name(f"seen {event}")
        schema.statements.append([f"CREATE TRIGGER {trigger} INSTEAD OF {event} ON {name} BEGIN {body}; END"])
    schema.views.append(Shape(name, table.columns, table.palettes, key=table.key))

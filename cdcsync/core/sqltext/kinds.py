"""What the values of a PostgreSQL type are to an expression."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cdcsync.core.types import parse

Kind: TypeAlias = Literal[
    "boolean",
    "integer",
    "numeric",
    "float",
    "text",
    "bytea",
    "uuid",
    "json",
    "time",
    "date",
    "clock",
    "other",
    "null",
]

NUMBERS: frozenset[Kind] = frozenset({"integer", "numeric", "float"})

_KINDS: dict[str, Kind] = {
    "boolean": "boolean",
    "smallint": "integer",
    "integer": "integer",
    "bigint": "integer",
    "numeric": "numeric",
    "real": "float",
    "double precision": "float",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "citext": "text",
    "bytea": "bytea",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
    "timestamp with time zone": "time",
    "timestamp without time zone": "time",
    "date": "date",
    "time without time zone": "clock",
}


def kind_of(type_sql: str) -> Kind:
    """Return the kind of the values of a PostgreSQL type."""
    return _KINDS.get(parse(type_sql).base, "other")


def is_zoned(type_sql: str) -> bool:
    """Tell whether the values of a type carry a time zone."""
    return parse(type_sql).base.endswith("with time zone")


def widest(kinds: set[Kind]) -> Kind:
    """Return the kind that holds values of all these kinds."""
    known = kinds - {"null"}
    if len(known) == 1:
        return known.pop()
    return "float" if "float" in known else "numeric" if "numeric" in known else "null"

"""What the values of a PostgreSQL type are to an expression."""

from __future__ import annotations

from typing import Literal, TypeAlias

from cdcsync.core.types import by_affinity, parse

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

Affinity: TypeAlias = Literal["text", "number", ""]
"""What SQLite makes of values in a column, and of what it is compared with, if they can be that."""

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


def affinity_of(declared: str) -> Affinity:
    """Return the affinity a declared type gives its column; BLOB and no type give none."""
    stored_as = by_affinity(declared.upper()) if declared else "bytea"
    return "text" if stored_as == "text" else "" if stored_as == "bytea" else "number"


def is_zoned(type_sql: str) -> bool:
    """Tell whether the values of a type carry a time zone."""
    return parse(type_sql).base.endswith("with time zone")


def widest(kinds: set[Kind]) -> Kind:
    """Return the kind of what is computed from numbers of these kinds, all one kind or nothing known of them."""
    known = kinds - {"null"}
    if len(known) == 1:
        return known.pop()
    return "float" if "float" in known else "numeric" if "numeric" in known else "null"


def one_of(kinds: set[Kind]) -> Kind:
    """Return the kind of a value that is now of one of these kinds, now of another: nothing to compute with."""
    known = kinds - {"null"}
    return "numeric" if len(known) > 1 else widest(known)

"""Type names: from SQLite's declared types to PostgreSQL's, and PostgreSQL's own in one spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZED = re.compile(r"^\s*([^()]*?)\s*(?:\(([^()]*)\))?\s*([^()]*)$")

# Other spellings of a type, as users write them, to the one `format_type` gives.
_SPELLINGS = {
    "int8": "bigint",
    "int4": "integer",
    "int": "integer",
    "int2": "smallint",
    "bigserial": "bigint",
    "serial": "integer",
    "float8": "double precision",
    "float": "double precision",
    "float4": "real",
    "decimal": "numeric",
    "bool": "boolean",
    "varchar": "character varying",
    "char": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "time": "time without time zone",
}

# Declared types whose meaning people agree on although SQLite's affinity rules know nothing of it.
_MEANT = {
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
    "DATETIME": "timestamp with time zone",
    "TIMESTAMP": "timestamp with time zone",
    "TIMESTAMPTZ": "timestamp with time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "TIMESTAMP WITHOUT TIME ZONE": "timestamp with time zone",
    "DATE": "date",
    "JSON": "jsonb",
    "JSONB": "jsonb",
    "UUID": "uuid",
    # By affinity these would be numbers, which no application stores under such a name.
    "TIME": "text",
    "STRING": "text",
}

# In a key these stay text unless the mapping says otherwise: one moment, or one document, has many spellings.
NOT_FOR_KEYS = {"timestamp with time zone", "json", "jsonb"}

_INTEGER_RANGES = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


@dataclass(frozen=True, slots=True)
class TypeName:
    """A PostgreSQL type taken apart: numeric(10,2) is base "numeric", sizes (10, 2)."""

    base: str
    sizes: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the type as `format_type` spells it."""
        if not self.sizes:
            return self.base
        sizes = ",".join(str(size) for size in self.sizes)
        name, space, zone = self.base.partition(" with") if self.base.startswith("time") else (self.base, "", "")
        return f"{name}({sizes}){space}{zone}"


def parse(type_sql: str) -> TypeName:
    """Take a PostgreSQL type apart, in any spelling users write."""
    match = _SIZED.match(type_sql)
    if match is None:
        return TypeName(type_sql)
    name, sizes, rest = match.groups()
    base = " ".join(f"{name} {rest}".split()) if rest else name
    lowered = base.lower()
    numbers = tuple(int(size) for size in (sizes or "").split(",") if size.strip().lstrip("-").isdigit())
    known = _SPELLINGS.get(lowered, lowered)
    # A quoted or mixed-case name is a type of the user's own and keeps its spelling.
    return TypeName(known if known in KNOWN else base, numbers)


def integer_limit(base: str) -> int | None:
    """Return the first positive integer the type cannot hold; None for types that are no integers."""
    return _INTEGER_RANGES.get(base)


# Types of PostgreSQL's own that read text in ways of their own: they cut, round or resolve it.
_UNRULED = frozenset(
    """
    "char" name money interval timetz bit varbit oid regclass regtype xml inet cidr macaddr macaddr8 point line lseg box
    path polygon circle tsvector tsquery pg_lsn int4range int8range numrange tsrange tstzrange daterange
    """.split()  # noqa: SIM905  a table of words
) | {"time with time zone", "bit varying"}


def is_unruled(base: str) -> bool:
    """Tell whether there is no rule for a type of PostgreSQL's own; arrays are among them."""
    return base in _UNRULED or base.endswith("[]")


KNOWN = frozenset(_SPELLINGS.values()) | frozenset(_MEANT.values()) | {"bytea", "json", "citext"}


def default_type(declared: str) -> str | None:
    """Return the PostgreSQL type for a declared type; None where the data must decide (no type, or ANY)."""
    match = _SIZED.match(declared)
    name, sizes, rest = match.groups() if match else (declared, None, "")
    upper = " ".join(f"{name} {rest or ''}".upper().split())
    if upper in {"", "ANY"}:
        return None
    if upper in _MEANT:
        return _MEANT[upper]
    if upper in {"DECIMAL", "NUMERIC"}:
        return _numeric(sizes)
    return by_affinity(upper)


def _numeric(sizes: str | None) -> str:
    numbers = [size.strip() for size in (sizes or "").split(",") if size.strip()]
    usable = numbers and len(numbers) <= 2 and all(number.isdigit() for number in numbers)  # noqa: PLR2004
    if not usable or not 1 <= int(numbers[0]) <= 1000:  # noqa: PLR2004  PostgreSQL's largest precision
        return "numeric"
    return f"numeric({','.join(numbers)})"


def by_affinity(upper: str) -> str:
    """Apply SQLite's five rules in their order (https://sqlite.org/datatype3.html, section 3.1)."""
    if "INT" in upper:
        return "bigint"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in upper:
        return "bytea"
    if any(word in upper for word in ("REAL", "FLOA", "DOUB")):
        return "double precision"
    return "numeric"


def type_of_classes(classes: frozenset[str]) -> str:
    """Return the type for a column that declares none, from the storage classes its values have."""
    one = {
        frozenset({"integer"}): "bigint",
        frozenset({"real"}): "double precision",
        frozenset({"blob"}): "bytea",
    }
    return one.get(classes - {"null"}, "text")

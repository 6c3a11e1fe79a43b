"""Type names: from SQLite's declared types to PostgreSQL's, and PostgreSQL's own in one spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIZED = re.compile(r"^\s*([^()]*?)\s*(?:\(([^()]*)\))?\s*([^()]*)$")
_SIZE = re.compile(r"\s*(-?\d+)\s*", re.ASCII)

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
    "DATETIME2": "timestamp with time zone",
    "DATETIMEOFFSET": "timestamp with time zone",
    "SMALLDATETIME": "timestamp with time zone",
    "DATE": "date",
    "JSON": "jsonb",
    "JSONB": "jsonb",
    "UUID": "uuid",
    # By affinity these would be numbers, which no application stores under such a name.
    "TIME": "text",
    "STRING": "text",
    # Most applications that use these words write their UUIDs in upper case, which a uuid key would refuse.
    "GUID": "text",
    "UNIQUEIDENTIFIER": "text",
}

# In a key these stay text unless the mapping says otherwise: one moment, or one document, has many spellings.
NOT_FOR_KEYS = {"timestamp with time zone", "json", "jsonb"}

_SAYS_NOTHING = {"", "ANY"}
_MOST_PRECISION = 1000
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
    numbers = tuple(int(found[1]) for size in (sizes or "").split(",") if (found := _SIZE.fullmatch(size)))
    known = _SPELLINGS.get(lowered, lowered)
    # A quoted or mixed-case name is a type of the user's own and keeps its spelling.
    return TypeName(known if known in KNOWN else base, numbers)


def spellings() -> list[str]:
    """Return the names of types that are other spellings of one there is a rule for."""
    return list(_SPELLINGS)


def integer_limit(base: str) -> int | None:
    """Return the first positive integer the type cannot hold; None for types that are no integers."""
    return _INTEGER_RANGES.get(base)


# Types of PostgreSQL's own that read text in ways of their own: they cut, round or resolve it.
_UNRULED = frozenset(
    """
    "char" name money timetz bit varbit oid xid xid8 cid tid xml macaddr macaddr8 point line lseg box path polygon
    circle regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole
    regtype jsonpath tsvector tsquery pg_lsn pg_snapshot txid_snapshot
    int4range int8range numrange tsrange tstzrange daterange
    int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
    """.split()  # noqa: SIM905  a table of words
) | {"time with time zone", "bit varying"}


def is_unruled(base: str) -> bool:
    """Tell whether there is no rule for a type of PostgreSQL's own; arrays and intervals that cut are among them."""
    return base in _UNRULED or base.endswith("]") or base.startswith("interval ")


KNOWN = (
    frozenset(_SPELLINGS.values())
    | frozenset(_MEANT.values())
    | {"bytea", "json", "citext", "interval", "inet", "cidr"}
)
"""Types there is a rule for, by the names `format_type` gives them."""


def default_type(declared: str) -> str | None:
    """Return the PostgreSQL type for a declared type; None where the data must decide.

    That is where none is declared, or ANY, or an odd name that SQLite takes for a number although it need not be one.
    """
    name, sizes = _declared(declared)
    if name in _MEANT:
        return _MEANT[name]
    if name in {"DECIMAL", "NUMERIC"}:
        return _numeric(sizes)
    by_rule = by_affinity(name)
    return None if name in _SAYS_NOTHING or by_rule == "numeric" else by_rule


def uuid_format(declared: str) -> str | None:
    """Return how UUIDs are written in a column declared as CHAR(32) or as a blob; None for all others."""
    name, sizes = _declared(declared)
    if name in {"CHAR", "CHARACTER"} and sizes.strip() == "32":
        return "hex"
    return "blob" if "BLOB" in name or "BINARY" in name else None


def is_declared_for_hex(declared: str) -> bool:
    """Tell whether a declared type makes room for the 32 digits of a UUID and nothing else, or says that it is one."""
    name, sizes = _declared(declared)
    return name == "UUID" or (name in {"CHAR", "CHARACTER", "VARCHAR"} and sizes.strip() == "32")


def _declared(declared: str) -> tuple[str, str]:
    """Return the name of a declared type in capitals, and what stands in its parentheses."""
    match = _SIZED.match(declared)
    name, sizes, rest = match.groups() if match else (declared, None, "")
    return " ".join(f"{name} {rest or ''}".upper().split()), sizes or ""


def _numeric(sizes: str) -> str:
    """Keep precision and scale where every version of PostgreSQL takes them."""
    numbers = [_SIZE.fullmatch(size) for size in sizes.split(",")]
    precision, scale = (int(found[1]) if found else -1 for found in (numbers * 2)[:2])
    if len(numbers) == 1:
        scale = 0
    usable = len(numbers) in {1, 2} and 0 <= scale <= precision and 1 <= precision <= _MOST_PRECISION
    if not usable:
        return "numeric"
    return f"numeric({precision},{scale})" if len(numbers) > 1 else f"numeric({precision})"


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


def type_of_classes(declared: str, classes: frozenset[str]) -> str:
    """Return the type for a column whose declared type says nothing, from the storage classes its values have."""
    if _declared(declared)[0] not in _SAYS_NOTHING and classes <= {"null", "integer", "real"}:
        # SQLite's own rule for a name it does not know.
        return "numeric"
    one = {
        frozenset({"integer"}): "bigint",
        frozenset({"real"}): "double precision",
        frozenset({"blob"}): "bytea",
    }
    return one.get(classes - {"null"}, "text")

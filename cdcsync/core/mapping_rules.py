"""What a column's mapping may say together: a type with the sizes, formats and policies that mean something to it."""

from __future__ import annotations

import re
from difflib import get_close_matches

from cdcsync.core.types import KNOWN, TypeName, integer_limit, is_unruled, parse, spellings
from cdcsync.words.errors import UsageError
from cdcsync.words.settings import ColumnMapping

_TIMESTAMPS = {"timestamp with time zone", "timestamp without time zone"}
_MOMENTS = _TIMESTAMPS | {"date"}
_TIMES = _MOMENTS | {"time without time zone"}
_TEXTS = {"text", "character varying", "character", "citext", "json", "jsonb"}
_UUID_FORMATS = {"hyphens", "upper", "hex", "blob"}

# A name, in quotes or with a schema where it is somebody's own, and numbers in parentheses behind it.
_TYPE = re.compile(r'(?:[^()",;]|"(?:[^"]|"")+")+(?:\(\s*-?\d+\s*(?:,\s*-?\d+\s*)?\)[^(),;]*)?', re.ASCII)

# How many sizes a type takes at the most, and the least and greatest of them.
_SIZES: dict[str, tuple[int, int, int]] = {
    "character varying": (1, 1, 10_485_760),
    "character": (1, 1, 10_485_760),
    "numeric": (2, 0, 1000),
    "timestamp with time zone": (1, 0, 6),
    "timestamp without time zone": (1, 0, 6),
    "time without time zone": (1, 0, 6),
    "interval": (1, 0, 6),
}
_NO_SIZES = (0, 0, 0)


def refuse_senseless(place: str, mapping: ColumnMapping) -> None:
    """Raise UsageError, naming the place, where type, format and policies of a mapping do not go together.

    Without a type of its own the column may get one from a table found in the target: then nothing can be said.
    """
    if mapping.type is None:
        return
    name = parse(mapping.type)
    for fault in (_type_fault(mapping.type, name), _format_fault(mapping, name), _policy_fault(mapping, name)):
        if fault is not None:
            message = f"{place}: {fault}"
            raise UsageError(message)


def type_of_format(written: str, default: str) -> str:
    """Return the type for a mapping that names only a format: the default one if the format means something to it."""
    base = parse(default).base
    if written in _UUID_FORMATS:
        return "uuid"
    return default if base in _MOMENTS else "timestamp with time zone"


def unknown_type_hint(base: str) -> str:
    """Return what the writer of a type name nobody knows may have meant, as a clause to append; empty if unclear."""
    near = get_close_matches(base.lower(), [*spellings(), *KNOWN], n=1, cutoff=0.75)
    return f': did you mean "{near[0]}"?' if near else ""


def _type_fault(written: str, name: TypeName) -> str | None:
    if not _TYPE.fullmatch(written.strip()):
        return f'"{written}" is no name of a type: write it like "text", "varchar(80)" or "numeric(12,2)"'
    if name.base not in KNOWN or is_unruled(name.base):
        return None
    most, least, greatest = _SIZES.get(name.base, _NO_SIZES)
    if len(name.sizes) > most:
        return f'"{written}" has {"too many sizes" if most else "a size"}, {name.base} takes {most or "none"}'
    if any(not least <= size <= greatest for size in name.sizes) or (name.base == "numeric" and name.sizes[:1] == (0,)):
        return f'"{written}": sizes of {name.base} go from {max(least, 1) if most > 1 else least} to {greatest}'
    return None


def _format_fault(mapping: ColumnMapping, name: TypeName) -> str | None:
    if mapping.naive is not None and name.base not in _TIMESTAMPS:
        return f'naive = "{mapping.naive}" is about times without an offset, and {name} is no timestamp'
    if mapping.format in _UUID_FORMATS and name.base != "uuid":
        return f'format = "{mapping.format}" is how a UUID is written: write type = "uuid" with it'
    takes = _TIMES if mapping.format == "iso" else _MOMENTS
    if mapping.format is not None and mapping.format not in _UUID_FORMATS and name.base not in takes:
        ways = '"timestamptz", "timestamp" or "date"'
        return f'format = "{mapping.format}" is how a time is written, and {name} is none: write type = {ways} with it'
    return None


def _policy_fault(mapping: ColumnMapping, name: TypeName) -> str | None:
    told = mapping.model_fields_set
    if name.base in KNOWN - _TEXTS:
        for policy in sorted(told & {"on_nul", "on_bad_utf8"}):
            return f"{policy} is about text, and {name} is none"
    if "on_finer" in told and name.base not in _TIMES:
        return f"on_finer is about decimals of a second, and {name} has none"
    if mapping.identity and integer_limit(name.base) is None:
        return f'identity = true needs an integer type, and {name} is none: write type = "bigint"'
    return None

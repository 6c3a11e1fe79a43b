"""Better types that the data may speak for: which to try for a column, and whether every value fits so far."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cdcsync.core.codecs import Codec, codec_for
from cdcsync.core.facts import is_clean, part_of
from cdcsync.core.sqltext.declarations import declarations
from cdcsync.core.sqltext.lexer import tokens
from cdcsync.core.types import is_declared_for_hex, parse
from cdcsync.words.nouns import ColumnPlan, FinerPolicy, TablePlan, Value

_FLAG = re.compile(
    r"(is|has|can|was|use|allow|show|hide|enable|disable|require)([A-Z_].*)"
    r"|(.*_)?(active|archived|deleted|disabled|enabled|flag|hidden|locked|visible|verified)"
)
_MOMENT = re.compile(
    r"(.*_)?(at|time|timestamp|ts|date|on|created|updated|modified|expires|expiry)|.*[a-z](At|Time|Timestamp|Date)"
    r"|(created|updated|modified|deleted|last|expires)(_.*)?",
)


_ID = re.compile(r".*(id|uuid|guid)", re.IGNORECASE)
_TOO_FINE = re.compile(r".*[.]\d{7,}", re.ASCII)
# The version, 1 to 8, and the variant stand in every UUID at the same places: a digest has them there by chance only.
_HEX_UUID = re.compile(r"[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}")
_DOCUMENT = re.compile(r"\s*[{\[]")

ENOUGH = 5
"""Values that speak for a type where nothing else does."""


@dataclass(frozen=True, slots=True)
class Way:
    """A type to try: how a mapping says it, and what its values are called.

    `shape` is what values must look like besides, `least` how many of them say enough.
    """

    type: str
    noun: str
    format: str = "iso"
    shape: Callable[[Value], object] | None = None
    on_finer: FinerPolicy = "quarantine"
    least: int = 1

    @property
    def is_written_time(self) -> bool:
        """Whether its values are texts that may name an offset."""
        return self.type == "timestamptz" and self.format == "iso"

    def applied(self, column: ColumnPlan) -> ColumnPlan:
        """Return the column in this type."""
        type_sql = str(parse(self.type))
        return replace(column, type_sql=type_sql, format=self.format, on_finer=self.on_finer, not_null=False)


def _is_hex_uuid(value: Value) -> bool:
    return isinstance(value, str) and _HEX_UUID.fullmatch(value) is not None


def _is_uuid_bytes(value: Value) -> bool:
    return isinstance(value, bytes) and _is_hex_uuid(value.hex())


def _is_document(value: Value) -> bool:
    return isinstance(value, str) and _DOCUMENT.match(value) is not None


UUID = Way("uuid", "UUIDs")
HEX_UUID = Way("uuid", "UUIDs in hexadecimal digits", "hex", _is_hex_uuid)
UUID_BYTES = Way("uuid", "UUIDs of 16 bytes", "blob", _is_uuid_bytes, least=ENOUGH)
DATE = Way("date", "dates")
MOMENT = Way("timestamptz", "ISO-8601 times")
FINE_MOMENT = replace(MOMENT, on_finer="truncate")
# A number or a word is JSON too, which nobody means.
DOCUMENT = Way("jsonb", "JSON objects or arrays", shape=_is_document)
CHECKED_JSON = Way("jsonb", "JSON, as a CHECK with json_valid has it", least=0)


def ways(column: ColumnPlan, declared: str, *, unique: bool, linked: bool, checked: bool) -> tuple[Way, ...]:
    """Return what to try for a column, the most telling first.

    Two spellings of a moment or a document would be one: where values are unique only types with one spelling count.
    `linked`: other columns refer to it, or it to others. `checked`: the source takes nothing but JSON there.
    """
    is_id = linked or _ID.fullmatch(column.source) is not None
    hexadecimal = replace(HEX_UUID, least=1 if is_declared_for_hex(declared) else ENOUGH)
    if column.type_sql == "bytea":
        return (UUID_BYTES,)
    if column.type_sql == "uuid":
        return (hexadecimal, UUID_BYTES)
    if column.type_sql != "text":
        return ()
    uuids = (replace(UUID, least=1 if is_id else ENOUGH), hexadecimal)
    if unique:
        return (*uuids, DATE)
    return (CHECKED_JSON,) if checked else (*uuids, DATE, MOMENT, FINE_MOMENT, DOCUMENT)


def checked_as_json(plan: TablePlan) -> set[str]:
    """Return the columns that a CHECK of the source asks json_valid about."""
    checks = (declaration.text for declaration in declarations(plan.table.sql) if declaration.kind == "check")
    words = [tokens(check) for check in checks]
    named = {
        found[place + 2].name.lower()
        for found in words
        for place, token in enumerate(found[:-3])
        if token.word == "JSON_VALID" and found[place + 3].text == ")"
    }
    return {column.source for column in plan.columns if column.source.lower() in named}


def is_named_like_flag(name: str, declared: str) -> bool:
    """Tell whether a column of 0 and 1 is most likely meant as true and false."""
    return (
        bool(_FLAG.fullmatch(name)) or "BOOL" in declared.upper() or declared.upper().replace(" ", "") == "TINYINT(1)"
    )


def is_named_like_moment(name: str) -> bool:
    """Tell whether a column of numbers is most likely meant as times."""
    return bool(_MOMENT.fullmatch(name))


class Candidate:
    """A type that has fitted every value of a column so far. In a unique column it takes one spelling only."""

    def __init__(self, column: ColumnPlan, way: Way, *, unique: bool) -> None:
        """Begin with nothing seen."""
        self.way, self.fits, self.values, self.finer = way, True, 0, 0
        self._codec: Codec = codec_for(way.applied(column), key=unique)

    def look(self, values: Sequence[Value]) -> None:
        """Take in values of the column that are not NULL; text that is not UTF-8 fits nothing."""
        if not self.fits:
            return
        self.values += len(values)
        shape = self.way.shape
        if shape is not None and not all(map(shape, values)):
            self.fits = False
            return
        if self.way.on_finer == "truncate":
            self.finer += sum(isinstance(value, str) and _TOO_FINE.match(value) is not None for value in values)
        try:
            fits = is_clean(values)
            if fits:
                self._codec.many(values)
        except (ValueError, ArithmeticError):
            fits = False
        self.fits = fits or all(map(self._takes, values))

    def _takes(self, value: Value) -> bool:
        try:
            self._codec.one(*part_of(value))
        except (ValueError, ArithmeticError):
            return False
        return True

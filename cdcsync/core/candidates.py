"""Better types that the data may speak for: which to try for a column, and whether every value fits so far."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cdcsync.core.codecs import Codec, codec_for
from cdcsync.core.facts import is_clean, part_of
from cdcsync.core.types import parse
from cdcsync.words.nouns import ColumnPlan, Value

_FLAG = re.compile(
    r"(is|has|can|was|use|allow|show|hide|enable|disable|require)([A-Z_].*)"
    r"|(.*_)?(active|archived|deleted|disabled|enabled|flag|hidden|locked|visible|verified)"
)
_MOMENT = re.compile(
    r"(.*_)?(at|time|timestamp|ts|date|on|created|updated|modified|expires|expiry)|.*[a-z](At|Time|Timestamp|Date)"
    r"|(created|updated|modified|deleted|last|expires)(_.*)?",
)


@dataclass(frozen=True, slots=True)
class Way:
    """A type to try: how a mapping says it, and what its values are called."""

    type: str
    noun: str
    format: str = "iso"
    shape: re.Pattern[str] | None = None

    @property
    def is_written_time(self) -> bool:
        """Whether its values are texts that may name an offset."""
        return self.type == "timestamptz" and self.format == "iso"

    def applied(self, column: ColumnPlan) -> ColumnPlan:
        """Return the column in this type."""
        return replace(column, type_sql=str(parse(self.type)), format=self.format, not_null=False)


UUID = Way("uuid", "UUIDs")
DATE = Way("date", "dates")
MOMENT = Way("timestamptz", "ISO-8601 times")
# A number or a word is JSON too, which nobody means.
DOCUMENT = Way("jsonb", "JSON objects or arrays", shape=re.compile(r"\s*[{\[]"))


def ways_for_text(*, unique: bool) -> tuple[Way, ...]:
    """Return what a column of texts may be, the most telling first.

    Two spellings of a moment or a document would be one: where values are unique only types with one spelling count.
    """
    return (UUID, DATE) if unique else (UUID, DATE, MOMENT, DOCUMENT)


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
        self.way, self.fits, self.values = way, True, 0
        self._codec: Codec = codec_for(way.applied(column), key=unique)

    def look(self, values: Sequence[Value]) -> None:
        """Take in values of the column that are not NULL; text that is not UTF-8 fits nothing."""
        if not self.fits:
            return
        self.values += len(values)
        shape = self.way.shape
        if shape is not None and not all(isinstance(value, str) and shape.match(value) for value in values):
            self.fits = False
            return
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

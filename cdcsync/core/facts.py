"""What a column holds, gathered page by page in constant memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cdcsync.core.keys import CLASSES, Part
from cdcsync.words.nouns import StorageClass, Value

_BEHIND_SECONDS = re.compile(r"[T ]\d\d:\d\d(?::\d\d(?:[.]\d+)?)?\s?(Z|z|[+-]\d\d(?::?\d\d)?)?$", re.ASCII)
_ZERO_OFFSETS = {"+00:00", "+0000", "+00", "-00:00"}

# What each number would have to lie between to be a time of the years 1980 to 2100.
EPOCH_RANGES = {
    "epoch_s": (315_532_800, 4_102_444_800),
    "epoch_ms": (315_532_800_000, 4_102_444_800_000),
    "epoch_us": (315_532_800_000_000, 4_102_444_800_000_000),
    "julian": (2_444_239.5, 2_488_069.5),
}


@dataclass(slots=True)
class Facts:
    """Storage classes with their counts, the range of numbers, and the longest text (characters) or blob (bytes)."""

    classes: Counter[StorageClass] = field(default_factory=Counter)
    least: float | None = None
    greatest: float | None = None
    longest: int = 0

    def look(self, values: Sequence[Value], longest: int) -> frozenset[type]:
        """Take in a column of a page with the length of its longest text or blob; return the types of its values."""
        kinds = frozenset(map(type, values))
        if len(kinds) == 1:
            (kind,) = kinds
            self.classes[CLASSES[kind]] += len(values)
            numbers: Sequence[Value] = values if kind in {int, float} else ()
        else:
            for kind, count in Counter(map(type, values)).items():
                self.classes[CLASSES[kind]] += count
            numbers = [value for value in values if type(value) in {int, float}] if kinds & {int, float} else ()
        if numbers:
            low, high = min(numbers), max(numbers)  # type: ignore[type-var]  # all are numbers
            self.least = low if self.least is None else min(self.least, low)  # type: ignore[assignment,type-var]
            self.greatest = high if self.greatest is None else max(self.greatest, high)  # type: ignore[assignment,type-var]
        self.longest = max(self.longest, longest)
        return kinds

    @property
    def found(self) -> set[StorageClass]:
        """The storage classes of values that are not NULL."""
        return set(self.classes) - {"null"}

    @property
    def values(self) -> int:
        """How many values are not NULL."""
        return self.classes.total() - self.classes["null"]

    @property
    def epoch(self) -> str | None:
        """The format of times in which every number is of our century or the last; None if there is none."""
        if self.least is None or self.greatest is None or not self.found <= {"integer", "real"}:
            return None
        fitting = (name for name, (low, high) in EPOCH_RANGES.items() if low <= self.least and self.greatest < high)
        return next(fitting, None)


def longest_of(values: Sequence[Value]) -> int:
    """Return the length of the longest text (characters) or blob (bytes), 0 if there is none."""
    kinds = set(map(type, values))
    if not kinds & {str, bytes}:
        return 0
    if kinds <= {str, bytes}:
        return max(map(len, values))  # type: ignore[arg-type]  # these have a length
    return max(len(value) for value in values if isinstance(value, (str, bytes)))


def texts_of(values: Sequence[Value]) -> Sequence[str]:
    """Return the texts among values."""
    if set(map(type, values)) == {str}:
        return values  # type: ignore[return-value]  # nothing else is in it
    return [value for value in values if isinstance(value, str)]


def is_clean(values: Sequence[Value]) -> bool:
    """Tell whether no text holds a NUL character or, as surrogates, bytes that are not UTF-8."""
    joined = "".join(texts_of(values))
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return False
    return "\0" not in joined


def part_of(value: Value) -> Part:
    """Return a value with its storage class; text that is not UTF-8 as its bytes, like `edges.rows` does."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "text", value.encode("utf-8", "surrogateescape")
    return CLASSES[type(value)], value


def time_spellings(values: Sequence[Value]) -> Counter[str]:
    """Count ISO-8601 times by what they say of their offset: "Z", "+00:00", "offset", "none", "date only"."""
    texts = texts_of(values)
    joined = "\n".join(texts) + "\n"
    for ending in ("Z", "+00:00"):
        if joined.count(ending + "\n") == len(texts):
            return Counter({ending: len(texts)})
    return Counter(map(_spelling, texts))


def _spelling(value: str) -> str:
    match = _BEHIND_SECONDS.search(value)
    if match is None:
        return "date only"
    offset = match[1]
    if offset is None:
        return "none"
    if offset in {"Z", "z"}:
        return "Z"
    return "+00:00" if offset in _ZERO_OFFSETS else "offset"

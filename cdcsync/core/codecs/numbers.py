"""Integers, floating point numbers, decimals and booleans."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.types import TypeName, integer_limit
from cdcsync.words.nouns import ColumnPlan, StorageClass

_WIRES = {"bigint": "int8", "integer": "int4", "smallint": "int2"}


class Integer(Codec):
    """bigint, integer and smallint take SQLite's integers, and nothing that only looks like one."""

    takes = int

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` is one of the three."""
        super().__init__(plan, name, key=key)
        self.wire = _WIRES[name.base]
        self._limit = integer_limit(name.base) or 0

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        # The dumpers of the narrow types would cut, not complain.
        if self.wire != "int8" and not (-self._limit <= min(values) and max(values) < self._limit):
            message = "out of range"
            raise ValueError(message)
        return values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "integer":
            raise refusal(storage, "an integer")
        if not -self._limit <= value < self._limit:
            message = f"{value} is out of range for {self._name}"
            raise ValueError(message)
        return int(value)


class Double(Codec):
    """double precision holds SQLite's reals bit by bit, and those integers that a double holds exactly."""

    wire = "float8"
    takes = float

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        return values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "integer" and not self._key and int(float(value)) == value:
            return float(value)
        if storage != "real":
            raise refusal(storage, "a floating point number")
        return float(value)


class Single(Codec):
    """real has half the bits: values it would change are refused."""

    wire = "float4"
    takes = float

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "real" and (self._key or storage != "integer"):
            raise refusal(storage, "a floating point number")
        try:
            narrowed = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            narrowed = None
        if narrowed != value:
            message = f"real (4 bytes) would change {value!r}"
            raise ValueError(message)
        return float(value)


class Boolean(Codec):
    """Booleans come from 0 and 1 and from words; 2 is none."""

    wire = "bytea"
    takes = int

    _BYTES: ClassVar = {0: b"\0", 1: b"\1"}
    _WORDS: ClassVar = {
        **dict.fromkeys(("t", "true", "y", "yes", "on", "1"), b"\1"),
        **dict.fromkeys(("f", "false", "n", "no", "off", "0"), b"\0"),
    }

    def text(self, sent: Sent) -> str:
        """Return true or false."""
        return "true" if sent == b"\1" else "false"

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        try:
            return [self._BYTES[value] for value in values]
        except KeyError as error:
            raise ValueError(str(error)) from None

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "integer" and value in self._BYTES:
            return self._BYTES[value]
        if storage == "text" and not self._key and value.lower() in self._WORDS:
            return self._WORDS[value.lower()]
        message = f"{value!r} is neither 0 nor 1 nor a word for true or false"
        raise ValueError(message)


_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# What PostgreSQL's numeric holds: digits before the point, and behind it.
_MOST_WHOLE, _MOST_PLACES = 131_072, 16_383
_EXACT_INTEGERS = 2**63
_HEADER = struct.Struct(">hhHh")
_NEGATIVE = 0x4000


class Numeric(Codec):
    """numeric takes integers, and reals by the shortest decimal that names them; it never rounds."""

    wire = "bytea"
    takes = int

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` holds precision and scale, if there are any. In a key a number has one spelling only."""
        super().__init__(plan, name, key=key)
        self._scale = name.sizes[1] if len(name.sizes) > 1 else 0

    def text(self, sent: Sent) -> str:
        """Return the decimal number."""
        return _unpacked(sent) if isinstance(sent, bytes) else str(sent)

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" or (self._key and not _one_spelling(storage, value)):
            raise refusal(storage, "a number")
        written = value.strip() if isinstance(value, str) else repr(value)
        if not _DECIMAL.fullmatch(written):
            message = f"{written[:40]!r} is no decimal number"
            raise ValueError(message)
        try:
            number = Decimal(written)
        except ArithmeticError:
            message = f"{written[:40]} has more digits than numeric holds"
            raise ValueError(message) from None
        whole, places = _extent(number)
        if self._name.sizes and number and (places > self._scale or whole > self._name.sizes[0] - self._scale):
            message = f"{written[:40]} does not fit {self._name} without rounding"
            raise ValueError(message)
        if beyond_numeric(number):
            message = f"{written[:40]} has more digits than numeric holds"
            raise ValueError(message)
        return _packed(number)


def _one_spelling(storage: StorageClass, value: Any) -> bool:
    """Tell 1 from 1.0 and '1': only integers, and reals that are none."""
    return storage == "integer" or (storage == "real" and not (value.is_integer() and abs(value) < _EXACT_INTEGERS))


def beyond_numeric(number: Decimal) -> bool:
    """Tell whether a number has more digits than any numeric of PostgreSQL's."""
    return _extent(number)[0] > _MOST_WHOLE or -int(number.as_tuple().exponent) > _MOST_PLACES


def _extent(number: Decimal) -> tuple[int, int]:
    """Return the digits before the point and the places behind it that are needed, zeros at the end left out.

    By hand: arithmetic would round to the context's 28 digits first.
    """
    _, digits, exponent = number.as_tuple()
    written = "".join(map(str, digits))
    zeros = len(written) - len(written.rstrip("0"))
    return len(written.lstrip("0")) + int(exponent), max(-int(exponent) - zeros, 0)


def _packed(number: Decimal) -> bytes:
    """Return the binary form: groups of four decimal digits, as numeric_recv in PostgreSQL's numeric.c reads it."""
    sign, digits, exponent = number.as_tuple()
    places = max(-int(exponent), 0)
    written = "".join(map(str, digits)) + "0" * max(int(exponent), 0)
    written = written.rjust(places + 1, "0")
    whole, fraction = written[: len(written) - places], written[len(written) - places :]
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    both = whole + fraction
    groups = [int(both[place : place + 4]) for place in range(0, len(both), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    head = _HEADER.pack(len(groups), weight if groups else 0, _NEGATIVE if sign and groups else 0, places)
    return head + struct.pack(f">{len(groups)}h", *groups)


def _unpacked(packed: bytes) -> str:
    count, weight, sign, places = _HEADER.unpack_from(packed)
    groups = [f"{group:04d}" for group in struct.unpack_from(f">{count}h", packed, _HEADER.size)]
    whole = "".join([*groups[: weight + 1], "0000" * max(weight + 1 - count, 0)]) if weight >= 0 else ""
    fraction = "0000" * max(-weight - 1, 0) + "".join(groups[max(weight + 1, 0) :])
    number = whole.lstrip("0") or "0"
    if places:
        number += "." + fraction[:places].ljust(places, "0")
    return f"-{number}" if sign == _NEGATIVE else number

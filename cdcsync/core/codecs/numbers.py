"""Integers, floating point numbers, decimals and booleans."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.types import TypeName, integer_limit
from cdcsync.words.nouns import StorageClass

_WIRES = {"bigint": "int8", "integer": "int4", "smallint": "int2"}


class Integer(Codec):
    """bigint, integer and smallint take SQLite's integers, and nothing that only looks like one."""

    takes = int

    def __init__(self, name: TypeName, *, not_null: bool) -> None:
        """`name` is one of the three."""
        super().__init__(not_null=not_null)
        self.wire = _WIRES[name.base]
        self._name, self._limit = name, integer_limit(name.base) or 0

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
        if storage == "integer" and int(float(value)) == value:
            return float(value)
        if storage != "real":
            raise refusal(storage, "a floating point number")
        return float(value)


class Single(Codec):
    """real has half the bits: values it would change are refused."""

    wire = "float4"
    takes = float

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage not in {"real", "integer"}:
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
        if storage == "text" and value.lower() in self._WORDS:
            return self._WORDS[value.lower()]
        message = f"{value!r} is neither 0 nor 1 nor a word for true or false"
        raise ValueError(message)


_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_HEADER = struct.Struct(">hhHh")
_NEGATIVE = 0x4000


class Numeric(Codec):
    """numeric takes integers, and reals by the shortest decimal that names them; it never rounds."""

    wire = "bytea"
    takes = int

    def __init__(self, name: TypeName, *, not_null: bool) -> None:
        """`name` holds precision and scale, if there are any."""
        super().__init__(not_null=not_null)
        self._name = name
        self._scale = name.sizes[1] if len(name.sizes) > 1 else 0

    def text(self, sent: Sent) -> str:
        """Return the decimal number."""
        return str(_unpacked(sent)) if isinstance(sent, bytes) else str(sent)

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "blob":
            raise refusal(storage, "a number")
        written = value.strip() if isinstance(value, str) else repr(value)
        if not _DECIMAL.fullmatch(written):
            message = f"{written[:40]!r} is no decimal number"
            raise ValueError(message)
        number = Decimal(written)
        if self._name.sizes:
            self._refuse_rounding(number)
        return _packed(number)

    def _refuse_rounding(self, number: Decimal) -> None:
        _, digits, exponent = number.normalize().as_tuple()
        places = -int(exponent)
        if number and (places > self._scale or len(digits) - places > self._name.sizes[0] - self._scale):
            message = f"{number} does not fit {self._name} without rounding"
            raise ValueError(message)


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


def _unpacked(packed: bytes) -> Decimal:
    count, weight, sign, places = _HEADER.unpack_from(packed)
    groups = struct.unpack_from(f">{count}h", packed, _HEADER.size)
    number = sum((Decimal(group).scaleb(4 * (weight - place)) for place, group in enumerate(groups)), Decimal(0))
    return (-number if sign == _NEGATIVE else number).quantize(Decimal(1).scaleb(-places))

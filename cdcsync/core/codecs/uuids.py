"""UUIDs: one value of 128 bits that applications write in several ways."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass

_HYPHENS = "8-4-4-4-12"
_FORMS = {
    "hyphens": (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), f"the form {_HYPHENS}", " in lower case"),
    "upper": (re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"), f"the form {_HYPHENS}", " in upper case"),
    "hex": (re.compile(r"[0-9a-f]{32}"), "32 hexadecimal digits", " in lower case"),
}
_CASES = {"hyphens": str.lower, "upper": str.upper, "hex": str.lower}
_BYTES, _DIGITS, _LENGTH = 16, 32, 36
_HYPHEN_PLACES = (8, 13, 18, 23)
_ONE = struct.Struct(f"{_BYTES}s")


class Uuid(Codec):
    """uuid, from text in one of three forms or from blobs of 16 bytes.

    In a key only the very form that `format` names is taken, letter case included: ABCD.. and abcd.. are two keys in
    SQLite, and so are a UUID's text and its bytes. Elsewhere the letter case is free, and 16 bytes need no format.
    """

    wire = "bytea"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`plan` names the format: hyphens, upper, hex or blob; any other means hyphens."""
        super().__init__(plan, name, key=key)
        self._blob = plan.format == "blob"
        self._format = plan.format if plan.format in _FORMS else "hyphens"
        self.takes = bytes if self._blob else str

    def text(self, sent: Sent) -> str:
        """Return the canonical form."""
        digits = sent.hex() if isinstance(sent, bytes) else str(sent)
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        """Convert a page in a few steps that take all its values at once."""
        lengths, count = set(map(len, values)), len(values)
        if self._blob:
            if lengths != {_BYTES}:
                message = "not all of them are 16 bytes"
                raise ValueError(message)
            return values
        joined = "".join(values)
        shaped = lengths == {_DIGITS if self._format == "hex" else _LENGTH}
        digits = joined
        if self._format != "hex":
            shaped = shaped and all(joined[place::_LENGTH] == "-" * count for place in _HYPHEN_PLACES)
            digits = joined.replace("-", "")
        cased = not self._key or joined == _CASES[self._format](joined)
        if not shaped or len(digits) != _DIGITS * count or not cased:
            message = "not all of them are UUIDs of the usual form"
            raise ValueError(message)
        packed = bytes.fromhex(digits)
        # fromhex skips white space, which the number of bytes then shows.
        if len(packed) != _BYTES * count:
            message = "white space in a UUID"
            raise ValueError(message)
        return [value for (value,) in _ONE.iter_unpack(packed)]

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" and len(value) == _BYTES and (self._blob or not self._key):
            return bytes(value)
        if storage != "text" or self._blob:
            raise refusal(storage, "a UUID of 16 bytes" if self._blob else "a UUID")
        shape, form, case = _FORMS[self._format]
        if not shape.fullmatch(value if self._key else _CASES[self._format](value)):
            told = f"{case} (in a key, another spelling would be the same one in PostgreSQL)" if self._key else ""
            message = f"{value[:50]!r} is no UUID of {form}{told}"
            raise ValueError(message)
        return bytes.fromhex(value.replace("-", ""))

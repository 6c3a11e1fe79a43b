"""Text, bytes, UUIDs and JSON."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, refusal
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import StorageClass


class Text(Codec):
    """text, varchar(n) and char(n); a number in an untyped column becomes its SQL literal."""

    wire = "text"

    def __init__(self, name: TypeName, *, not_null: bool, key: bool) -> None:
        """`name` holds the length, if there is one. In a key a number stays a number: 1 and '1' are two rows."""
        super().__init__(not_null=not_null, key=key)
        self._name = name
        self._padded = name.base == "character"
        self._limit = name.sizes[0] if name.sizes else (1 if self._padded else None)

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        # A NUL inside goes on to PostgreSQL, which refuses it: looking for one would cost all the others.
        if self._limit is None:
            return values
        if self._padded or max(map(len, values)) > self._limit:
            return super()._convert_many(values)
        return values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" or (self._key and storage != "text"):
            raise refusal(storage, "text")
        written = value if isinstance(value, str) else repr(value)
        if self._limit is not None and len(written) > self._limit:
            message = f"{len(written)} characters do not fit {self._name}"
            raise ValueError(message)
        if self._padded and written.endswith(" "):
            message = f"{self._name} would lose the trailing spaces"
            raise ValueError(message)
        return written


class Other(Codec):
    """A type of the user's own, such as an enum, or citext: PostgreSQL reads the text, or refuses it."""

    def __init__(self, *, not_null: bool, key: bool, wire: str | None = None) -> None:
        """`wire` is "text" for types whose binary form is their text. What the type equates, no key may hold."""
        super().__init__(not_null=not_null, key=key)
        self.wire = wire

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        return super()._convert_many(values) if self._key else values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if self._key:
            message = "two keys may be equal to this type: map the column to text"
            raise ValueError(message)
        if storage != "text":
            raise refusal(storage, "text")
        return str(value)


class Unruled(Codec):
    """A type of PostgreSQL's own for which there is no rule yet, and which may change what it reads."""

    def __init__(self, name: TypeName, *, not_null: bool) -> None:
        """`name` goes into the refusal."""
        super().__init__(not_null=not_null)
        self._name = name

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:  # noqa: ARG002  every value is refused
        message = f"there is no rule for type {self._name}: map the column to text"
        raise ValueError(message)


class Bytea(Codec):
    """bytea takes blobs."""

    wire = "bytea"
    takes = bytes

    def text(self, sent: Sent) -> str:
        """Return the hex form."""
        return f"\\x{sent.hex()}" if isinstance(sent, bytes) else str(sent)

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        return values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage != "blob":
            raise refusal(storage, "a blob")
        return bytes(value)


class Uuid(Codec):
    """uuid takes the form 8-4-4-4-12, in a key in lower case only: ABCD and abcd are two keys in SQLite."""

    wire = "bytea"

    _FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    _ONE = struct.Struct("16s")
    _LENGTH = 36
    _HYPHENS = (8, 13, 18, 23)
    _BYTES = 16

    def text(self, sent: Sent) -> str:
        """Return the canonical form."""
        digits = sent.hex() if isinstance(sent, bytes) else str(sent)
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        """Convert a page in a few steps that take all its values at once."""
        joined, count = "".join(values), len(values)
        shaped = set(map(len, values)) == {self._LENGTH} and all(
            joined[place :: self._LENGTH] == "-" * count for place in self._HYPHENS
        )
        digits = joined.replace("-", "")
        if not shaped or len(digits) != 32 * count or (self._key and joined != joined.lower()):
            message = "not all of them are UUIDs of the usual form"
            raise ValueError(message)
        packed = bytes.fromhex(digits)
        # fromhex skips white space, which the number of bytes then shows.
        if len(packed) != self._BYTES * count:
            message = "white space in a UUID"
            raise ValueError(message)
        return [value for (value,) in self._ONE.iter_unpack(packed)]

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if storage == "blob" and len(value) == self._BYTES and not self._key:
            return bytes(value)
        if storage != "text":
            raise refusal(storage, "a UUID")
        if not self._FORM.fullmatch(value if self._key else value.lower()):
            lower = " in lower case (another case would be the same key in PostgreSQL)" if self._key else ""
            message = f"{value[:50]!r} is no UUID of the form 8-4-4-4-12{lower}"
            raise ValueError(message)
        return bytes.fromhex(value.replace("-", ""))


class Json(Codec):
    """json keeps its text; jsonb is refused what it would change: a key named twice, an escaped NUL."""

    _NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")

    def __init__(self, name: TypeName, *, not_null: bool, key: bool) -> None:
        """`name` is json or jsonb; a key of that type has no one spelling."""
        super().__init__(not_null=not_null, key=key)
        self._binary = name.base == "jsonb"
        self.wire = "bytea" if self._binary else "text"

    def text(self, sent: Sent) -> str:
        """Return the document."""
        return sent[1:].decode() if isinstance(sent, bytes) else str(sent)

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if self._key:
            message = "a JSON document cannot be a key: map the column to text"
            raise ValueError(message)
        # Declared JSON has NUMERIC affinity: SQLite has already turned a bare number into one.
        if storage == "blob":
            raise refusal(storage, "JSON")
        written = value if isinstance(value, str) else repr(value)
        try:
            json.loads(written, object_pairs_hook=self._object, parse_constant=_no_constant, parse_int=str)
        except RecursionError:
            message = "the document is nested too deeply"
            raise ValueError(message) from None
        if not self._binary:
            return written
        if self._NUL.search(written):
            message = "the document holds \\u0000, which jsonb cannot store"
            raise ValueError(message)
        # The binary form begins with its version.
        return b"\1" + written.encode()

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if self._binary and len(found) < len(pairs):
            message = "an object names a key twice; jsonb would keep only the last"
            raise ValueError(message)
        return found


def _no_constant(constant: str) -> None:
    message = f"{constant} is no JSON"
    raise ValueError(message)

"""Text, bytes and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from cdcsync.core.codecs.base import Codec, Sent, holds_nul, refusal
from cdcsync.core.codecs.numbers import beyond_numeric
from cdcsync.core.codecs.policies import TextPolicies
from cdcsync.core.types import TypeName
from cdcsync.words.nouns import ColumnPlan, StorageClass


class Text(Codec):
    """text, varchar(n) and char(n); a number in an untyped column becomes its SQL literal."""

    wire = "text"

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` holds the length, if there is one. In a key a number stays a number: 1 and '1' are two rows."""
        super().__init__(plan, name, key=key)
        self._policies = TextPolicies(None if key else plan)
        self._padded = name.base == "character"
        self._limit = name.sizes[0] if name.sizes else (1 if self._padded else None)

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        too_long = self._limit is not None and max(map(len, values)) > self._limit
        if too_long or self._padded or holds_nul(values):
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

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """What the type equates, no key may hold."""
        super().__init__(plan, name, key=key)
        self._policies = TextPolicies(None if key else plan)
        if name.base == "citext":
            # Its binary form is its text.
            self.wire = "text"

    def _convert_many(self, values: Sequence[Any]) -> Sequence[Sent]:
        return super()._convert_many(values) if self._key or holds_nul(values) else values

    def _convert_one(self, storage: StorageClass, value: Any) -> Sent:
        if self._key:
            message = "two keys may be equal to this type: map the column to text"
            raise ValueError(message)
        if storage != "text":
            raise refusal(storage, "text")
        return str(value)


class Unruled(Codec):
    """A type of PostgreSQL's own for which there is no rule yet, and which may change what it reads."""

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


class Json(Codec):
    """json keeps its text; jsonb is refused what it would change or cannot hold, a key named twice above all."""

    # An odd number of backslashes before u: the last one escapes it.
    _NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
    _SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
    # A number shorter than this, and without an exponent, is within every bound of numeric.
    _SHORT = 1000

    def __init__(self, plan: ColumnPlan, name: TypeName, *, key: bool) -> None:
        """`name` is json or jsonb; a key of that type has no one spelling."""
        super().__init__(plan, name, key=key)
        self._policies = TextPolicies(None if key else plan, backslash="\\\\")
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
        if not self._binary:
            self._parsed(written)
            return written
        if self._NUL.search(written):
            written = self._without_nul(written)
        document = self._parsed(written)
        if self._SURROGATE.search(written) and not _is_encodable(document):
            message = "the document holds half of a surrogate pair, which jsonb cannot store"
            raise ValueError(message)
        # The binary form begins with its version.
        return b"\1" + written.encode()

    def _parsed(self, written: str) -> object:
        try:
            return json.loads(
                written,
                object_pairs_hook=self._object,
                parse_constant=_no_constant,
                parse_int=self._number,
                parse_float=self._number,
            )
        except json.JSONDecodeError as error:
            message = f"{written[:40]!r} is no JSON: {error}"
            raise ValueError(message) from None
        except RecursionError:
            message = "the document is nested too deeply"
            raise ValueError(message) from None

    def _without_nul(self, written: str) -> str:
        if self._policies.on_nul == "quarantine":
            message = "the document holds \\u0000, which jsonb cannot store"
            raise ValueError(message)
        return self._NUL.sub(r"\1" if self._policies.on_nul == "strip" else r"\1\\\\x00", written)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if self._binary and len(found) < len(pairs):
            message = "an object names a key twice; jsonb would keep only the last"
            raise ValueError(message)
        return found

    def _number(self, written: str) -> str:
        """Keep a number's text. Raises ValueError where jsonb, which keeps numbers as numeric, cannot hold it."""
        doubtful = self._binary and (len(written) > self._SHORT or "e" in written or "E" in written)
        if doubtful and _beyond_numeric(written):
            message = f"the document holds {written[:40]}, which has more digits than jsonb keeps"
            raise ValueError(message)
        return written


def _beyond_numeric(written: str) -> bool:
    try:
        return beyond_numeric(Decimal(written))
    except ArithmeticError:
        return True


def _is_encodable(document: object) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(constant: str) -> None:
    message = f"{constant} is no JSON"
    raise ValueError(message)

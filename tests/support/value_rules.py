"""What may stand in PostgreSQL for a value of SQLite: one rule a type, in plain terms, that knows nothing of codecs.

A rule takes storage class, value (text as bytes), mapping, and what PostgreSQL shows; it says whether they are equal.
"""

from __future__ import annotations

import json
import struct
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

Mapping = dict[str, str]

_TRUE, _FALSE = {"t", "true", "y", "yes", "on", "1"}, {"f", "false", "n", "no", "off", "0"}


def text_of(value: bytes, mapping: Mapping, backslash: str = "\\") -> str | None:
    """Return a text after the policies; None where it has to be refused."""
    policy = mapping.get("on_bad_utf8", "quarantine")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        if policy == "quarantine":
            return None
        text = "".join(_pieces(value, backslash if policy == "escape" else None))
    if "\0" in text:
        policy = mapping.get("on_nul", "quarantine")
        if policy == "quarantine":
            return None
        text = text.replace("\0", "" if policy == "strip" else backslash + "x00")
    return text


def _pieces(value: bytes, backslash: str | None) -> list[str]:
    """Take the longest valid characters one after another, and each other byte by itself."""
    pieces, place = [], 0
    while place < len(value):
        for size in (1, 2, 3, 4):
            try:
                pieces.append(value[place : place + size].decode())
                place += size
                break
            except UnicodeDecodeError:
                continue
        else:
            pieces += [] if backslash is None else [f"{backslash}x{value[place]:02x}"]
            place += 1
    return pieces


def integer(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The integer itself."""
    return storage == "integer" and shown == str(value)


def double(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The same 64 bits, or an integer that they hold exactly."""
    if storage == "integer":
        return Fraction(float(shown)) == value
    return storage == "real" and struct.pack("d", float(shown)) == struct.pack("d", value)


def single(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The same number, in 32 bits."""
    return storage in {"integer", "real"} and struct.unpack("f", struct.pack("f", float(shown)))[0] == value


def numeric(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The decimal number that is written; a real by the shortest decimal that names it."""
    written = value.decode().strip() if storage == "text" else repr(value)
    try:
        return storage != "blob" and Decimal(shown) == Decimal(written)
    except InvalidOperation:
        return False


def boolean(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """1 or a word for true, 0 or a word for false."""
    if storage == "integer":
        return shown == {1: "true", 0: "false"}.get(value)
    word = value.decode().lower() if storage == "text" else ""
    return word in (_TRUE if shown == "true" else _FALSE)


def text(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The same characters after the policies; a number as it reads back."""
    if storage == "text":
        return shown == text_of(value, mapping)
    return storage in {"integer", "real"} and type(value)(shown) == value


def bytea(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The same bytes."""
    return storage == "blob" and shown == "\\x" + value.hex()


def uuid(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The same 128 bits, written in the form the mapping names."""
    form = mapping.get("format", "hyphens")
    if storage == "blob":
        return len(value) == 16 and shown.replace("-", "") == value.hex()
    written = value.decode().lower() if storage == "text" else ""
    return form != "blob" and written == (shown.replace("-", "") if form == "hex" else shown)


def json_text(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The same text, which is JSON."""
    written = text_of(value, mapping, "\\\\") if storage == "text" else repr(value)
    return storage != "blob" and shown == written and _is_json(shown)


def jsonb(storage: str, value: Any, mapping: Mapping, shown: str) -> bool:
    """The same document: names, strings after the policies, and numbers to the last digit."""
    written = text_of(value, mapping, "\\\\") if storage == "text" else repr(value)
    if storage == "blob" or written is None:
        return False
    policy = mapping.get("on_nul", "quarantine")
    document = _without_nul(_document(written), policy)
    return document == _document(shown)


def _document(written: str) -> Any:
    """Parse JSON; objects as lists of pairs in the order of their names, so that a name twice is seen."""
    return json.loads(
        written,
        parse_float=Decimal,
        parse_int=Decimal,
        object_pairs_hook=lambda pairs: ("object", sorted(pairs, key=lambda pair: pair[0])),
    )


def _without_nul(part: Any, policy: str) -> Any:
    if isinstance(part, str):
        if policy == "quarantine" and "\0" in part:
            return object()
        return part.replace("\0", "" if policy == "strip" else "\\x00")
    if isinstance(part, list):
        return [_without_nul(item, policy) for item in part]
    if isinstance(part, tuple):
        pairs = [(_without_nul(name, policy), _without_nul(item, policy)) for name, item in part[1]]
        return ("object", sorted(pairs, key=lambda pair: pair[0]))
    return part


def _is_json(written: str) -> bool:
    try:
        json.loads(written, parse_int=str)
    except ValueError:
        return False
    return True


def network(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """The very same spelling."""
    return storage == "text" and shown == value.decode()


def interval(storage: str, value: Any, _mapping: Mapping, shown: str) -> bool:
    """As many microseconds."""
    return storage == "integer" and shown == str(value)

"""Keys of rows: written down exactly, read back exactly, and shown to people.

SQLite keeps 1, 1.0, '1' and x'31' as four different keys of an untyped column, so a key is never written
without the storage class of each of its parts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cdcsync.words.nouns import StorageClass, Value

Part = tuple[StorageClass, Value]
"""Storage class and value of one key column; text that is not UTF-8 is (text, bytes)."""

Key = tuple[Part, ...]

CLASSES: dict[type, StorageClass] = {
    type(None): "null",
    int: "integer",
    float: "real",
    str: "text",
    bytes: "blob",
}


def key_of(values: Sequence[Value]) -> Key:
    """Return the key made of values as SQLite hands them over (text as `str`)."""
    return tuple((CLASSES[type(value)], value) for value in values)


def dump(key: Key) -> str:
    """Write a key as JSON; `load` gives back exactly the same."""
    return json.dumps([[storage, _written(value)] for storage, value in key], ensure_ascii=False)


def load(text: str) -> Key:
    """Read what `dump` wrote."""
    return tuple((storage, _read(storage, written)) for storage, written in json.loads(text))


def _written(value: Value) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    # float.hex is exact where JSON numbers need not be.
    return value.hex() if isinstance(value, float) else value


def _read(storage: StorageClass, written: object) -> Value:
    if isinstance(written, dict):
        return bytes.fromhex(written["hex"])
    if storage == "real":
        return float.fromhex(str(written))
    return written  # type: ignore[return-value]  # JSON gives back the str, int or None that dump wrote


def show(key: Key) -> str:
    """Return the key as a person reads it: SQL literals, joined by commas."""
    return ", ".join(show_value(value) for _, value in key)


def show_value(value: Value, limit: int = 80) -> str:
    """Return a value as a literal; of a text or blob longer than `limit` the beginning, closed, and its length."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        shown, unit = f"x'{value[: limit // 2].hex()}'", "bytes"
        is_whole = len(value) <= limit // 2
    elif isinstance(value, str):
        shown, unit = repr(value[:limit]), "characters"
        is_whole = len(value) <= limit
    else:
        # A number that is cut is another number.
        return repr(value)
    return shown if is_whole else f"{shown}... ({len(value):,} {unit})"

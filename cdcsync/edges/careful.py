"""Read values with their storage classes, text as bytes: for where a value needs a closer look."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cdcsync.core.keys import Key, Part


@contextmanager
def text_as_bytes(connection: sqlite3.Connection) -> Iterator[None]:
    """Read text as bytes for a while: `sqlite3` decodes strictly and fails the whole fetch at one bad byte."""
    connection.text_factory = bytes
    try:
        yield
    finally:
        connection.text_factory = str


def with_classes(names: Sequence[str]) -> str:
    """Return the columns to select, each with its storage class before it."""
    return ", ".join(f"typeof({name}), {name}" for name in names)


def parts(row: Sequence[Any]) -> Key:
    """Pair storage classes and values of a row of `with_classes`; text becomes `str` where it is valid UTF-8."""
    return tuple(_part(row[place].decode(), row[place + 1]) for place in range(0, len(row) - 1, 2))


def _part(storage: Any, value: Any) -> Part:
    if storage == "text":
        try:
            return storage, value.decode()
        except UnicodeDecodeError:
            return storage, value
    return storage, value

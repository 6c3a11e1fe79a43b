"""How large rows and index keys become in PostgreSQL, as far as its limits are concerned."""

from __future__ import annotations

from collections.abc import Sequence

from cdcsync.core.types import parse
from cdcsync.words.nouns import ColumnPlan, Value

ROW_BYTES = 8160
"""A row has to fit a page, large values moved out: MaxHeapTupleSize."""

INDEX_BYTES = 2704
"""The largest entry of a btree: three have to fit a page."""

_ROW_HEADER, _INDEX_HEADER = 24, 8
_MOVED_OUT = 18
"""What stays in the row of a value that is kept out of line; anything smaller is never moved."""

_FIXED = {
    "boolean": 1,
    "smallint": 2,
    "integer": 4,
    "date": 4,
    "real": 4,
    "bigint": 8,
    "double precision": 8,
    "timestamp with time zone": 8,
    "timestamp without time zone": 8,
    "time without time zone": 8,
    "uuid": 16,
}


def fixed_bytes(columns: Sequence[ColumnPlan]) -> list[int | None]:
    """Return for each column what a value of its type occupies, None where that depends on the value."""
    return [_FIXED.get(parse(column.type_sql).base) for column in columns]


def may_exceed_row(columns: Sequence[ColumnPlan]) -> bool:
    """Tell whether a row of these columns could be too large for any values at all."""
    each = (_aligned(_MOVED_OUT) if width is None else width for width in fixed_bytes(columns))
    return _header(len(columns)) + sum(each) > ROW_BYTES


def row_bytes(fixed: Sequence[int | None], row: Sequence[Value]) -> int:
    """Return about what stays in a row when everything that can be is moved out of it."""
    total = _header(len(row))
    for width, value in zip(fixed, row, strict=True):
        if value is not None:
            total += min(_value_bytes(value) + 1, _MOVED_OUT) if width is None else width
    return total


def key_bytes(fixed: Sequence[int | None], key: Sequence[Value]) -> int:
    """Return the size of an index entry, nothing compressed."""
    widths = (
        _value_bytes(value) + 4 if width is None else width
        for width, value in zip(fixed, key, strict=True)
        if value is not None
    )
    return _INDEX_HEADER + sum(map(_aligned, widths))


def _value_bytes(value: Value) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogateescape"))
    return len(value) if isinstance(value, bytes) else len(repr(value))


def _header(columns: int) -> int:
    """The bitmap of NULLs has a bit for every column."""
    return _aligned(_ROW_HEADER + columns // 8)


def _aligned(size: int) -> int:
    return -(-size // 8) * 8

"""Constants as PostgreSQL writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.codecs import codec_for
from cdcsync.core.codecs.numbers import Numeric
from cdcsync.core.codecs.texts import Bytea
from cdcsync.core.sqltext.kinds import NUMBERS, kind_of
from cdcsync.core.sqltext.refusal import UntranslatableError

if TYPE_CHECKING:
    from cdcsync.words.nouns import ColumnPlan, StorageClass, Value


def literal(value: object) -> sql.Composable:
    """Write a value; psycopg puts a space before what it has to escape, and before negative numbers."""
    return sql.SQL(sql.Literal(value).as_string().strip())


def blob_literal(digits: str) -> sql.Composable:
    """Write a blob given in hexadecimal digits."""
    return sql.SQL("'\\x{}'::bytea").format(sql.SQL(digits))


def boolean_literal(value: object) -> sql.Composable:
    """Write true or false."""
    return sql.SQL("true" if value else "false")


def sent_literal(column: ColumnPlan, storage: StorageClass, value: Value) -> sql.Composable:
    """Write a value of the source as it arrives in this column; UntranslatableError if it cannot."""
    codec = codec_for(column, key=False)
    try:
        sent = codec.one(storage, value)
    except (ValueError, ArithmeticError) as error:
        raise UntranslatableError(str(error)) from None
    kind = kind_of(column.type_sql)
    if sent is None:
        return literal(None)
    if kind == "boolean":
        return sql.SQL(codec.text(sent))
    if isinstance(codec, Bytea) and isinstance(sent, bytes):
        return blob_literal(sent.hex())
    return (
        sql.SQL(codec.text(sent))
        if isinstance(codec, Numeric)
        else literal(sent if kind in NUMBERS else codec.text(sent))
    )

"""One codec per PostgreSQL type: which values arrive unaltered, in which form, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable

from cdcsync.core.codecs.base import Codec, Sent
from cdcsync.core.codecs.numbers import Boolean, Double, Integer, Numeric, Single
from cdcsync.core.codecs.texts import Bytea, Json, Other, Text, Unruled, Uuid
from cdcsync.core.codecs.times import Date, Time, Timestamp
from cdcsync.core.types import TypeName, is_unruled, parse
from cdcsync.words.nouns import ColumnPlan

__all__ = ["Codec", "Sent", "codec_for", "has_rule"]

_CODECS: dict[str, Callable[[ColumnPlan, TypeName, bool], Codec]] = {
    "bigint": lambda plan, name, _key: Integer(name, not_null=plan.not_null),
    "integer": lambda plan, name, _key: Integer(name, not_null=plan.not_null),
    "smallint": lambda plan, name, _key: Integer(name, not_null=plan.not_null),
    "double precision": lambda plan, _name, key: Double(not_null=plan.not_null, key=key),
    "real": lambda plan, _name, key: Single(not_null=plan.not_null, key=key),
    "numeric": lambda plan, name, key: Numeric(name, not_null=plan.not_null, key=key),
    "boolean": lambda plan, _name, key: Boolean(not_null=plan.not_null, key=key),
    "text": lambda plan, name, key: Text(name, not_null=plan.not_null, key=key),
    "character varying": lambda plan, name, key: Text(name, not_null=plan.not_null, key=key),
    "character": lambda plan, name, key: Text(name, not_null=plan.not_null, key=key),
    "bytea": lambda plan, _name, _key: Bytea(not_null=plan.not_null),
    "uuid": lambda plan, _name, key: Uuid(not_null=plan.not_null, key=key),
    "json": lambda plan, name, key: Json(name, not_null=plan.not_null, key=key),
    "jsonb": lambda plan, name, key: Json(name, not_null=plan.not_null, key=key),
    "timestamp with time zone": lambda plan, name, key: Timestamp(plan, name, zoned=True, key=key),
    "timestamp without time zone": lambda plan, name, key: Timestamp(plan, name, zoned=False, key=key),
    "date": lambda plan, _name, _key: Date(not_null=plan.not_null),
    "time without time zone": lambda plan, name, key: Time(name, not_null=plan.not_null, key=key),
    "citext": lambda plan, _name, key: Other(not_null=plan.not_null, key=key, wire="text"),
}


def codec_for(plan: ColumnPlan, *, key: bool) -> Codec:
    """Return the codec of a column. Keys are stricter: two keys of the source never become one."""
    name = parse(plan.type_sql)
    if name.base in _CODECS:
        return _CODECS[name.base](plan, name, key)
    if is_unruled(name.base):
        return Unruled(name, not_null=plan.not_null)
    return Other(not_null=plan.not_null, key=key)


def has_rule(type_sql: str) -> bool:
    """Tell whether values of a type can arrive at all."""
    return not is_unruled(parse(type_sql).base)

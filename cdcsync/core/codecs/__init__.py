"""One codec per PostgreSQL type: which values arrive unaltered, in which form, and why the others cannot."""

from __future__ import annotations

from cdcsync.core.codecs.base import Codec, Sent
from cdcsync.core.codecs.numbers import Boolean, Double, Integer, Numeric, Single
from cdcsync.core.codecs.texts import Bytea, Json, Other, Text, Uuid
from cdcsync.core.codecs.times import Date, Time, Timestamp
from cdcsync.core.types import integer_limit, parse
from cdcsync.words.nouns import ColumnPlan

__all__ = ["Codec", "Sent", "codec_for"]

_PLAIN: dict[str, type[Codec]] = {
    "double precision": Double,
    "real": Single,
    "boolean": Boolean,
    "bytea": Bytea,
    "date": Date,
    "time without time zone": Time,
}


def codec_for(plan: ColumnPlan, *, key: bool) -> Codec:  # noqa: PLR0911  one line a family of types
    """Return the codec of a column. Keys are stricter: two keys of the source never become one."""
    name = parse(plan.type_sql)
    if name.base in _PLAIN:
        return _PLAIN[name.base](not_null=plan.not_null)
    if integer_limit(name.base) is not None:
        return Integer(name, not_null=plan.not_null)
    if name.base == "numeric":
        return Numeric(name, not_null=plan.not_null)
    if name.base in {"text", "character varying", "character"}:
        return Text(name, not_null=plan.not_null, key=key)
    if name.base == "uuid":
        return Uuid(not_null=plan.not_null, key=key)
    if name.base in {"json", "jsonb"}:
        return Json(name, not_null=plan.not_null)
    if name.base.startswith("timestamp"):
        return Timestamp(plan, zoned=name.base == "timestamp with time zone")
    return Other(not_null=plan.not_null, wire="text" if name.base == "citext" else None)

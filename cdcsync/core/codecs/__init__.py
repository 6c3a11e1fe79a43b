"""One codec per PostgreSQL type: which values arrive unaltered, in which form, and why the others cannot."""

from __future__ import annotations

from cdcsync.core.codecs.base import Codec, Sent
from cdcsync.core.codecs.moments import Timestamp
from cdcsync.core.codecs.networks import Network
from cdcsync.core.codecs.numbers import Boolean, Double, Integer, Numeric, Single
from cdcsync.core.codecs.texts import Bytea, Json, Other, Text, Unruled
from cdcsync.core.codecs.times import Date, Interval, Time
from cdcsync.core.codecs.uuids import Uuid
from cdcsync.core.types import is_unruled, parse
from cdcsync.words.nouns import ColumnPlan

__all__ = ["Codec", "Sent", "codec_for", "has_rule"]

_CODECS: dict[str, type[Codec]] = {
    "bigint": Integer,
    "integer": Integer,
    "smallint": Integer,
    "double precision": Double,
    "real": Single,
    "numeric": Numeric,
    "boolean": Boolean,
    "text": Text,
    "character varying": Text,
    "character": Text,
    "bytea": Bytea,
    "uuid": Uuid,
    "json": Json,
    "jsonb": Json,
    "timestamp with time zone": Timestamp,
    "timestamp without time zone": Timestamp,
    "date": Date,
    "time without time zone": Time,
    "interval": Interval,
    "inet": Network,
    "cidr": Network,
}


def codec_for(plan: ColumnPlan, *, key: bool) -> Codec:
    """Return the codec of a column. Keys are stricter: two keys of the source never become one."""
    name = parse(plan.type_sql)
    codec = _CODECS.get(name.base) or (Unruled if is_unruled(name.base) else Other)
    return codec(plan, name, key=key)


def has_rule(type_sql: str) -> bool:
    """Tell whether values of a type can arrive at all."""
    return not is_unruled(parse(type_sql).base)

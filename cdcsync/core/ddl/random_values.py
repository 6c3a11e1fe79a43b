"""Defaults that are random: keys that SQLite makes of randomblob(), PostgreSQL of gen_random_uuid()."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.kinds import kind_of
from cdcsync.core.sqltext.refusal import refuse

if TYPE_CHECKING:
    from cdcsync.words.nouns import ColumnPlan

_HEX = re.compile(r"(lower\(|upper\()?hex\(randomblob\(16\)\)\)?")
_RANDOM = re.compile(r"\b(randomblob|random)\(")


def random_default(text: str, column: ColumnPlan) -> sql.Composable | None:
    """Return PostgreSQL's way to a random value of the same form; None if the text asks for none."""
    if _RANDOM.search(text) is None:
        return None
    kind = kind_of(column.type_sql)
    if kind == "uuid" and "randomblob" in text:
        return sql.SQL("gen_random_uuid()")
    if kind == "bytea" and text == "randomblob(16)":
        return sql.SQL("uuid_send(gen_random_uuid())")
    versioned = "'-4'" in text and "randomblob" in text and "89ab" in text.lower()
    if kind != "text" or not (versioned or _HEX.fullmatch(text)):
        refuse(
            "PostgreSQL has no random value of this form of its own",
            "encode(gen_random_bytes(n), 'hex') of the extension pgcrypto may serve",
        )
    digits = "CAST(gen_random_uuid() AS text)"
    if not versioned:
        digits = f"replace({digits}, '-', '')"
    return sql.SQL(digits if text.startswith("lower(") else f"upper({digits})")

"""Defaults that are random UUIDs, put together of randomblob() in SQLite, which has none of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.kinds import kind_of

if TYPE_CHECKING:
    from cdcsync.words.nouns import ColumnPlan

_DIGITS = re.compile(r"hex\(randomblob\((\d)\)\)|hex\(randomblob\((1\d)\)\)")
_CUT = re.compile(r"substr\('(#+)',(\d+)(?:,(\d+))?\)")
_VARIANT = re.compile(r"substr\('(?:89ab|ab89)',[^']*random\(\)[^']*,1\)", re.IGNORECASE)
_CASE = re.compile(r"(?:lower|upper)\(('[^']*')\)")
_UUID = re.compile(r"'#{8}(-?)#{4}\1[#4]#{3}\1#{4}\1#{12}'")


def random_default(text: str, column: ColumnPlan) -> sql.Composable | None:
    """Return PostgreSQL's way to a random UUID of the same form; None if the text does not ask for one."""
    kind = kind_of(column.type_sql)
    if text == "randomblob(16)" and kind == "bytea":
        return sql.SQL("uuid_send(gen_random_uuid())")
    found = _UUID.fullmatch(_shape(text))
    if kind == "uuid" and (found or text == "randomblob(16)"):
        return sql.SQL("gen_random_uuid()")
    if kind != "text" or found is None:
        return None
    digits = "CAST(gen_random_uuid() AS text)"
    if not found[1]:
        digits = f"replace({digits}, '-', '')"
    return sql.SQL(digits if "lower(" in text else f"upper({digits})")


def _shape(text: str) -> str:
    """Return what an expression gives as one text, with # for each random digit, as far as it is understood."""
    text = _DIGITS.sub(lambda found: f"'{'#' * 2 * int(found[1] or found[2])}'", text)
    last = ""
    while text != last:
        last = text
        text = _VARIANT.sub("'#'", _CUT.sub(_cut, text)).replace("'||'", "")
        text = _CASE.sub(r"\1", text)
    return text


def _cut(found: re.Match[str]) -> str:
    start = int(found[2]) - 1
    digits = found[1][start : start + int(found[3])] if found[3] else found[1][start:]
    return f"'{digits}'"

"""Functions that ask what a value is, not what it says: its storage class, whether it is JSON, its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.literals import literal
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term
from cdcsync.core.sqltext.translator import Handler, unknown

if TYPE_CHECKING:
    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator

# The one storage class of the values that arrive in a column of this kind from one of this affinity.
_CLASSES = {
    ("integer", "number"): "integer",
    ("float", "number"): "real",
    ("text", "text"): "text",
    ("bytea", ""): "blob",
}
_RANDOM_BITS_OF_UUID = 122
_HASH_BYTES = 32


def _storage_class(translator: Translator, node: exp.Expression) -> Term:
    term = translator.term(node.this)
    found = _CLASSES.get((term.kind, term.affinity))
    if found is None or term.column is None:
        refuse("typeof() asks for SQLite's storage class, which this column does not have in PostgreSQL")
    code = sql.SQL("CASE WHEN {} IS NULL THEN 'null' ELSE {} END").format(term.inner, literal(found))
    return Term(code, "text")


def _called_by_name(translator: Translator, node: exp.Expression) -> Term:
    """Say a function that the parser knows by its name only."""
    name, arguments = node.name.lower(), node.expressions
    if name == "json_valid" and len(arguments) == 1:
        return _is_json(translator.term(arguments[0]))
    if name == "randomblob" and len(arguments) == 1:
        return _random_bytes(translator.term(arguments[0]))
    raise unknown(node)


def _is_json(term: Term) -> Term:
    if term.kind == "json":
        # Nothing else can be in the column. Older versions of SQLite call NULL invalid, newer ones say NULL.
        return Term(sql.SQL("{} IS NOT NULL OR NULL").format(term.inner), "boolean", operator="OR", certain=True)
    if term.kind != "text":
        refuse(f"json_valid() asks {term.says()} for a spelling that does not arrive")
    # Known from PostgreSQL 16 on; an older one refuses the constraint, which is then listed.
    return Term(sql.SQL("{} IS JSON").format(term.inner), "boolean", operator="IS")


def _random_bytes(size: Term) -> Term:
    if not isinstance(size.literal, int) or not 1 <= size.literal <= _HASH_BYTES:
        refuse(
            "PostgreSQL has no random value of this form of its own",
            "gen_random_bytes(n) of the extension pgcrypto may serve",
        )
    uuids = -(-8 * size.literal // _RANDOM_BITS_OF_UUID)
    entropy = sql.SQL(" || ").join([sql.SQL("uuid_send(gen_random_uuid())")] * uuids)
    return Term(sql.SQL("substr(sha256({}), 1, {})").format(entropy, sql.SQL(str(size.literal))), "bytea")


def _random_integer(_: Translator, __: exp.Expression) -> Term:
    digits = sql.SQL("encode(sha256(uuid_send(gen_random_uuid())), 'hex')")
    return Term(sql.SQL("CAST(CAST('x' || substr({}, 1, 16) AS bit(64)) AS bigint)").format(digits), "integer")


def _digits(translator: Translator, node: exp.Expression) -> Term:
    term = translator.term(node.this)
    if term.kind != "bytea":
        raise unknown(node)
    digits = sql.SQL("encode({}, 'hex')").format(term.code)
    # SQLite gives an empty text for NULL.
    safe = sql.SQL("coalesce({}, '')").format(digits) if term.column is not None else digits
    return Term(safe if node.key == "lowerhex" else sql.SQL("upper({})").format(safe), "text")


HANDLERS = {
    "typeof": Handler(_storage_class),
    "anonymous": Handler(_called_by_name, "this expressions"),
    "hex": Handler(_digits),
    "lowerhex": Handler(_digits),
    "rand": Handler(_random_integer, ""),
}

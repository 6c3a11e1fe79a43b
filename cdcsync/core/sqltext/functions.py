"""The functions of SQLite's that PostgreSQL has too, and CAST."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from psycopg import sql

from cdcsync.core.sqltext.coercions import in_binary, in_utc, number, written
from cdcsync.core.sqltext.literals import literal
from cdcsync.core.sqltext.parsing import spelled
from cdcsync.core.sqltext.refusal import refuse
from cdcsync.core.sqltext.terms import Term, call
from cdcsync.core.sqltext.translator import Handler, unknown

if TYPE_CHECKING:
    from sqlglot import exp

    from cdcsync.core.sqltext.translator import Translator


def _length(translator: Translator, node: exp.Expression) -> Term:
    term = translator.term(node.this)
    if term.kind == "uuid" and term.affinity == "text":
        term = Term(sql.SQL("CAST({} AS text)").format(term.code), "text")
    return call("length", "integer", [term if term.kind == "bytea" else written(term)])


def _case_changed(translator: Translator, node: exp.Expression) -> Term:
    term = written(translator.term(node.this))
    if not translator.scope.exact:
        return call(node.key, "text", [term])
    return Term(sql.SQL('{}({} COLLATE "C")').format(sql.SQL(node.key), term.inner), "text")


def _absolute(translator: Translator, node: exp.Expression) -> Term:
    term = in_binary(number(translator.term(node.this)))
    return call("abs", term.kind, [term])


def _trimmed(translator: Translator, node: exp.Expression) -> Term:
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(str(node.args.get("position") or ""), "btrim")
    sides = translator.terms(node.args[side] for side in ("this", "expression") if node.args.get(side))
    return call(name, "text", [written(side) for side in sides])


def _position(translator: Translator, node: exp.Expression) -> Term:
    sides = translator.operands(node, "this", "substr")
    return call("strpos", "integer", [written(side) for side in sides])


def _replacement(translator: Translator, node: exp.Expression) -> Term:
    sides = translator.operands(node, "this", "expression", "replacement")
    if sides[1].literal in (None, ""):
        raise unknown(node)
    return call("replace", "text", [written(side) for side in sides])


def _part(translator: Translator, node: exp.Expression) -> Term:
    names = ["this", "start", "length"] if node.args.get("length") else ["this", "start"]
    whole, *bounds = translator.operands(node, *names)
    counted = all(isinstance(bound.literal, int) and bound.literal >= 0 for bound in bounds)
    if not counted or not bounds[0].literal:
        refuse("substr() counts from the end, or by a value, in a way PostgreSQL does not")
    return call("substr", "text", [written(whole), *bounds])


def _cast(translator: Translator, node: exp.Expression) -> Term:
    term, wanted = translator.term(node.this), node.args["to"].this.name
    if wanted == "TEXT":
        # A column stays one under CAST: its collation goes before that of what it is compared with.
        return replace(written(term), collation=term.collation)
    if wanted in {"INT", "BIGINT"} and number(term).kind == "integer":
        return number(term)
    if wanted not in {"DOUBLE", "FLOAT"} or number(term).kind not in {"integer", "float"}:
        refuse(f"{spelled(node)} reads numbers in a way PostgreSQL does not")
    return Term(sql.SQL("CAST({} AS double precision)").format(number(term).code), "float")


def _json_value(translator: Translator, node: exp.Expression) -> Term:
    term = translator.term(node.this)
    path = node.args.get("expression")
    parts = path.expressions if path is not None and path.key == "jsonpath" else []
    names = [str(part.this) for part in parts[1:] if part.key in {"jsonpathkey", "jsonpathsubscript"}]
    if term.kind != "json" or not names or len(names) + 1 != len(parts) or translator.scope.exact:
        refuse(
            "it takes a value out of JSON, whose type PostgreSQL cannot know",
            "add it by hand with -> or ->> and the cast it needs",
        )
    listed = sql.SQL(", ").join(literal(name) for name in names)
    return Term(sql.SQL("{} #>> ARRAY[{}]").format(term.inner, listed), "text", operator="#>>")


def _day(translator: Translator, node: exp.Expression) -> Term:
    term = translator.term(node.this)
    if term.kind == "date":
        return term
    if term.kind != "time" or term.column is None or term.column.format != "iso":
        raise unknown(node)
    return Term(sql.SQL("CAST({} AS date)").format(in_utc(term.inner, term.column.type_sql)), "date")


HANDLERS = {
    "length": Handler(_length),
    "lower": Handler(_case_changed),
    "upper": Handler(_case_changed),
    "abs": Handler(_absolute),
    "trim": Handler(_trimmed, "this expression position"),
    "strposition": Handler(_position, "this substr"),
    "replace": Handler(_replacement, "this expression replacement"),
    "substring": Handler(_part, "this start length"),
    "cast": Handler(_cast, "this to"),
    "jsonextract": Handler(_json_value, "this expression"),
    "jsonextractscalar": Handler(_json_value, "this expression"),
    "date": Handler(_day),
}

"""What `check` says about values: what cannot arrive, by column and reason, with the line that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from cdcsync.core.ddl import alter
from cdcsync.core.mapping_file import column_rule, short
from cdcsync.core.mending import mending, told_anew
from cdcsync.core.quoting import sqlite_name
from cdcsync.core.refusals import MEANINGS, SAMPLES
from cdcsync.core.toml_text import table_rule
from cdcsync.core.types import parse
from cdcsync.edges.raw_rows import rowids_of_null_keys
from cdcsync.edges.source import Source
from cdcsync.edges.statements import sqlite_statement
from cdcsync.machine.scan import ColumnValues, Values
from cdcsync.words.nouns import Finding, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

_Mend = Callable[[TablePlan, ColumnValues, str, ColumnMapping], str | None]

MOST_BYTES = 2**30 - 8
"""PostgreSQL's largest value, its header left out."""


def value_findings(
    source: Source, plan: TablePlan, values: Values, settings: Settings, *, in_place: bool
) -> list[Finding]:
    """Return what the scan of a table found in its columns. Of a table `in_place` no mapping changes the types."""
    mend = partial(_mended_in_place, settings.target_schema) if in_place else _mended
    mapped = settings.table(plan.name).columns
    found: list[Finding] = []
    for column in values.columns:
        told = mapped.get(column.column.source, ColumnMapping())
        found += _refused(source, plan, column, told, mend)
        found += _naive(plan, column, told)
        if column.facts.longest > MOST_BYTES:
            message = f"the longest value of {_place(plan, column)} has {column.facts.longest:,} bytes or characters: "
            message += "PostgreSQL holds 1 GB"
            found.append(
                Finding("warning", "too_large", message, "split the values", plan.name, column.column.source, 1)
            )
    return found


def _place(plan: TablePlan, column: ColumnValues) -> str:
    return f"{plan.name}.{column.column.source}"


def _refused(
    source: Source, plan: TablePlan, column: ColumnValues, told: ColumnMapping, mend: _Mend
) -> Iterator[Finding]:
    for code, refused in column.refused.items():
        message = (
            f"{_counted(refused.count)} of {_place(plan, column)} cannot arrive as {short(column.column.type_sql)}: "
            f"{MEANINGS[code]}"
        )
        if not code.startswith("null"):
            message += f", for example {refused.example}"
        if code == "wrong_class":
            classes = ", ".join(f"{count:,} {name}" for name, count in column.facts.classes.most_common())
            message += f"; the column holds {classes}"
        rowids = rowids_of_null_keys(source, plan, SAMPLES) if code == "null_key" else []
        keys = tuple(f"rowid {rowid}" for rowid in rowids) or tuple(refused.keys)
        yield Finding(
            "warning",
            code,
            message,
            mend(plan, column, code, told) or _without_mapping(plan, column, code),
            plan.name,
            column.column.source,
            refused.count,
            keys,
        )


def _counted(count: int) -> str:
    return "1 value" if count == 1 else f"{count:,} values"


def _mended(plan: TablePlan, column: ColumnValues, code: str, told: ColumnMapping) -> str | None:
    values = mending(column.column, code, column.facts, key=column.is_key)
    return None if values is None else _line(plan, column, told_anew(told, values))


def _mended_in_place(schema: str, plan: TablePlan, column: ColumnValues, code: str, told: ColumnMapping) -> str | None:
    values = mending(column.column, code, column.facts, key=column.is_key)
    if values is None or code == "key_spelling":
        return None
    there = column.column.type_sql
    if "not_null" in values:
        return f"{alter.relax(schema, plan, column.column.target)}; in PostgreSQL, or change the values"
    if "format" not in values and str(parse(str(values.get("type", there)))) != there:
        statement = alter.retype(schema, plan, column.column.target, str(values["type"]))
        return f"{statement}; in PostgreSQL, or change the values"
    return _line(plan, column, told_anew(told, {**values, "type": short(there)} if "type" in values else values))


def _line(plan: TablePlan, column: ColumnValues, told: ColumnMapping) -> str:
    return column_rule(plan.name, column.column.source, column.column.type_sql, told)


def _without_mapping(plan: TablePlan, column: ColumnValues, code: str) -> str:
    advice = {"null_key": "delete_null_keys"}
    if not column.column.not_null:
        advice["empty_text"] = "empty_to_null"
    if code in advice:
        names = {"table": sqlite_name(plan.name), "column": sqlite_name(column.column.source)}
        return sqlite_statement("advice.sql", advice[code]).substitute(names)
    return f"change the values, or leave the table out: {table_rule(plan.name, skip=True)}"


def _naive(plan: TablePlan, column: ColumnValues, told: ColumnMapping) -> Iterator[Finding]:
    """Times without an offset are read as UTC; a person has to say that they are."""
    count = column.spellings["none"] + column.spellings["date only"]
    if not count or column.column.naive is not None:
        return
    verb = "names" if count == 1 else "name"
    message = (
        f"{_counted(count)} of {_place(plan, column)} {verb} no offset and {'is' if count == 1 else 'are'} read as UTC"
    )
    fix = _line(plan, column, told_anew(told, {"naive": "utc"}))
    yield Finding("warning", "naive_time", message, fix, plan.name, column.column.source, count)

"""What a changed source table asks of the table it is copied to."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from cdcsync.words.nouns import ColumnPlan, TablePlan


@dataclass(frozen=True, slots=True)
class Evolution:
    """The difference between a plan as it was written down and as it is now.

    `removed` are target columns the source has no column for any more; `retyped` pairs a column with the type it had;
    `reconverted`: the settings convert values otherwise than before; `remapped`: they give other names;
    `only_appended`: the columns there were stand in their places, so that none has taken another's name.
    """

    added: tuple[ColumnPlan, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[tuple[ColumnPlan, str], ...] = ()
    relaxed: tuple[ColumnPlan, ...] = ()
    tightened: tuple[ColumnPlan, ...] = ()
    key_changed: bool = False
    reconverted: bool = False
    remapped: bool = False
    only_appended: bool = True


def written(plan: TablePlan, before: str | None = None) -> str:
    """Return a plan as it is written down at install, to be compared with a later one.

    What was written `before` adds the names of columns the table once had.
    """
    columns = [(c.source, c.target, c.type_sql, c.not_null, _conversion(c)) for c in plan.columns]
    key = [(column.name, column.collation) for column in plan.key]
    former = sorted(known_columns(before)) if before is not None else []
    return json.dumps({"target": plan.target, "key": key, "columns": columns, "former": former})


def _conversion(column: ColumnPlan) -> list[str | None]:
    """Return what decides, beside the type, what becomes of a value."""
    return [column.format, column.naive, column.on_nul, column.on_bad_utf8, column.on_finer]


def with_known_types(plan: TablePlan, before: str, untyped: Collection[str]) -> TablePlan:
    """Return a plan whose `untyped` columns keep the types that were found for them when it was written down."""
    known = {source: type_sql for source, _, type_sql, *_ in json.loads(before)["columns"] if source in untyped}
    columns = (replace(column, type_sql=known.get(column.source, column.type_sql)) for column in plan.columns)
    return replace(plan, columns=tuple(columns))


def with_known_names(plan: TablePlan, before: str) -> TablePlan:
    """Return a plan with the target's names as they were written down, where those of the plan differ in case alone."""
    old = json.loads(before)
    known = {source: target for source, target, *_ in old["columns"]}

    def spelled(name: str, written_name: str) -> str:
        return written_name if written_name.lower() == name.lower() else name

    columns = (replace(c, target=spelled(c.target, known.get(c.source, c.target))) for c in plan.columns)
    return replace(plan, target=spelled(plan.target, old["target"]), columns=tuple(columns))


def known_columns(before: str) -> set[str]:
    """Return the names of all columns a table had since it was installed."""
    told = json.loads(before)
    return {source for source, *_ in told["columns"]} | set(told["former"])


def has_key(before: str) -> bool:
    """Tell whether a table, as it was written down, is captured by key."""
    return bool(json.loads(before)["key"])


def evolution(before: str, plan: TablePlan) -> Evolution:
    """Return what changed since `before` was `written`."""
    old: dict[str, Any] = json.loads(before)
    known = {source: rest for source, *rest in old["columns"]}
    both = [column for column in plan.columns if column.source in known]
    places = [column.source for column in plan.columns]
    present = {column.source for column in plan.columns}
    return Evolution(
        added=tuple(column for column in plan.columns if column.source not in known),
        removed=tuple(rest[0] for source, rest in known.items() if source not in present),
        retyped=tuple(
            (column, known[column.source][1]) for column in both if column.type_sql != known[column.source][1]
        ),
        relaxed=tuple(column for column in both if known[column.source][2] and not column.not_null),
        tightened=tuple(column for column in both if column.not_null and not known[column.source][2]),
        reconverted=any(known[column.source][3] != _conversion(column) for column in both),
        only_appended=places[: len(known)] == list(known),
        key_changed=old["key"] != [[column.name, column.collation] for column in plan.key],
        remapped=old["target"] != plan.target or any(known[c.source][0] != c.target for c in both),
    )

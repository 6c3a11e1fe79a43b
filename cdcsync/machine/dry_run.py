"""Dry run: read, convert and send every row into temporary tables, then roll everything back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg import sql

from cdcsync.edges.pages import all_rows
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.edges.writer import TableWriter
from cdcsync.machine.capturable import capture_findings
from cdcsync.machine.context import Context
from cdcsync.machine.existing import fitted_plans, moved_plans
from cdcsync.machine.refusals import explain, refused
from cdcsync.words.errors import BadValueError, RefusedError
from cdcsync.words.nouns import TablePlan

PAGE_ROWS = 1000


@dataclass(slots=True)
class DryRunReport:
    """Rows that would arrive, by table, and every row that would not."""

    rows: dict[str, int] = field(default_factory=dict)
    bad: list[BadValueError] = field(default_factory=list)


def dry_run(context: Context, tick: Callable[[str, int], None]) -> DryRunReport:
    """Try the copy of every table. Needs no installation and leaves nothing on either side."""
    report = DryRunReport()
    with context.open_source() as source, context.open_target() as target:
        _, plans = moved_plans(source, target, context.settings)
        for finding in itertools.chain.from_iterable(map(capture_findings, plans)):
            message = f"{finding.message}: {finding.fix}"
            raise RefusedError(message)
        for plan in fitted_plans(target, context.schema, plans):
            report.rows[plan.name] = 0
            _try_table(source, target, plan, report, tick)
    return report


def _try_table(
    source: Source, target: Target, plan: TablePlan, report: DryRunReport, tick: Callable[[str, int], None]
) -> None:
    # The temporary table takes the target's place under its name.
    writer = TableWriter(plan, "pg_temp")
    reader = RowReader(plan)
    target.control("BEGIN")
    try:
        target.execute("apply.sql", "dry_table", {"table": writer.names["table"], "definitions": _definitions(plan)})
        for rows in all_rows(source, reader, PAGE_ROWS, report.bad.append):
            bad = list(refused(target, rows, lambda part: writer.copy(target, [part])))
            report.bad.extend(explain(reader, row, error) for row, error in bad)
            report.rows[plan.name] += len(rows) - len(bad)
            tick(plan.name, len(rows))
    finally:
        target.rollback()


def _definitions(plan: TablePlan) -> sql.Composed:
    key = {column.target for column in plan.key_plans}
    columns: list[sql.Composable] = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.target),
            # A type's name, as core.types spells it: it cannot be quoted as a whole.
            sql.SQL(column.type_sql),
            sql.SQL(" NOT NULL" if column.not_null else ""),
        )
        for column in plan.columns
    ]
    if key:
        names = sql.SQL(", ").join(sql.Identifier(column.target) for column in plan.key_plans)
        columns.append(sql.SQL("PRIMARY KEY ({})").format(names))
    return sql.SQL(", ").join(columns)

"""Dry run: read, convert and send every row into temporary tables, then roll everything back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from cdcsync.core.ddl import target_ddl
from cdcsync.edges import control
from cdcsync.edges.catalog import TargetTable, find_table
from cdcsync.edges.pages import all_rows
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target, column_list, table_name
from cdcsync.edges.writer import TableWriter
from cdcsync.machine.check import no_table_findings, table_findings
from cdcsync.machine.context import Context
from cdcsync.machine.existing import fitted_plans, moved_plans
from cdcsync.machine.fit import misfits
from cdcsync.machine.refusals import explain, refused
from cdcsync.words.errors import BadValueError, RefusedError
from cdcsync.words.nouns import QuarantinedRow, SourceSchema, TablePlan, TargetStatement

PAGE_ROWS = 1000
TEMPORARY = "pg_temp"

MOST_KEPT = 10_000
"""Values that are kept to be named; of each table the first few come on top."""

FIRST = 20


@dataclass(slots=True)
class DryRunReport:
    """Rows that would arrive, by table, rows and values that would not, and the first of these values."""

    rows: dict[str, int] = field(default_factory=dict)
    failing_rows: Counter[str] = field(default_factory=Counter)
    failing_values: Counter[str] = field(default_factory=Counter)
    kept: list[BadValueError] = field(default_factory=list)

    def note(self, bad: BadValueError, rows: int = 1) -> None:
        """Take in a row that would not arrive; more than one where they share a key, which is NULL."""
        self.failing_rows[bad.table] += rows
        for value in (bad, *bad.others):
            self.failing_values[bad.table] += 1
            if len(self.kept) < MOST_KEPT or self.failing_values[bad.table] <= FIRST:
                self.kept.append(value)


def dry_run(context: Context, tick: Callable[[str, int], None]) -> DryRunReport:
    """Try the copy of every table. Needs no installation and leaves nothing on either side.

    Raises RefusedError for a table that cannot be captured, or that PostgreSQL refuses to create.
    """
    report = DryRunReport()
    with context.open_source() as source, context.open_target() as target:
        schema, moved = moved_plans(source, target, context.settings)
        _refuse(target, context.schema, schema, moved)
        plans = fitted_plans(target, context.schema, moved)
        statements, _ = target_ddl(schema, plans, TEMPORARY)
        for plan in plans:
            report.rows[plan.name] = 0
            target.control("BEGIN")
            try:
                _make(target, context.schema, plan, [one for one in statements if one.table == plan.name])
                _try_rows(source, target, plan, report, tick)
            finally:
                target.rollback()
    return report


def _refuse(target: Target, target_schema: str, schema: SourceSchema, plans: Sequence[TablePlan]) -> None:
    """Raise for what `install` would refuse as well. Tables found in place need not be empty yet."""
    refused = no_table_findings(schema, plans)
    for plan in plans:
        found = find_table(target, target_schema, plan.target)
        refused += table_findings(plan, plans)
        refused += [] if found is None else misfits(target, target_schema, plan, found)
    blocking = [f"{one.message} ({one.fix})" for one in refused if one.severity == "blocking"]
    if blocking:
        raise RefusedError("; ".join(blocking))


def _make(target: Target, schema: str, plan: TablePlan, statements: Sequence[TargetStatement]) -> None:
    """Make a temporary table under the target's name, with what rows have to satisfy there when they are copied."""
    found = find_table(target, schema, plan.target)
    if found is not None:
        _make_like(target, schema, plan, found)
        return
    for statement in statements:
        if statement.phase in {"table", "check"}:
            refusal = control.run_ddl(target, statement.sql)
            # A check that PostgreSQL refuses is not carried, and stops nothing.
            if refusal is not None and statement.phase == "table":
                message = f"PostgreSQL refuses to create {statement.name}: {refusal}"
                raise RefusedError(message)


def _make_like(target: Target, schema: str, plan: TablePlan, found: TargetTable) -> None:
    names: dict[str, sql.Composable] = {
        "table": table_name(TEMPORARY, plan.target),
        "target": table_name(schema, plan.target),
        "key": column_list([column.target for column in plan.key_plans]),
    }
    target.execute("apply.sql", "dry_table", names)
    if plan.key:
        target.execute("apply.sql", "dry_key", names)
    filled = {column.target for column in plan.columns}
    for column in found.columns:
        # Their defaults fill them in the target; here one could take numbers from its sequences.
        if column.name not in filled and column.not_null and not column.generated:
            target.execute("apply.sql", "dry_loose", {**names, "column": sql.Identifier(column.name)})


def _try_rows(
    source: Source, target: Target, plan: TablePlan, report: DryRunReport, tick: Callable[[str, int], None]
) -> None:
    writer, reader = TableWriter(plan, TEMPORARY), RowReader(plan)
    for rows in all_rows(source, reader, PAGE_ROWS, report.note):
        bad = list(refused(target, rows, lambda part: writer.copy(target, [part])))
        for row, error in bad:
            report.note(explain(reader, row, error))
        report.rows[plan.name] += len(rows) - len(bad)
        tick(plan.name, len(rows))
    with source.reading() as connection:
        for key, count in reader.keys.with_null(connection):
            report.note(_without_key(plan, reader.keys.null_rows(key, count)), count)


def _without_key(plan: TablePlan, found: QuarantinedRow) -> BadValueError:
    return BadValueError(plan.name, found.shown_key, found.column, found.reason, found.value)

"""Preflight: what stands in the way, what would go wrong later, and the rule that mends each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence

from cdcsync.core.codecs import has_rule
from cdcsync.edges import control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.pages import all_rows
from cdcsync.edges.rows import RowReader
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.machine.capturable import capture_findings, migration_findings, mismatch_findings, taken_names
from cdcsync.machine.context import Context, Installation, proposed_plans
from cdcsync.machine.fit import misfits
from cdcsync.machine.type_names import type_findings
from cdcsync.words.errors import BadValueError
from cdcsync.words.nouns import Finding, SourceSchema, TablePlan

SERVERS = range(14, 19)
"""Major versions of PostgreSQL cdcsync is made for."""

NAME_BYTES = 63
MOST_COLUMNS = 1600
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}
SAMPLE_KEYS = 5
SCAN_ROWS = 1000

Tick = Callable[[str, int], None]


def check(context: Context, tick: Tick) -> list[Finding]:
    """Return all findings, blocking ones first. Changes nothing on either side."""
    with context.open_source() as source, context.open_target() as target:
        schema, plans = proposed_plans(source, context.settings)
        findings = structural_findings(context, source, target, schema, plans)
        blocked = {finding.table for finding in findings if finding.severity == "blocking"}
        for plan in plans:
            if plan.name not in blocked:
                findings += _values(source, plan, tick)
    order = {"blocking": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def structural_findings(
    context: Context, source: Source, target: Target, schema: SourceSchema, plans: Sequence[TablePlan]
) -> list[Finding]:
    """Return what can be said without looking at values; `install` refuses for the blocking ones."""
    findings = [*_source_findings(source, schema, plans), *_server_findings(target, context.schema)]
    if any(finding.severity == "blocking" for finding in findings):
        return findings
    # Tables we fill ourselves are not in our own way.
    filled = source.is_installed() and control.is_registered(target, Installation(source).source_id)
    for plan in plans:
        findings += [*_name_findings(plan, plans), *type_findings(target, plan)]
        if not filled:
            findings += _misfits(target, context.schema, plan)
    return findings


def new_table_findings(target: Target, schema: str, plan: TablePlan, plans: Sequence[TablePlan]) -> list[Finding]:
    """Return what stands in the way of a table that is to be captured beside those that are."""
    return [*table_findings(plan, plans), *_misfits(target, schema, plan)]


def table_findings(plan: TablePlan, plans: Sequence[TablePlan]) -> list[Finding]:
    """Return what can be said of a table by its plan alone: whether it can be captured, and its names."""
    return [*capture_findings(plan), *_name_findings(plan, plans)]


def _misfits(target: Target, schema: str, plan: TablePlan) -> list[Finding]:
    found = find_table(target, schema, plan.target)
    return [] if found is None else misfits(target, schema, plan, found)


def _source_findings(source: Source, schema: SourceSchema, plans: Sequence[TablePlan]) -> list[Finding]:
    findings = []
    if not plans:
        findings.append(Finding("blocking", "no_tables", "there is no table to move", "see [tables.*] skip"))
    if source.journal_mode() != "wal":
        message = "the source is not in WAL mode: the application's commits wait for each read of the daemon"
        findings.append(Finding("warning", "no_wal", message, "PRAGMA journal_mode = wal, once, on the source"))
    owner = source.path.stat().st_uid
    if owner != os.geteuid():
        message = f"the source belongs to user id {owner}, this process runs as {os.geteuid()}: -wal and -shm files "
        message += "it creates may be closed to the application"
        findings.append(Finding("warning", "other_user", message, "run every cdcsync command as the file's owner"))
    findings += taken_names(schema)
    for name, reason in schema.not_migrated:
        findings.append(Finding("info", "not_migrated", f"{name} is not migrated: {reason}", table=name))
    for plan in plans:
        findings += [*capture_findings(plan), *migration_findings(plan), *mismatch_findings(schema, plan)]
        if not plan.key:
            message = (
                f"table {plan.name} has no key: it is copied whole, in one transaction, by the snapshot, "
                "by run --once and by drain"
            )
            findings.append(Finding("info", "no_key", message, "give it a primary key", plan.name))
        for column in plan.key:
            condition = _null_keys(source, plan, column.name)
            if condition is not None:
                findings.append(condition)
    return findings


def _null_keys(source: Source, plan: TablePlan, column: str) -> Finding | None:
    try:
        with source.reading() as connection:
            RowReader(plan).refuse_null_keys(connection)
    except BadValueError as error:
        if error.column == column:
            fix = f"delete these rows or fill {column} in"
            return Finding("warning", "null_key", str(error), fix, plan.name, column)
    return None


def _server_findings(target: Target, schema: str) -> list[Finding]:
    findings = []
    version, encoding, standby = target.ask("session.sql", "server")
    if version // 10000 not in SERVERS:
        message = f"the target is PostgreSQL {version // 10000}; versions {SERVERS[0]} to {SERVERS[-1]} are supported"
        findings.append(Finding("blocking", "version", message, "use a supported version"))
    if encoding != "UTF8":
        message = f"the target database is encoded in {encoding}"
        findings.append(Finding("blocking", "encoding", message, "create the database with ENCODING 'UTF8'"))
    if standby:
        findings.append(Finding("blocking", "standby", "the target is a standby", "name the primary with --target"))
    control_possible, schema_exists, tables_possible, role, database = control.privileges(target, schema)
    if not control_possible:
        message = f"role {role} may not create the schema cdcsync in database {database}"
        findings.append(Finding("blocking", "no_create", message, f'GRANT CREATE ON DATABASE "{database}" TO "{role}"'))
    if not schema_exists:
        message = f"the target has no schema {schema}"
        findings.append(Finding("blocking", "no_schema", message, f'CREATE SCHEMA "{schema}", or another --schema'))
    elif not tables_possible:
        message = f"role {role} may not create tables in schema {schema}"
        fix = f'GRANT CREATE, USAGE ON SCHEMA "{schema}" TO "{role}"'
        findings.append(Finding("blocking", "no_create_table", message, fix))
    return findings


def _name_findings(plan: TablePlan, plans: Sequence[TablePlan]) -> list[Finding]:
    findings = []
    rule = f"[tables.{plan.name}] target = ..."
    if [other.target for other in plans].count(plan.target) > 1:
        message = f"two tables would become {plan.target}"
        findings.append(Finding("blocking", "same_target", message, rule, plan.name))
    if len(plan.columns) > MOST_COLUMNS:
        message = f"table {plan.name} has {len(plan.columns)} columns, PostgreSQL allows {MOST_COLUMNS}"
        findings.append(Finding("blocking", "too_wide", message, "skip = true for some", plan.name))
    for name in (plan.target, *(column.target for column in plan.columns)):
        if name.lower().startswith("_cdcsync_"):
            message = f"the name {name} begins like cdcsync's own"
            fix = rule if name == plan.target else f"target = ... under [tables.{plan.name}.columns]"
            findings.append(Finding("blocking", "our_name", message, fix, plan.name))
        if name in SYSTEM_COLUMNS and name != plan.target:
            message = f"every table of PostgreSQL has a system column {name}"
            findings.append(
                Finding("blocking", "system_column", message, "target = ... under columns", plan.name, name)
            )
        if len(name.encode()) > NAME_BYTES:
            message = f"the name {name[:40]}... has more than {NAME_BYTES} bytes, PostgreSQL would cut it"
            findings.append(Finding("blocking", "long_name", message, rule, plan.name))
    for column in plan.columns:
        if not has_rule(column.type_sql):
            message = f"there is no rule for {plan.name}.{column.source} as {column.type_sql}"
            findings.append(Finding("blocking", "no_rule", message, 'type = "text"', plan.name, column.source))
    twice = [name for name, count in Counter(column.target for column in plan.columns).items() if count > 1]
    for name in twice:
        message = f"two columns of {plan.name} would become {name}"
        findings.append(Finding("blocking", "same_column", message, "target = ... under columns", plan.name, name))
    return findings


def _values(source: Source, plan: TablePlan, tick: Tick) -> list[Finding]:
    """Read every row and convert it: what conversion refuses would stop the daemon."""
    found: dict[tuple[str, str], list[str]] = {}
    counts: Counter[tuple[str, str]] = Counter()

    def note(error: BadValueError) -> None:
        # The reason without the value: one finding for one kind of trouble.
        kind = (error.column, error.reason.partition("' ")[2] or error.reason)
        counts[kind] += 1
        keys = found.setdefault(kind, [])
        if len(keys) < SAMPLE_KEYS:
            keys.append(error.key)

    for rows in all_rows(source, RowReader(plan), SCAN_ROWS, note):
        tick(plan.name, len(rows))
    return [
        Finding(
            "warning",
            "value_refused",
            f"{counts[kind]} values of {plan.name}.{kind[0]} cannot arrive: {kind[1]}",
            f"change the values, or the type of {kind[0]} under [tables.{plan.name}.columns]",
            plan.name,
            kind[0],
            counts[kind],
            tuple(keys),
        )
        for kind, keys in found.items()
    ]

"""Preflight: what stands in the way, what would go wrong later, and the rule that mends each."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence

from cdcsync.core.codecs import has_rule
from cdcsync.core.listing import listed
from cdcsync.core.mapping_file import column_rule
from cdcsync.core.target_names import NAME_BYTES, SYSTEM_COLUMNS
from cdcsync.core.toml_text import columns_section, table_rule
from cdcsync.edges import control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.machine.capturable import capture_findings, migration_findings, mismatch_findings, taken_names
from cdcsync.machine.context import Context, Installation
from cdcsync.machine.existing import existing_findings, fitted_plans, moved_plans, rows_in_the_way
from cdcsync.machine.findings_carried import carried_findings, not_migrated_findings
from cdcsync.machine.findings_relations import Orphans, relation_findings
from cdcsync.machine.findings_room import room_findings
from cdcsync.machine.findings_sizes import KeySizes, RowSizes
from cdcsync.machine.findings_twins import Spellings, twin_findings
from cdcsync.machine.findings_types import odd_type_findings
from cdcsync.machine.findings_values import value_findings
from cdcsync.machine.fit import misfits
from cdcsync.machine.scan import Tick, Values, scan
from cdcsync.machine.type_names import type_findings
from cdcsync.words.nouns import Finding, SourceSchema, TablePlan
from cdcsync.words.settings import ColumnMapping, Settings

SERVERS = range(14, 19)
"""Major versions of PostgreSQL cdcsync is made for."""

MOST_COLUMNS = 1600


def check(context: Context, tick: Tick) -> list[Finding]:
    """Return all findings, blocking ones first. Changes nothing on either side."""
    with context.open_source() as source, context.open_target() as target:
        schema, plans = moved_plans(source, target, context.settings)
        findings = structural_findings(context, source, target, schema, plans)
        findings += room_findings(source, target, context.settings)
        findings += _waits(context.settings)
        blocked = {finding.table for finding in findings if finding.severity == "blocking"}
        fitted = fitted_plans(target, context.schema, plans)
        in_place = {plan.name for plan in plans if find_table(target, context.schema, plan.target) is not None}
        findings += carried_findings(schema, fitted, context.schema, in_place)
        for plan in fitted:
            findings += relation_findings(plan, fitted, context.settings)
            findings += odd_type_findings(plan, context.settings)
            if plan.name not in blocked:
                findings += _scanned(source, schema, plan, context.settings, tick, in_place=plan.name in in_place)
    order = {"blocking": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _scanned(
    source: Source, schema: SourceSchema, plan: TablePlan, settings: Settings, tick: Tick, *, in_place: bool
) -> list[Finding]:
    """Read every row of a table once, and again only where rows could become one."""
    values, rows, keys = Values(plan), RowSizes(plan), KeySizes(plan, settings.target_schema)
    orphans, spellings = Orphans(source, schema, plan), Spellings(plan)
    scan(source, plan, [values, rows, keys, orphans, spellings], tick)
    return [
        *value_findings(source, plan, values, settings, in_place=in_place),
        *rows.findings(),
        *keys.findings(),
        *orphans.findings(),
        *twin_findings(source, plan, spellings.mixed(), settings, tick),
    ]


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
    return findings if filled else findings + existing_findings(target, context.settings, schema, plans)


def new_table_findings(target: Target, schema: str, plan: TablePlan, plans: Sequence[TablePlan]) -> list[Finding]:
    """Return what stands in the way of a table that is to be captured beside those that are."""
    found = find_table(target, schema, plan.target)
    in_place = [] if found is None else misfits(target, schema, plan, found) or rows_in_the_way(target, schema, [plan])
    return [*table_findings(plan, plans), *in_place]


def table_findings(plan: TablePlan, plans: Sequence[TablePlan]) -> list[Finding]:
    """Return what can be said of a table by its plan alone: whether it can be captured, and its names."""
    return [*capture_findings(plan), *_name_findings(plan, plans)]


def no_table_findings(schema: SourceSchema, plans: Sequence[TablePlan]) -> list[Finding]:
    """Say so where nothing is to be moved: most often the file is not the application's, or it never ran."""
    fix = "name the file the application has made its tables in (source = ...)"
    if schema.tables:
        fix = f"take skip = true off one of {listed([table.name for table in schema.tables])}"
    return [] if plans else [Finding("blocking", "no_tables", "there is no table to move", fix)]


def _source_findings(source: Source, schema: SourceSchema, plans: Sequence[TablePlan]) -> list[Finding]:
    findings = no_table_findings(schema, plans)
    if source.journal_mode() != "wal":
        message = "the source is not in WAL mode: the application's commits wait for each read of the daemon"
        findings.append(Finding("warning", "no_wal", message, _to_wal(source)))
    owner = source.path.stat().st_uid
    if owner != os.geteuid():
        message = f"the source belongs to user id {owner}, this process runs as {os.geteuid()}: -wal and -shm files "
        message += "it creates may be closed to the application"
        findings.append(Finding("warning", "other_user", message, "run every cdcsync command as the file's owner"))
    findings += taken_names(schema)
    findings += [*not_migrated_findings(schema), *migration_findings(plans)]
    for plan in plans:
        findings += [*capture_findings(plan), *mismatch_findings(schema, plan)]
        if not plan.key:
            message = (
                f"table {plan.name} has no key: it is copied whole, in one transaction, by the snapshot, "
                "by run --once and by drain"
            )
            findings.append(Finding("info", "no_key", message, _key_to_have(plan), plan.name))
    return findings


def _key_to_have(plan: TablePlan) -> str:
    """Unique columns that may hold NULL are no key by themselves; most often they hold none."""
    for index in plan.table.indexes:
        names = [column.name for column in index.columns if column.name is not None]
        if index.unique and not index.partial and len(names) == len(index.columns):
            return f"{table_rule(plan.name, key=names)}, if no row has NULL there, or give it a primary key"
    return "give it a primary key"


def _to_wal(source: Source) -> str:
    """Return the command that switches the file, whatever its name; it stays switched."""
    program = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA journal_mode = wal")'
    return shlex.join(["python3", "-c", program, str(source.path)])


def _waits(settings: Settings) -> list[Finding]:
    """Say which statements of the application's fail while another connection writes; ours does so at install."""
    message = (
        "at install, after drift and in the write pause another connection writes: transactions that read first and "
        "write later get SQLITE_BUSY at once, others wait up to the application's busy timeout (app_busy_timeout = "
        f"{settings.app_busy_timeout:g})"
    )
    fix = "let the application retry SQLITE_BUSY, or begin such transactions with BEGIN IMMEDIATE"
    return [Finding("info" if settings.app_busy_timeout else "warning", "busy", message, fix)]


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
    rule, columns = table_rule(plan.name, target="another name"), columns_section(plan.name)
    if [other.target for other in plans].count(plan.target) > 1:
        message = f"two tables would become {plan.target}"
        findings.append(Finding("blocking", "same_target", message, rule, plan.name))
    if len(plan.columns) > MOST_COLUMNS:
        message = f"table {plan.name} has {len(plan.columns)} columns, PostgreSQL allows {MOST_COLUMNS}"
        findings.append(Finding("blocking", "too_wide", message, f"skip = true for some under {columns}", plan.name))
    for name in (plan.target, *(column.target for column in plan.columns)):
        if name.lower().startswith("_cdcsync_"):
            message = f"the name {name} begins like cdcsync's own"
            fix = rule if name == plan.target else f"target = ... under {columns}"
            findings.append(Finding("blocking", "our_name", message, fix, plan.name))
        if name in SYSTEM_COLUMNS and name != plan.target:
            message = f"every table of PostgreSQL has a system column {name}"
            findings.append(
                Finding(
                    "blocking",
                    "system_column",
                    message,
                    f"target = ... under {columns}",
                    plan.name,
                    name,
                )
            )
        if len(name.encode()) > NAME_BYTES:
            message = f"the name {name[:40]}... has more than {NAME_BYTES} bytes, PostgreSQL would cut it"
            findings.append(Finding("blocking", "long_name", message, rule, plan.name))
    for column in plan.columns:
        if not has_rule(column.type_sql):
            message = f"there is no rule for {plan.name}.{column.source} as {column.type_sql}"
            findings.append(
                Finding(
                    "blocking",
                    "no_rule",
                    message,
                    column_rule(plan.name, column.source, "text", ColumnMapping()),
                    plan.name,
                    column.source,
                )
            )
    twice = [name for name, count in Counter(column.target for column in plan.columns).items() if count > 1]
    for name in twice:
        message = f"two columns of {plan.name} would become {name}"
        findings.append(Finding("blocking", "same_column", message, f"target = ... under {columns}", plan.name, name))
    return findings

"""Whether tables can be captured, and what our triggers would change for the application."""

from __future__ import annotations

from collections.abc import Sequence

from cdcsync.core.collations import is_built_in
from cdcsync.core.listing import listed
from cdcsync.core.toml_text import table_rule
from cdcsync.edges.collisions import uncapturable
from cdcsync.words.nouns import Finding, SourceSchema, Table, TablePlan

OUR_NAMES = {"_cdcsync_log", "_cdcsync_meta", "_cdcsync_tables", "_cdcsync_last"}


def capture_findings(plan: TablePlan) -> list[Finding]:
    """Refuse what the triggers could miss, or the daemon could not read."""
    findings = []
    skip = table_rule(plan.name, skip=True)
    for what, reason in uncapturable(plan.table, plan.key):
        message = f"{what} of {plan.name} cannot be captured: {reason}"
        findings.append(Finding("blocking", "uncapturable", message, f"drop it, or {skip}", plan.name))
    part = next((part for part in plan.key if not is_built_in(part.collation)), None)
    if part is not None:
        message = f"the key of {plan.name} uses the collation {part.collation}, which only the application knows"
        findings.append(Finding("blocking", "collation", message, skip, plan.name, part.name))
    return findings


def taken_names(schema: SourceSchema) -> list[Finding]:
    """Name tables of the application's that SQLite cannot tell from ours: it compares names without case."""
    names = (*(table.name for table in schema.tables), *(name for name, _ in schema.not_migrated))
    return [
        Finding("blocking", "our_name", f"SQLite takes {name} for one of cdcsync's own", "rename it", name)
        for name in names
        if name.lower() in OUR_NAMES
    ]


def mismatch_findings(schema: SourceSchema, plan: TablePlan) -> list[Finding]:
    """Name foreign keys SQLite calls a mismatch: with our triggers on the parent it does so at every INSERT there."""
    findings = []
    tables = {table.name.lower(): table for table in schema.tables}
    for key in plan.table.foreign_keys:
        parent = tables.get(key.parent.lower())
        wanted = {name.lower() for name in key.parent_columns}
        if parent is None or wanted in unique_sets(parent):
            continue
        message = (
            f"{plan.name} refers to {parent.name} ({', '.join(key.parent_columns)}), which nothing keeps unique: with "
            f"foreign_keys on, SQLite refuses every INSERT into {parent.name} while it has triggers that write"
        )
        fix = f"CREATE UNIQUE INDEX on {parent.name} ({', '.join(key.parent_columns)}), or drop the foreign key"
        findings.append(Finding("warning", "foreign_key_mismatch", message, fix, plan.name))
    return findings


def unique_sets(table: Table) -> list[set[str]]:
    """Return the sets of columns, in lower case, that are unique together in all rows."""
    declared = [{column.name.lower() for column in table.columns if column.primary_key}]
    indexes = (index for index in table.indexes if index.unique and not index.partial)
    return [*declared, *({(column.name or "").lower() for column in index.columns} for index in indexes)]


def migration_findings(plans: Sequence[TablePlan]) -> list[Finding]:
    """Say which columns a migration cannot drop in one transaction with their index, while our triggers name them."""
    named = []
    for plan in plans:
        own = [index for index in plan.table.indexes if index.unique and index.origin == "c"]
        columns = sorted({column.name for index in own for column in index.columns if column.name is not None})
        named += [f"{plan.name} ({', '.join(columns)})"] if columns else []
    if not named:
        return []
    message = (
        "while installed, a migration that drops a unique index and then a column of it in the same transaction "
        f"fails, and is rolled back: {listed(named)}"
    )
    fix = "drop the index first and the column some seconds later, with the daemon running"
    return [Finding("info", "drop_column", message, fix)]

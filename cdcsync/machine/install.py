"""Install and uninstall: the one moment at which both sides change together."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cdcsync.core.ddl import target_ddl
from cdcsync.edges import capture, control
from cdcsync.edges.catalog import attach_statement, detach, drop_index, find_table
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.edges.triggers import Captured
from cdcsync.machine.check import structural_findings
from cdcsync.machine.context import Context, Installation, anchor_at, proposed_plans
from cdcsync.machine.fit import detachable, detachable_indexes
from cdcsync.words.errors import RefusedError, TargetError
from cdcsync.words.nouns import (
    NotCarried,
    Position,
    SourceSchema,
    TablePlan,
    TargetStatement,
)


@dataclass(slots=True)
class InstallReport:
    """What install did. `locked_seconds` is 0 where the source was installed already."""

    locked_seconds: float = 0.0
    tables: int = 0
    already: bool = False
    not_carried: list[NotCarried] = field(default_factory=list)


def captured(plans: Sequence[TablePlan]) -> list[Captured]:
    """Return what the trigger statements need of each plan."""
    return [(plan.number, plan.table, plan.key) for plan in plans]


def install(context: Context) -> InstallReport:
    """Install changelog, triggers, control schema, target tables and guard; a second time changes nothing.

    Raises RefusedError with everything that stands in the way; then both sides are as they were.
    """
    with context.open_source() as source, context.open_target() as target:
        installation = _existing(source)
        if installation is not None and control.is_registered(target, installation.source_id):
            return InstallReport(tables=len(installation.numbers), already=True)
        schema_version = source.schema_version()
        schema, plans = proposed_plans(source, context.settings)
        findings = structural_findings(context, source, target, schema, plans)
        if blocking := [finding for finding in findings if finding.severity == "blocking"]:
            raise RefusedError("; ".join(f"{finding.message} ({finding.fix})" for finding in blocking))
        report = InstallReport(tables=len(plans))
        if installation is not None:
            plans = _numbered_as(plans, installation)
        with target.transaction():
            built = _build_target(context, target, schema, plans, report)
            if installation is None:
                report.locked_seconds = capture.install(source.path, captured(plans), schema_version)
            # The source's half is committed and the target's is about to be. Killed in between, the source is
            # installed and the target knows nothing: the next install finds that and does the target's half.
            _register(context, target, source, plans, built)
        return report


def _existing(source: Source) -> Installation | None:
    """Return what is installed in the source. Raises RefusedError if it drifted."""
    if not source.is_installed():
        return None
    installation = Installation(source)
    if source.schema_hash() != installation.schema_hash:
        message = (
            "the schema or the triggers of the source changed since it was installed: run cdcsync uninstall --target, "
            "drop or empty the target tables, then cdcsync install"
        )
        raise RefusedError(message)
    return installation


def _numbered_as(plans: Sequence[TablePlan], installation: Installation) -> tuple[TablePlan, ...]:
    if {plan.name for plan in plans} != set(installation.numbers):
        message = "the source is installed with other tables than the settings name: run cdcsync uninstall first"
        raise RefusedError(message)
    return tuple(replace(plan, number=installation.numbers[plan.name]) for plan in plans)


def planned_statements(context: Context) -> dict[str, list[str]]:
    """Return what install would run on each side, source and target, and run nothing."""
    with context.open_source() as source:
        schema, plans = proposed_plans(source, context.settings)
    statements, _ = target_ddl(schema, plans, context.schema)
    return {
        "source": capture.statements(captured(plans)),
        "target": [statement.sql for statement in statements if statement.phase in {"table", "default", "check"}],
    }


@dataclass(slots=True)
class _Built:
    """What was done to the target before the source had an id."""

    created: dict[str, bool] = field(default_factory=dict)
    later: list[tuple[TargetStatement, bool]] = field(default_factory=list)


def _build_target(
    context: Context, target: Target, schema: SourceSchema, plans: Sequence[TablePlan], report: InstallReport
) -> _Built:
    control.create(target)
    built = _Built()
    statements, not_carried = target_ddl(schema, plans, context.schema)
    report.not_carried.extend(not_carried)
    for plan in plans:
        found = find_table(target, context.schema, plan.target)
        built.created[plan.name] = found is None
        if found is not None:
            for constraint in detachable(target, plan, found):
                built.later.append((attach_statement(constraint), True))
                detach(target, constraint)
            for index in detachable_indexes(target, plan, found):
                built.later.append((TargetStatement("unique", plan.name, index.name, index.definition), True))
                drop_index(target, index)
    for statement in statements:
        # A table found in place keeps its own schema: nothing of ours is added to it.
        if not built.created[statement.table]:
            continue
        if statement.phase not in {"table", "default", "check"}:
            built.later.append((statement, False))
            continue
        refused = control.run_ddl(target, statement.sql)
        if refused is not None and statement.phase == "table":
            message = f"PostgreSQL refused to create {context.schema}.{statement.name}: {refused}"
            raise RefusedError(message)
        if refused is not None:
            report.not_carried.append(
                NotCarried(statement.table, f"{statement.phase} {statement.name}", refused, statement.sql)
            )
    return built


def _register(context: Context, target: Target, source: Source, plans: Sequence[TablePlan], built: _Built) -> None:
    installation = Installation(source)
    source_id = installation.source_id
    position = Position(installation.epoch, 1, anchor_at(source, 1))
    name = f"{socket.gethostname()}:{source.path}"
    control.register(target, source_id, name, context.schema, position, guard=context.settings.guard)
    for plan in plans:
        control.register_table(target, source_id, plan, context.schema, created=built.created[plan.name])
        control.guard(target, source_id, plan.number, context.schema, plan.target)
    for place, (statement, detached) in enumerate(built.later):
        control.register_ddl(target, source_id, place, statement, detached=detached)


def uninstall(context: Context, *, drop_control: bool, source_only: bool) -> float:
    """Take guard and triggers off the target's tables, then everything of ours out of the source. User tables stay.

    Returns the seconds the source's write lock was held. Raises TargetError, and changes nothing, where the target
    is out of reach, unless `source_only` leaves it as it is: without the source's id nobody would find it again.
    """
    with context.open_source() as source:
        installation = Installation(source)
    if not source_only:
        try:
            _clean_target(context, installation, drop_control=drop_control)
        except TargetError as error:
            message = f"{error}; nothing was changed: --source-only frees the source and leaves the target guarded"
            raise TargetError(message) from None
    return capture.uninstall(context.settings.source_path)


def _clean_target(context: Context, installation: Installation, *, drop_control: bool) -> None:
    with context.open_target(installation.source_id) as target:
        if not control.is_registered(target, installation.source_id):
            return
        store = CheckpointStore(target, installation.source_id)
        if store.is_locked("daemon"):
            message = "a daemon is running on this source: stop it first (SIGTERM, or systemctl stop)"
            raise RefusedError(message)
        with target.transaction():
            for number, name in store.target_tables():
                if find_table(target, context.schema, name) is not None:
                    control.unguard(target, installation.source_id, number, context.schema, name)
            for pending in store.pending_ddl("unique", "foreign_key"):
                if pending.detached:
                    control.attach(target, pending.statement)
            control.forget(target, installation.source_id)
            if drop_control:
                control.drop(target)

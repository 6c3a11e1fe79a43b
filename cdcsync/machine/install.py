"""Install and uninstall: the one moment at which both sides change together."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from loguru import logger

from cdcsync.core.ddl import target_ddl
from cdcsync.core.plan import table_plans
from cdcsync.edges import capture, control
from cdcsync.edges.catalog import find_table
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.fence import fence_message
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target
from cdcsync.edges.triggers import Captured
from cdcsync.edges.write_lock import LockHeld
from cdcsync.machine.build import build_tables, register_tables
from cdcsync.machine.capturable import capture_findings
from cdcsync.machine.check import structural_findings
from cdcsync.machine.context import Context, Installation, anchor_at, proposed_plans
from cdcsync.machine.existing import moved_plans
from cdcsync.machine.locks import lock_tables
from cdcsync.words.errors import FencedError, RefusedError, TargetError
from cdcsync.words.nouns import Finding, NotCarried, PendingDdl, Position, TablePlan
from cdcsync.words.settings import Settings


@dataclass(slots=True)
class InstallReport:
    """What install did. `locked` is empty where the source was installed already.

    `again`: the target knew this source from an earlier file; its tables will be made equal to this one.
    """

    locked: LockHeld = field(default_factory=LockHeld)
    tables: int = 0
    already: bool = False
    again: bool = False
    not_carried: list[NotCarried] = field(default_factory=list)


def captured(plans: Sequence[TablePlan]) -> list[Captured]:
    """Return what the trigger statements need of each plan."""
    return [(plan.number, plan.table, plan.key) for plan in plans]


def install(context: Context) -> InstallReport:
    """Install changelog, triggers, control schema, target tables and guard; a second time changes nothing.

    Raises RefusedError with everything that stands in the way; then both sides are as they were.
    """
    with context.open_source() as source, context.open_target() as target:
        known = source.source_id() or _installed_here(context, source, target)
        if known is not None and control.is_registered(target, known):
            if source.is_installed():
                return InstallReport(tables=len(Installation(source).numbers), already=True)
            return _install_again(context, source, target, known)
        schema_version = source.schema_version()
        schema, plans = moved_plans(source, target, context.settings)
        _refuse_blocked(structural_findings(context, source, target, schema, plans))
        numbers = _captured_already(source)
        whole = numbers.keys() == {plan.name for plan in plans}
        plans = tuple(replace(plan, number=numbers[plan.name]) for plan in plans) if whole else plans
        report = InstallReport(tables=len(plans))
        with target.transaction():
            control.create(target)
            built = build_tables(target, context.schema, schema, plans, plans)
            report.not_carried = built.not_carried
            # Killed after this, the source is installed and the target knows nothing: the next install does its half.
            if not whole:
                report.locked = capture.install(source.path, captured(plans), schema_version, known)
            source_id, place = Installation(source).source_id, _place(source)
            control.register(target, source_id, place, context.schema, _head(source), guard=context.settings.guard)
            register_tables(target, source_id, context.schema, plans, built)
        return report


def _captured_already(source: Source) -> dict[str, int]:
    """Return the numbers of the captured tables by name; none where the source has to be installed (again)."""
    if not source.is_installed():
        return {}
    with source.reading():
        return {} if source.drift() else Installation(source).numbers


def _head(source: Source) -> Position:
    """Return the position of the changelog's last entry: every table is copied from there on."""
    with source.reading():
        head = int(source.ask("head"))
        return Position(Installation(source).epoch, head, anchor_at(source, head))


def _install_again(context: Context, source: Source, target: Target, source_id: str) -> InstallReport:
    """Give a file without a changelog that the target knows its triggers; it then counts as another history."""
    if CheckpointStore(target, source_id).read().state == "cut_over":
        message = (
            "this source was handed over to PostgreSQL: run cdcsync uninstall --target before you install it again"
        )
        raise RefusedError(message)
    registered = control.registered_tables(target, source_id)
    schema_version = source.schema_version()
    with source.reading() as connection:
        schema = read_schema(connection)
    plans = [
        replace(plan, number=registered[plan.name].number)
        for plan in table_plans(schema, context.settings, {}, control.known_names(target, source_id))
        if plan.name in registered
    ]
    _refuse_blocked(finding for plan in plans for finding in capture_findings(plan))
    held = capture.install(source.path, captured(plans), schema_version, source_id)
    return InstallReport(locked=held, tables=len(plans), again=True)


def _refuse_blocked(findings: Iterable[Finding]) -> None:
    if blocking := [finding for finding in findings if finding.severity == "blocking"]:
        raise RefusedError("; ".join(f"{finding.message} ({finding.fix})" for finding in blocking))


def _installed_here(context: Context, source: Source, target: Target) -> str | None:
    """Return the id the target knows this place by: the file may be an older one, or one that lost its changelog."""
    return control.registered_as(target, _place(source), context.schema) if control.exists(target) else None


def _place(source: Source) -> str:
    """Return the name people know a source by."""
    return f"{socket.gethostname()}:{source.path}"


def capture_statements(connection: sqlite3.Connection) -> list[str]:
    """Return every statement `install` would run on an open database, with the default mapping. Executes nothing."""
    plans = table_plans(read_schema(connection), Settings(), {})
    return capture.statements([(number, plan.table, plan.key) for number, plan in enumerate(plans, 1)])


def planned_statements(context: Context) -> dict[str, list[str]]:
    """Return what install would run on each side, source and target, and run nothing."""
    with context.open_source() as source:
        schema, plans = proposed_plans(source, context.settings)
    statements, _ = target_ddl(schema, plans, context.schema)
    return {
        "source": capture.statements(captured(plans)),
        "target": [statement.sql for statement in statements if statement.phase in {"table", "default", "check"}],
    }


def uninstall(context: Context, *, drop_control: bool, source_only: bool, lift_fence: bool = False) -> LockHeld | None:
    """Take guard and triggers off the target's tables, then everything of ours out of the source. User tables stay.

    After a handover the fence stays too, unless `lift_fence`: no stale process is to write to the old file.

    Returns how long the source's write lock was held; None where neither side had anything of ours. Raises
    TargetError, and changes nothing, where the target is out of reach, unless `source_only` leaves it as it is:
    without the source's id nobody would find it again.
    """
    with context.open_source() as source:
        has_ours, source_id, place = bool(source.ask("has_ours")), source.source_id(), _place(source)
        fence = fence_message(source)
    cleaned = False
    if not source_only:
        try:
            cleaned = _clean_target(context, source_id, place, fence, drop_control=drop_control)
        except TargetError as error:
            if has_ours:
                message = f"{error}; nothing was changed: --source-only frees the source and leaves the target guarded"
                raise TargetError(message) from None
    if has_ours:
        return capture.uninstall(context.settings.source_path, keep_fence=not lift_fence)
    return LockHeld() if cleaned else None


def _clean_target(
    context: Context, source_id: str | None, place: str, fence: str | None, *, drop_control: bool
) -> bool:
    """Tell whether there was anything; a source that came back without its id is known by its place."""
    with context.open_target() as target:
        if source_id is None and control.exists(target):
            source_id = control.registered_as(target, place, context.schema)
        if source_id is None or not control.is_registered(target, source_id):
            return False
        store = CheckpointStore(target, source_id)
        if store.is_locked("daemon"):
            message = "a daemon is running on this source: stop it first (SIGTERM, or systemctl stop)"
            raise RefusedError(message)
        if store.is_locked("holder"):
            message = f"cdcsync {store.read().role or 'cutover'} is working on this source: end it, or wait"
            raise RefusedError(message)
        if fence is not None and store.read().state != "cut_over":
            # Neither side would be left that could be gone on with.
            raise FencedError(fence)
        with target.transaction():
            tables = [
                (number, name)
                for number, name in store.target_tables()
                if find_table(target, context.schema, name) is not None
            ]
            lock_tables(target, context.schema, [name for _, name in tables])
            for number, name in tables:
                control.unguard(target, source_id, number, context.schema, name)
            _bring_back(target, store.detached())
            control.forget(target, source_id)
            if drop_control:
                control.drop(target)
        return True


def _bring_back(target: Target, detached: Sequence[PendingDdl]) -> None:
    """Give tables found in place back what was taken off them: what is unique first, foreign keys stand on it."""
    order = ("unique", "exclusion", "foreign_key", "trigger")
    for pending in sorted(detached, key=lambda one: order.index(one.phase)):
        refused = control.attach(target, pending.statement)
        if refused is not None:
            logger.warning(
                "{} {} of table {} is not back, because PostgreSQL refused it: {}; mend that and run {}",
                pending.phase.replace("_", " "),
                pending.name,
                pending.table,
                refused,
                pending.statement,
            )

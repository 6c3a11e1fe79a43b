"""What the operator asks: where does this source stand, and how far is the target behind it?"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg

from cdcsync.edges import control
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.fence import fence_message, was_lifted_alone
from cdcsync.edges.ledger import Ledger
from cdcsync.edges.quarantine import Quarantine
from cdcsync.edges.source import MIB, Source
from cdcsync.edges.target import Target, one_line
from cdcsync.edges.watch import connections, database_counts, slowest_statements
from cdcsync.machine import estimate
from cdcsync.machine.context import Context, Installation, is_history_of, uncaptured_tables
from cdcsync.machine.copy_progress import CopyProgress, copy_progress
from cdcsync.machine.rollback import LIFTED_ALONE
from cdcsync.words.errors import FencedError, GaveUpError, NotInstalledError, TargetError
from cdcsync.words.nouns import Checkpoint, Gap, PendingDdl, TableProgress
from cdcsync.words.settings import Settings

LARGE_WAL_BYTES = 64 * MIB
LARGE_LOG_BYTES = 1024 * MIB

DEAD_SECONDS = 10.0
"""No heartbeat for this long: the daemon is not running."""


def status(context: Context) -> dict[str, Any]:
    """Return everything `status --json` says; `state` is None where the source is not installed.

    Raises UsageError for an unusable source, GaveUpError where the target cannot be asked.
    """
    with context.open_source() as source:
        try:
            installation = Installation(source)
        except NotInstalledError as error:
            return {"state": None, "source": str(source.path), "message": str(error)}
        try:
            with context.open_target() as target:
                return _status(context, source, installation, target)
        except (TargetError, psycopg.Error) as error:
            raise GaveUpError(one_line(error)) from None


def _status(context: Context, source: Source, installation: Installation, target: Target) -> dict[str, Any]:
    store = CheckpointStore(target, installation.source_id)
    if not control.is_registered(target, installation.source_id):
        message = "the target knows nothing of this source: run cdcsync install"
        return {"state": None, "source": str(source.path), "message": message}
    checkpoint = store.read()
    position = checkpoint.position.seq
    lag = source.lag(position)
    gaps, ledger = store.gaps(), Ledger(target, installation.source_id)
    wal_bytes, log_bytes = source.wal_bytes(), source.log_bytes()
    copy, detached = copy_progress(source, store, checkpoint), store.detached()
    return {
        "state": checkpoint.state,
        "source": str(source.path),
        "epoch": checkpoint.position.epoch,
        "head_seq": position + lag.changes,
        "applied_seq": position,
        "consistent_seq": checkpoint.consistent_seq,
        "pending_changes": lag.changes,
        "lag_seconds": round(lag.seconds, 3),
        "estimated_drain_seconds": estimate.drain_seconds(lag.changes, store.rate),
        "estimated_pause_seconds": _estimated_pause(store, ledger, checkpoint),
        "daemon": _daemon(store),
        "quarantined": sum(Quarantine(target, installation.source_id).counts().values()),
        "drift": _drift(source, installation, checkpoint, gaps),
        "gaps": [_gap(gap) for gap in gaps if gap.since is not None],
        "new_tables": _new_tables(context, source, checkpoint),
        "changelog_bytes": log_bytes,
        "wal_bytes": wal_bytes,
        "warnings": [
            *_fence_warnings(source, checkpoint),
            *size_warnings(wal_bytes, log_bytes, context.settings),
            *_not_back(detached, checkpoint),
        ],
        "verified": _verified(ledger),
        "copy_order": copy.order,
        "estimated_copy_seconds": copy.total_seconds,
        "tables": [_table(progress, copy) for progress in checkpoint.tables],
        "detached": [_detached(pending) for pending in detached],
        "last_errors": [f"{_time(at)} {message}" for at, message in store.last_errors()],
        "cut_over_at": None if store.cut_over_at is None else _time(store.cut_over_at),
        "target": context.schema,
        "source_changes": _source_changes(source, checkpoint),
        "watch": _watch(target, store) if checkpoint.state == "cut_over" else None,
    }


def size_warnings(wal_bytes: int, log_bytes: int, settings: Settings) -> list[str]:
    """Return what is worth saying about files that grow."""
    warnings = []
    if wal_bytes > LARGE_WAL_BYTES:
        warnings.append(
            f"the write-ahead log of the source has grown to {wal_bytes // MIB} MiB: some reader holds it, or the "
            "application does not checkpoint"
        )
    largest = settings.prune_max_mb * 2 * MIB or LARGE_LOG_BYTES
    if log_bytes > largest:
        way = "prune_min_hours keeps it" if settings.prune_max_mb else "set prune_max_mb to have it pruned"
        warnings.append(f"the changelog has grown to {log_bytes // MIB} MiB: {way}")
    return warnings


def _fence_warnings(source: Source, checkpoint: Checkpoint) -> list[str]:
    """Say which side accepts writes where the state alone does not tell, and what goes on from there."""
    if checkpoint.state == "cut_over":
        return [LIFTED_ALONE] if was_lifted_alone(source) else []
    if (message := fence_message(source)) is not None:
        return [str(FencedError(message))]
    if checkpoint.state == "fenced":
        return ["no fence is decided: a cutover is in its pause, or was killed in it and the application is on SQLite"]
    return []


def _verified(ledger: Ledger) -> dict[str, Any]:
    """Return up to which entry how many tables were proven equal."""
    clean = [proven.seq for proven in ledger.read().values() if not proven.differences]
    return {"seq": min(clean, default=None), "tables": len(clean)}


def _table(progress: TableProgress, copy: CopyProgress) -> dict[str, Any]:
    return {
        "name": progress.name,
        "state": progress.state,
        "rows_copied": progress.rows_copied,
        "rows_total": progress.rows_total,
        "estimated_copy_seconds": copy.seconds.get(progress.name),
    }


def _daemon(store: CheckpointStore) -> dict[str, Any]:
    """The lock tells at once that a daemon is dead; the heartbeat tells that it hangs."""
    found = store.read_daemon()
    if found is None:
        return {"running": False, "pid": None, "heartbeat_age_seconds": None}
    pid, _, age = found
    running = age < DEAD_SECONDS and store.is_locked("daemon")
    return {"running": running, "pid": pid if running else None, "heartbeat_age_seconds": round(age, 3)}


def _drift(source: Source, installation: Installation, checkpoint: Checkpoint, gaps: list[Gap]) -> list[dict[str, Any]]:
    """Return what is not mended, and what nobody has answered yet."""
    answered = [_gap(gap) for gap in gaps if gap.closed_at is None]
    if checkpoint.state == "cut_over":
        return answered
    with source.reading():
        noticed: list[tuple[str | None, str, str]] = [(d.name, d.kind, str(d)) for d in source.drift()]
        if not is_history_of(source, installation, checkpoint.position):
            message = f"the changelog is not the one position {checkpoint.position.seq} was taken from"
            noticed.append((None, "other history", message))
    told = {gap["table"] for gap in answered}
    return answered + [
        {"table": table, "kind": kind, "since": None, "until": None, "message": message}
        for table, kind, message in noticed
        if table not in told
    ]


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "table": gap.table,
        "kind": gap.kind,
        "since": None if gap.since is None else _time(gap.since),
        "until": None if gap.until is None else _time(gap.until),
        "rows_mended": gap.rows_mended,
        "closed_at": None if gap.closed_at is None else _time(gap.closed_at),
        "message": f"table {gap.table}: {gap.kind}; {gap.answer}",
    }


def _new_tables(context: Context, source: Source, checkpoint: Checkpoint) -> list[str]:
    """Return tables created since install, which nobody captures."""
    with source.reading():
        known = {progress.name for progress in checkpoint.tables} | {str(drift.now) for drift in source.drift()}
        return uncaptured_tables(source, context.settings, known)


def _detached(pending: PendingDdl) -> dict[str, Any]:
    return {"table": pending.table, "name": pending.name, "phase": pending.phase, "error": pending.error}


def _not_back(detached: list[PendingDdl], checkpoint: Checkpoint) -> list[str]:
    """Warn of what PostgreSQL refused to take back, and after the handover of all that is missing."""
    return [
        f"{pending.name} of table {pending.table} was detached and is not back: {pending.error or 'not tried yet'}; "
        f"{pending.statement} brings it back"
        for pending in detached
        if pending.error or checkpoint.state == "cut_over"
    ]


def _source_changes(source: Source, checkpoint: Checkpoint) -> list[str]:
    """Return what DDL did to captured tables since the fence: no trigger stops it."""
    if checkpoint.state not in {"fenced", "cut_over"}:
        return []
    with source.reading():
        return [str(drift) for drift in source.drift()]


def _watch(target: Target, store: CheckpointStore) -> dict[str, Any]:
    """Return what to look at after the handover, as far as PostgreSQL tells."""
    used, most = connections(target)
    writes = {table: control.writes(target, store.source_id, number) for number, table in store.target_tables()}
    counts, slowest = database_counts(target), slowest_statements(target)
    return {
        "connections": {"used": used, "max": most},
        "database": {**asdict(counts), "since": None if counts.since is None else _time(counts.since)},
        "slowest_statements": None if slowest is None else [asdict(one) for one in slowest],
        "write_statements": writes,
    }


def _estimated_pause(store: CheckpointStore, ledger: Ledger, checkpoint: Checkpoint) -> float | None:
    if checkpoint.state != "streaming":
        return None
    return estimate.pause_ahead_seconds(store, ledger)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")

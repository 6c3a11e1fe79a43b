"""What the operator asks: where does this source stand, and how far is the target behind it?"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg

from cdcsync.edges import control
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.schema import read_schema
from cdcsync.edges.source import Source
from cdcsync.edges.target import Target, one_line
from cdcsync.machine.context import Context, Installation
from cdcsync.machine.sync import FEW_ROWS
from cdcsync.words.errors import GaveUpError, TargetError
from cdcsync.words.nouns import TableProgress

DEAD_SECONDS = 10.0
"""No heartbeat for this long: the daemon is not running."""


def status(context: Context) -> dict[str, Any]:
    """Return everything `status --json` says; `state` is None where the source is not installed.

    Raises UsageError for an unusable source, GaveUpError where the target cannot be asked.
    """
    with context.open_source() as source:
        if not source.is_installed():
            return {"state": None, "source": str(source.path)}
        installation = Installation(source)
        try:
            with context.open_target() as target:
                return _status(context, source, installation, target)
        except (TargetError, psycopg.Error) as error:
            raise GaveUpError(one_line(error)) from None


def _status(context: Context, source: Source, installation: Installation, target: Target) -> dict[str, Any]:
    store = CheckpointStore(target, installation.source_id)
    if not control.is_registered(target, installation.source_id):
        return {"state": None, "source": str(source.path)}
    checkpoint = store.read()
    position = checkpoint.position.seq
    lag = source.lag(position)
    return {
        "state": checkpoint.state,
        "source": str(source.path),
        "epoch": checkpoint.position.epoch,
        "head_seq": position + lag.changes,
        "applied_seq": position,
        "consistent_seq": checkpoint.consistent_seq,
        "pending_changes": lag.changes,
        "lag_seconds": round(lag.seconds, 3),
        "estimated_drain_seconds": estimated_drain(lag.changes, store.rate),
        "estimated_pause_seconds": None,
        "daemon": _daemon(store),
        "quarantined": 0,
        "drift": _drift(source, installation),
        "new_tables": _new_tables(context, source, installation),
        "changelog_bytes": source.log_bytes(),
        "wal_bytes": source.wal_bytes(),
        "verified": {"seq": None, "tables": 0},
        "tables": [_table(progress) for progress in checkpoint.tables],
        "last_errors": [f"{_time(at)} {message}" for at, message in store.last_errors()],
        "cut_over_at": None if store.cut_over_at is None else _time(store.cut_over_at),
        "target": context.schema,
    }


def _table(progress: TableProgress) -> dict[str, Any]:
    return {
        "name": progress.name,
        "state": progress.state,
        "rows_copied": progress.rows_copied,
        "rows_total": progress.rows_total,
    }


def _daemon(store: CheckpointStore) -> dict[str, Any]:
    """The lock tells at once that a daemon is dead; the heartbeat tells that it hangs."""
    found = store.read_daemon()
    if found is None:
        return {"running": False, "pid": None, "heartbeat_age_seconds": None}
    pid, _, age = found
    running = age < DEAD_SECONDS and store.is_locked("daemon")
    return {"running": running, "pid": pid if running else None, "heartbeat_age_seconds": round(age, 3)}


def _drift(source: Source, installation: Installation) -> list[str]:
    with suppress(GaveUpError), source.reading():
        if source.schema_hash() != installation.schema_hash:
            return ["the schema or the triggers of captured tables changed since install"]
    return []


def _new_tables(context: Context, source: Source, installation: Installation) -> list[str]:
    """Return tables created since install, which nobody captures."""
    with source.reading() as connection:
        names = [table.name for table in read_schema(connection).tables]
    mapped = context.settings.tables
    return [n for n in names if n not in installation.numbers and not (n in mapped and mapped[n].skip)]


def estimated_drain(changes: int, rate: float | None) -> float | None:
    """Estimate the seconds a drain takes now; None where no catch-up was measured yet."""
    if changes <= FEW_ROWS:
        return 0.0 if changes == 0 else 0.05
    return None if rate is None else round(0.05 + changes / rate, 3)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")

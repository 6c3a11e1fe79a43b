"""`cdcsync lag`: one Nagios line, or JSON."""

from __future__ import annotations

from typing import Annotated, Any

import psycopg
import typer

from cdcsync.cli import show
from cdcsync.cli.options import JsonOption, with_settings
from cdcsync.machine.context import Context
from cdcsync.machine.status import status
from cdcsync.words.errors import CdcsyncError
from cdcsync.words.settings import Loaded

LEVELS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

WarnSeconds = Annotated[float, typer.Option("--warn-seconds", help="Lag that is a warning.")]
CritSeconds = Annotated[float, typer.Option("--crit-seconds", help="Lag that is critical.")]
WarnChanges = Annotated[int, typer.Option("--warn-changes", help="Pending changes that are a warning.")]
CritChanges = Annotated[int, typer.Option("--crit-changes", help="Pending changes that are critical.")]


def _command(
    loaded: Loaded,
    *,
    warn_seconds: WarnSeconds = 10,
    crit_seconds: CritSeconds = 60,
    warn_changes: WarnChanges = 10_000,
    crit_changes: CritChanges = 100_000,
    json: JsonOption = False,
) -> int:
    """Say how far the target is behind: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Works with the daemon dead."""
    try:
        with Context(loaded.settings) as context:
            found = status(context)
    except (CdcsyncError, psycopg.Error) as error:
        return unknown(str(error), json=json)
    if found["state"] is None:
        return unknown(found["message"], json=json)
    changes, seconds = found["pending_changes"], found["lag_seconds"]
    level = max(
        _level(seconds, warn_seconds, crit_seconds),
        _level(changes, warn_changes, crit_changes),
        int(bool(_worries(found))),
    )
    message = f"{changes} changes, {seconds:.1f} s" + "".join(f", {worry}" for worry in _worries(found))
    if json:
        show.as_json(_answer(found, LEVELS[level], message))
    else:
        performance = f"pending={changes};{warn_changes};{crit_changes};0; "
        performance += f"lag={seconds:.1f}s;{warn_seconds:g};{crit_seconds:g};0;"
        show.line(f"CDCSYNC {LEVELS[level]} - {message} | {performance}")
    return level


command = with_settings(_command)


def unknown(message: str, *, json: bool) -> int:
    """Answer that nothing could be found out."""
    message = " ".join(message.split())
    if json:
        show.as_json(_answer({}, "UNKNOWN", message))
    else:
        # A pipe would begin the performance data.
        show.line(f"CDCSYNC UNKNOWN - {message.replace('|', '/')}")
    return LEVELS.index("UNKNOWN")


def _level(value: float, warning: float, critical: float) -> int:
    return 2 if value >= critical else 1 if value >= warning else 0


def _worries(found: dict[str, Any]) -> list[str]:
    worries = []
    if found["state"] != "streaming":
        worries.append(f"state {found['state']}")
    if not found["daemon"]["running"]:
        worries.append("daemon not running")
    if found["quarantined"]:
        worries.append(f"{found['quarantined']} rows in quarantine")
    if found["drift"]:
        worries.append("drift")
    return worries


def _answer(found: dict[str, Any], level: str, message: str) -> dict[str, Any]:
    names = (
        "state",
        "pending_changes",
        "lag_seconds",
        "estimated_drain_seconds",
        "estimated_pause_seconds",
        "head_seq",
        "applied_seq",
    )
    return {
        "status": level,
        "message": message,
        **{name: found.get(name) for name in names},
        "daemon_running": found["daemon"]["running"] if found else None,
        "quarantined": found.get("quarantined"),
    }

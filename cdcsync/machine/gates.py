"""What has to be true before a cutover; each refusal says what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cdcsync.edges.grants import missing_grants
from cdcsync.machine import estimate
from cdcsync.machine.cutover_report import Refusal
from cdcsync.machine.session import Session
from cdcsync.words.errors import SourceChangedError

HEADROOM_SECONDS = 1.0
"""The application's busy timeout must outlast the longest pause by this much."""


@dataclass(frozen=True, slots=True)
class CutoverOptions:
    """How a cutover is asked for. `backup`: where to; None: no backup."""

    max_pause: float = 2.0
    rehearse: bool = False
    full_verify: bool = False
    accept_quarantine: int = 0
    backup: Path | None = None
    max_lag_seconds: float = 10.0


def refusals(session: Session, options: CutoverOptions) -> list[Refusal]:
    """Return every gate that is closed, inside no transaction; the session is prepared as far as it can be."""
    session.refresh()
    return [
        *_pause_fits(session, options),
        *_copied(session),
        *_drift(session),
        *_quarantine(session, options),
        *([] if options.full_verify else verified(session)),
        *_lag(session, options),
        *_grants(session),
        *_disk(session, options),
    ]


def already_decided() -> Refusal:
    """Refuse to rehearse what was decided already."""
    message = "a cutover was decided: cdcsync cutover does what is left of it, cdcsync rollback goes back"
    return Refusal("decided", message)


def estimated_pause(session: Session) -> float | None:
    """Return the seconds the pause would take now; None where that cannot be told."""
    with session.source.reading():
        head = int(session.source.ask("head"))
    session.store.read()
    return estimate.pause_seconds(session.store, session.ledger, head, session.checkpoint.position.seq)


def too_long(session: Session, options: CutoverOptions) -> Iterator[Refusal]:
    """Refuse where the pause would take longer than it may; asked once the target has caught up."""
    seconds = estimated_pause(session)
    # A rehearsal is how to find out.
    measured = not (options.full_verify or options.rehearse)
    if measured and seconds is not None and seconds > options.max_pause:
        message = (
            f"the pause would take about {seconds:.1f} s, more than --max-pause {options.max_pause:g}: allow more, or "
            "wait for a quieter hour; cdcsync cutover --rehearse measures it anew"
        )
        yield Refusal("pause_too_long", message)


def _pause_fits(session: Session, options: CutoverOptions) -> Iterator[Refusal]:
    most = session.settings.app_busy_timeout - HEADROOM_SECONDS
    if options.max_pause > most:
        message = (
            f"--max-pause {options.max_pause:g} is more than app_busy_timeout - {HEADROOM_SECONDS:g} = {most:g} s: "
            "writers that wait through the pause would time out; allow less, or set app_busy_timeout to what the "
            "application really waits"
        )
        yield Refusal("busy_timeout", message)


def _copied(session: Session) -> Iterator[Refusal]:
    waiting = [p.name for p in session.checkpoint.tables if p.state not in {"joined", "stale", "dropped"}]
    if waiting:
        message = f"tables are still being copied or repaired: {', '.join(waiting)}; see cdcsync status"
        yield Refusal("not_copied", message)


def _drift(session: Session) -> Iterator[Refusal]:
    try:
        session.forget_schema_version()
        with session.source.reading():
            session.refuse_drift()
            session.refuse_other_history(session.checkpoint.position)
    except SourceChangedError as error:
        yield Refusal("drift", str(error))
    for gap in session.store.gaps():
        if gap.closed_at is None:
            yield Refusal("drift", f"table {gap.table}: {gap.kind}; {gap.answer}")


def _quarantine(session: Session, options: CutoverOptions) -> Iterator[Refusal]:
    aside = sum(session.quarantine.counts().values())
    if aside > options.accept_quarantine:
        message = (
            f"{aside} rows are in quarantine and would be missing: see cdcsync quarantine list, mend them, or go on "
            f"without them by --accept-quarantine {aside}"
        )
        yield Refusal("quarantine", message)


def verified(session: Session) -> Iterator[Refusal]:
    """Refuse what is not proven equal."""
    proven = session.ledger.read()
    missing = [plan.name for plan in session.keyed if plan.number not in proven]
    different = [plan.name for plan in session.keyed if plan.number in proven and proven[plan.number].differences]
    if different:
        message = f"tables differ: {', '.join(different)}; cdcsync verify --repair mends them"
        yield Refusal("different", message)
    if missing:
        message = (
            f"tables were not verified since they were copied: {', '.join(missing)}; run cdcsync verify, or let the "
            "daemon do it (verify_rows_per_second)"
        )
        yield Refusal("unverified", message)


def _lag(session: Session, options: CutoverOptions) -> Iterator[Refusal]:
    lag = session.source.lag(session.checkpoint.position.seq)
    if lag.seconds > options.max_lag_seconds:
        message = (
            f"the target is {lag.seconds:.1f} s behind ({lag.changes} changes), more than --max-lag-seconds "
            f"{options.max_lag_seconds:g}: is the daemon running? see cdcsync lag"
        )
        yield Refusal("lag", message)


def _grants(session: Session) -> Iterator[Refusal]:
    role = session.settings.app_role
    if not role:
        return
    tables = [plan.target for plan in session.plans.values()]
    missing = missing_grants(session.target, session.settings.target_schema, tables, role)
    if missing is None:
        yield Refusal("grants", f"app_role: PostgreSQL has no role {role}")
    elif missing:
        message = f"role {role} (app_role) lacks rights it will need: {'; '.join(missing)}"
        yield Refusal("grants", message)


def _disk(session: Session, options: CutoverOptions) -> Iterator[Refusal]:
    if options.backup is None or options.rehearse:
        return
    folder = options.backup.parent
    while not folder.exists():
        folder = folder.parent
    needed, free = session.source.path.stat().st_size, shutil.disk_usage(folder).free
    if needed > free:
        message = f"the backup needs {needed} bytes and {folder} has {free}: name another place with --backup"
        yield Refusal("disk", message)

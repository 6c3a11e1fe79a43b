"""How long the write pause of a cutover would be now."""

from __future__ import annotations

from collections.abc import Iterable

from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.ledger import Ledger
from cdcsync.machine.cutover_report import Step

FEW_ENTRIES = 100
FEW_ENTRIES_SECONDS = 0.05
"""A cycle of a few entries takes this long at most, however they were measured."""

FEW_KEYS = 2_000
"""A cutover compares what changed before it takes the fence, again and again, until it is this little."""

LEAST_SECONDS = 0.04
"""Taking the lock, making the fence permanent, a few commits."""

TABLE_SECONDS = 0.004
"""Fence triggers, sequences and foreign keys of one table, where no rehearsal has measured them."""

FIXED_STEPS = {"lock", "complete", "handover"}
"""The steps of a pause that take as long however much changed before it."""


def drain_seconds(changes: int, rate: float | None) -> float | None:
    """Estimate what draining takes; None where no catch-up was measured yet."""
    if changes <= FEW_ENTRIES:
        return 0.0 if changes == 0 else FEW_ENTRIES_SECONDS
    return None if rate is None else round(FEW_ENTRIES_SECONDS + changes / rate, 3)


def fixed_seconds(steps: Iterable[Step]) -> float:
    """Return what the steps took that do not depend on the changes; a rehearsal leaves some out."""
    return sum(step.seconds for step in steps if step.name in FIXED_STEPS)


def pause_seconds(store: CheckpointStore, ledger: Ledger, head: int, position: int) -> float | None:
    """Estimate the pause of a fence taken now; None while it cannot be told: a table is unverified, say.

    `store` was read; `head` and `position` are entries of the changelog.
    """
    changed = _changed(ledger, head)
    return None if changed is None else _seconds(store, ledger, head - position, changed)


def pause_ahead_seconds(store: CheckpointStore, ledger: Ledger, head: int, position: int) -> float | None:
    """Estimate the pause of a cutover begun now: it applies and compares almost everything before it takes the fence.

    None where a table is unverified, or differs. `head` and `position` are entries of the changelog.
    """
    changed = _changed(ledger, head)
    if changed is None:
        return None
    return _seconds(store, ledger, min(head - position, FEW_ENTRIES), min(changed, FEW_KEYS))


def _changed(ledger: Ledger, head: int) -> int | None:
    """Return how many entries came since the tables were proven equal; None where one is not."""
    proven = ledger.read().values()
    if len(proven) < ledger.expected() or any(one.differences for one in proven):
        return None
    return head - min((one.seq for one in proven), default=head)


def _seconds(store: CheckpointStore, ledger: Ledger, pending: int, changed: int) -> float | None:
    drain, verify = drain_seconds(pending, store.rate), _verify_seconds(changed, store.verify_rate or store.rate)
    if drain is None or verify is None:
        return None
    fixed = TABLE_SECONDS * ledger.expected() if store.handover_seconds is None else store.handover_seconds
    return round(drain + verify + LEAST_SECONDS + fixed, 3)


def _verify_seconds(changed: int, rate: float | None) -> float | None:
    if changed <= FEW_ENTRIES:
        return FEW_ENTRIES_SECONDS if changed else 0.0
    return None if rate is None else changed / rate

"""How long the write pause of a cutover would be now."""

from __future__ import annotations

from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.ledger import Ledger

FEW_ENTRIES = 100
FEW_ENTRIES_SECONDS = 0.05
"""A cycle of a few entries takes this long at most, however they were measured."""

FEW_KEYS = 2_000
"""A cutover compares what changed before it takes the fence, again and again, until it is this little."""

UNFENCED = 1.25
"""How much longer a pause takes than its rehearsal, which takes no lock and decides nothing."""

LEAST_SECONDS = 0.04
TABLE_SECONDS = 0.004
"""A pause without anything to apply or compare, and each table's part of it, where nobody has measured or rehearsed."""


def drain_seconds(changes: int, rate: float | None) -> float | None:
    """Estimate what draining takes; None where no catch-up was measured yet."""
    if changes <= FEW_ENTRIES:
        return 0.0 if changes == 0 else FEW_ENTRIES_SECONDS
    return None if rate is None else round(FEW_ENTRIES_SECONDS + changes / rate, 3)


def pause_seconds(store: CheckpointStore, ledger: Ledger, head: int, position: int) -> float | None:
    """Estimate the pause of a fence taken now; None while it cannot be told: a table is unverified, say.

    `store` was read; `head` and `position` are entries of the changelog.
    """
    changed = _changed(ledger, head)
    if changed is None:
        return None
    drain, verify = _more(head - position, FEW_ENTRIES, store.rate), _more(changed, FEW_KEYS, _verify_rate(store))
    return None if drain is None or verify is None else round(_least(store, ledger) + drain + verify, 3)


def pause_ahead_seconds(store: CheckpointStore, ledger: Ledger) -> float | None:
    """Estimate the pause of a cutover begun now: it applies and compares all but a little before it takes the fence.

    It is what the last pause took, or its rehearsal. None where a table is unverified, or differs. `store` was read.
    """
    return None if _changed(ledger, 0) is None else round(_least(store, ledger), 3)


def _least(store: CheckpointStore, ledger: Ledger) -> float:
    if store.pause_seconds is not None:
        return store.pause_seconds
    return LEAST_SECONDS + TABLE_SECONDS * ledger.expected()


def _changed(ledger: Ledger, head: int) -> int | None:
    """Return how many entries came since the tables were proven equal; None where one is not."""
    proven = ledger.read().values()
    if len(proven) < ledger.expected() or any(one.differences for one in proven):
        return None
    return head - min((one.seq for one in proven), default=head)


def _more(number: int, few: int, rate: float | None) -> float | None:
    """Return the seconds for what is more than a few; None where the rate would matter and is not known."""
    if number <= few:
        return 0.0
    return None if rate is None else number / rate


def _verify_rate(store: CheckpointStore) -> float | None:
    return store.verify_rate or store.rate

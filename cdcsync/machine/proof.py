"""What a cutover proves of the rows that changed since the tables were proven equal."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cdcsync.machine.comparison import Comparison
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.estimate import FEW_KEYS
from cdcsync.machine.session import Session
from cdcsync.machine.stream import catch_up
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify_report import VerifyReport
from cdcsync.words.errors import RefusedError

MEASURED_KEYS = 100
"""Fewer keys say nothing about how many are compared in a second."""

Watch = Callable[[], None]


def verify_all_but_few(session: Session, sync: Sync, report: CutoverReport, watch: Watch) -> None:
    """Compare what changed, then what changed while that was compared, and so on: what is left costs pause."""
    keys, before = verify_changed(session, report, watch), math.inf
    catch_up(session, sync, watch)
    # Where writers are as quick as the comparison there is no end to it.
    while FEW_KEYS < keys < before / 2:
        keys, before = verify_changed(session, report, watch), keys
        catch_up(session, sync, watch)


def verify_changed(session: Session, report: CutoverReport, watch: Watch) -> int:
    """Compare the keys that changed since they were last proven equal; return how many.

    Raises RefusedError where a row differs.
    """
    found, began = VerifyReport(), time.perf_counter()
    epoch, keys = session.checkpoint.position.epoch, 0
    proven = session.ledger.read()
    for plan in session.keyed:
        if plan.number not in proven:
            continue
        before = proven[plan.number]
        result = Comparison(session, plan, found, None, lambda _table, _rows: watch()).since(before.seq)
        found.tables[plan.name] = result
        keys += result.rows_source
        if result.proven_seq is not None and result.proven_seq > before.seq:
            session.ledger.followed(before, epoch, result.proven_seq, result.differences)
    if keys >= MEASURED_KEYS:
        session.ledger.measured(keys / (time.perf_counter() - began))
    refuse_different(found, report)
    return keys


def refuse_different(found: VerifyReport, report: CutoverReport) -> None:
    """Take over how many rows were compared. Raises RefusedError where one differs."""
    report.verified_keys = found.rows_compared
    if not found.equal:
        first = found.shown[0]
        message = (
            f"the target differs, in table {first.table}, key {first.key}, for one: cdcsync verify shows where, "
            "cdcsync verify --repair mends it"
        )
        raise RefusedError(message)

"""A cutover that is called off in any step costs the writers a wait, and nothing else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.applications import Application

from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.pair import Pair
    from support.processes import Processes

CUSTOMERS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO customers (email, name) SELECT 'c' || i, 'n' FROM n;
"""
WRITE_FIRST = 6
READ_FIRST = 2
PATIENCE = 5.0
MAX_PAUSE = 0.5
# Longer than the pause may be: only the fence's own clock can end it.
STUCK_SECONDS = 1.2


@pytest.mark.parametrize("fault", ["spent", "refused"])
@pytest.mark.parametrize("step", ["drain", "verify", "complete", "decide"])
def test_eight_writers_only_wait_for_a_cutover_that_is_called_off(
    make_pair: Callable[..., Pair], processes: Processes, monkeypatch: pytest.MonkeyPatch, step: str, fault: str
) -> None:
    """No write of those that begin with one fails or waits longer than told; the others succeed when they try again."""
    pair = make_pair(shop.SCHEMA + CUSTOMERS)
    pair.install()
    pair.sync()
    pair.verify()
    _fail_in(step, fault, monkeypatch)
    kinds = ["hasty"] * WRITE_FIRST + ["retrying"] * READ_FIRST
    writers = [Application(processes, kind, pair.path, 20, timeout=PATIENCE) for kind in kinds]
    report = pair.cutover(max_pause=MAX_PAUSE)
    told = [writer.stop() for writer in writers]
    for one in told:
        one.tell()
    assert not report.done
    assert report.aborted_at == step, report
    assert "the application goes on with SQLite" in str(report.reason)
    assert [one.kinds() for one in told] == [{}] * len(told)
    assert max(one.longest for one in told) < MAX_PAUSE + 1
    pair.sync()
    assert pair.verify().equal


def _fail_in(step: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step hang until the pause is spent, or refuse, when the fence is up."""
    real = CutoverReport.step
    fenced = []

    @contextmanager
    def told(self: CutoverReport, name: str) -> Iterator[None]:
        with real(self, name):
            fenced.extend([name] if name == "lock" else [])
            if fenced and name == step and fault == "spent":
                time.sleep(STUCK_SECONDS)
            elif fenced and name == step:
                time.sleep(MAX_PAUSE / 2)
                message = "planted"
                raise RefusedError(message)
            yield

    monkeypatch.setattr(CutoverReport, "step", told)

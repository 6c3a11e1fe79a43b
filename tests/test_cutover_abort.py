"""A cutover that is called off in any step costs the writers a wait, and nothing else."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from support import shop
from support.applications import Application

from cdcsync.edges import fence as fence_module
from cdcsync.edges.ledger import Ledger
from cdcsync.machine import cutover as cutover_module
from cdcsync.machine.cutover_report import CutoverReport
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    pair.make_ready()
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


@pytest.mark.parametrize("locked", [False, True])
def test_a_pause_is_no_longer_than_told_while_somebody_holds_a_table_in_postgresql(
    make_pair: Callable[..., Pair], *, locked: bool
) -> None:
    """VACUUM or ANALYZE by hand: foreign keys wait for it before the decision, and are not left out for it."""
    pair = make_pair(
        "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p);"
    )
    pair.make_ready()
    if locked:
        with psycopg.connect(pair.settings.target) as other:
            other.execute("LOCK TABLE c IN SHARE UPDATE EXCLUSIVE MODE")
            began = time.monotonic()
            report = pair.cutover(max_pause=MAX_PAUSE)
            assert time.monotonic() - began < MAX_PAUSE + 3
        assert (report.done, report.aborted_at) == (False, "decide")
        assert "the longest pause (--max-pause) was spent" in str(report.reason)
        pair.write("INSERT INTO c VALUES (1, NULL)")
    assert pair.cutover().done
    assert pair.target("SELECT count(*) FROM pg_constraint WHERE conrelid = 'c'::regclass AND contype = 'f'") == [(1,)]


def test_a_statement_that_is_cancelled_when_the_pause_is_spent_says_so(
    make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was waiting for: the reason is the time, and the state is that of before."""
    pair = make_pair(shop.SCHEMA)
    pair.make_ready()
    monkeypatch.setattr(Ledger, "read", lambda self: self._target.connection.execute("SELECT pg_sleep(9)") and {})
    with monkeypatch.context() as patch:
        patch.setattr(cutover_module, "refusals", lambda *_: [])
        patch.setattr(cutover_module, "_catch_up", lambda session, *_: Sync(session))
        report = pair.cutover(max_pause=MAX_PAUSE)
    assert report.aborted_at == "verify"
    assert "the longest pause (--max-pause) was spent" in str(report.reason)
    assert pair.target("SELECT state FROM cdcsync.status") == [("streaming",)]


@pytest.mark.parametrize("fault", ["full", "interrupted"])
def test_however_it_ends_before_the_decision_on_abort_is_run(
    make_pair: Callable[..., Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A full disk under the fence, Ctrl-C in the pause: what before_fence began has to end."""
    called = tmp_path / "called"
    pair = make_pair(shop.SCHEMA, hooks={"on_abort": f"touch '{called}'"})
    pair.make_ready()
    if fault == "full":
        _fill_the_disk(monkeypatch)
        report = pair.cutover()
        assert "database or disk is full; the application goes on with SQLite" in str(report.reason)
    else:
        monkeypatch.setattr(cutover_module, "_drain_and_prove", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    assert called.exists()
    assert pair.target("SELECT state FROM cdcsync.status") == [("streaming",)]
    pair.write("INSERT INTO customers (email, name) VALUES ('there', 'n')")


def _fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fence_module.begin_immediate

    def begin(connection: sqlite3.Connection, path: Path, patience: float) -> None:
        real(connection, path, patience)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(fence_module, "begin_immediate", begin)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

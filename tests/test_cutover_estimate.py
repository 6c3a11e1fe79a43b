"""What is left for the pause of a cutover, and what is said of it before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cdcsync.machine import estimate, proof
from cdcsync.machine.context import Context
from cdcsync.machine.gates import estimated_pause
from cdcsync.machine.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

ROWS = 3 * estimate.FEW_KEYS
SCHEMA = f"""
CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) INSERT INTO t SELECT i, 0 FROM n;
"""


@pytest.fixture
def pair(make_pair: Callable[..., Pair]) -> Pair:
    """A source whose every row changed since it was proven equal."""
    made = make_pair(SCHEMA)
    made.make_ready()
    made.write("UPDATE t SET v = 1")
    made.sync()
    return made


def test_what_changes_while_changes_are_compared_is_compared_before_the_fence(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago the tables were proven, the pause compares what came in the last moment."""
    real, calls = proof.verify_changed, []

    def slow(*arguments: Any) -> int:
        keys = real(*arguments)
        calls.append(keys)
        if len(calls) == 1:
            pair.write(f"UPDATE t SET v = 2 WHERE id > {ROWS // 3 - 100}")
        elif len(calls) == 2:
            pair.write("UPDATE t SET v = 3 WHERE id <= 20")
        return keys

    monkeypatch.setattr(proof, "verify_changed", slow)
    report = pair.cutover()
    assert report.done, report
    assert calls == [ROWS, ROWS - (ROWS // 3 - 100), 20]
    assert report.verified_keys == 20


def test_writers_as_quick_as_the_comparison_do_not_keep_a_cutover_from_its_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the fence with what is left."""
    real, calls = proof.verify_changed, []

    def slow(*arguments: Any) -> int:
        calls.append(real(*arguments))
        if len(calls) <= 2:
            pair.write("UPDATE t SET v = v + 1")
        return calls[-1]

    monkeypatch.setattr(proof, "verify_changed", slow)
    with monkeypatch.context() as patch:
        patch.setattr(estimate, "pause_seconds", lambda *_: 0.1)
        report = pair.cutover(max_pause=4)
    assert report.done, report
    assert calls == [ROWS, ROWS, ROWS]


def test_lag_expects_the_pause_that_is_left_and_not_what_is_compared_before_it(pair: Pair) -> None:
    """A fence taken right now would wait for all of it."""
    with Context(pair.settings) as context, Session(context) as session:
        now = estimated_pause(session)
        session.ledger.measured(1000.0)
        session.store.read()
        slow = estimated_pause(session)
        ahead = estimate.pause_ahead_seconds(session.store, session.ledger)
    assert now is not None
    assert slow is not None
    assert ahead is not None
    assert slow == pytest.approx(ahead + ROWS / 1000, abs=0.01)
    assert ahead < slow


def test_nothing_is_expected_of_tables_that_nobody_verified(make_pair: Callable[..., Pair]) -> None:
    """Their comparison would be part of the pause."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    with Context(pair.settings) as context, Session(context) as session:
        session.store.read()
        assert estimate.pause_ahead_seconds(session.store, session.ledger) is None


def test_a_rehearsal_tells_the_pause_to_come_by_what_it_took(pair: Pair) -> None:
    """A little more than that: it takes no lock and decides nothing."""
    report = pair.cutover(rehearse=True)
    assert report.pause_seconds is not None
    with Context(pair.settings) as context, Session(context) as session:
        session.store.read()
        assert estimate.pause_ahead_seconds(session.store, session.ledger) == report.pause_seconds
        assert estimated_pause(session) == pytest.approx(report.pause_seconds, abs=0.01)
    done = pair.cutover()
    assert done.done
    assert pair.target("SELECT pause_seconds FROM cdcsync.checkpoint") == [(done.pause_seconds,)]

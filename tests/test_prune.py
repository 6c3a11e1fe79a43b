"""Pruning the changelog: off by default, and never what still matters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges import capture
from cdcsync.machine import chores
from cdcsync.machine.chores import Chores
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"
DAY_AGO = "UPDATE _cdcsync_log SET at = at - 1"


@pytest.fixture(name="pair")
def _pair(make_pair: Make) -> Pair:
    """A pair with a backlog of applied entries."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.insert("t", [(number, "x") for number in range(100)])
    pair.sync()
    return pair


def entries(pair: Pair) -> tuple[int, int, int]:
    """Return the oldest and the newest entry and how many there are."""
    found: tuple[int, int, int] = pair.source("SELECT min(seq), max(seq), count(*) FROM _cdcsync_log")[0]
    return found


def position(pair: Pair) -> int:
    """Return the stored position."""
    return int(pair.target("SELECT seq FROM cdcsync.checkpoint")[0][0])


def test_the_entry_at_the_position_and_the_newest_stay(pair: Pair) -> None:
    """The first is the position's anchor, the second keeps its number from being used again."""
    deleted, _ = capture.prune(pair.path, position(pair), 0.0, 1000)
    assert deleted == 100
    assert entries(pair) == (101, 101, 1)
    pair.write("INSERT INTO t VALUES (1000, 'new')")
    assert entries(pair) == (101, 102, 2)
    pair.sync()
    assert pair.verify().equal


def test_what_is_not_applied_stays(pair: Pair) -> None:
    """Nothing above the position goes, however old."""
    pair.insert("t", [(number, "y") for number in range(200, 300)])
    pair.write(DAY_AGO)
    capture.prune(pair.path, 101, 0.0, 1000)
    assert entries(pair) == (101, 201, 101)


def test_young_entries_stay(pair: Pair) -> None:
    """A failover may take PostgreSQL back: what it could ask for again is kept for a while."""
    assert capture.prune(pair.path, position(pair), 1.0, 1000)[0] == 0
    pair.write("UPDATE _cdcsync_log SET at = at - 1 WHERE seq <= 50")
    assert capture.prune(pair.path, position(pair), 1.0, 1000)[0] == 50


def test_one_transaction_deletes_no_more_than_it_is_told(pair: Pair) -> None:
    """The application waits for a millisecond or two, not for the whole log."""
    assert capture.prune(pair.path, position(pair), 0.0, 10)[0] == 10
    assert entries(pair)[0] == 11


def test_a_position_that_went_back_behind_the_pruned_entries_is_another_history(pair: Pair) -> None:
    """PostgreSQL restored to an earlier moment: what is missing in the log is found by comparison."""
    pair.write("UPDATE t SET v = 'z' WHERE id = 5")
    pair.execute("UPDATE cdcsync.checkpoint SET seq = 50, anchor_at = 0, anchor_key = '1:integer:05'")
    capture.prune(pair.path, 90, 0.0, 1000)
    pair.sync()
    assert pair.verify().equal


@pytest.mark.parametrize(("megabytes", "pruned"), [(0, False), (1, True)])
def test_the_daemon_prunes_only_above_the_limit(
    make_pair: Make,
    monkeypatch: pytest.MonkeyPatch,
    megabytes: int,
    pruned: bool,  # noqa: FBT001  a parameter
) -> None:
    """0, the default, means never; while the log is small nothing happens either."""
    monkeypatch.setattr(chores, "SIZES_SECONDS", 0.05)
    monkeypatch.setattr(chores, "PRUNE_PAUSE_SECONDS", 0.0)
    pair = make_pair(SCHEMA, prune_max_mb=megabytes, prune_min_hours=0)
    pair.install()
    pair.sync()
    with Context(pair.settings) as context, Session(context) as session:
        assert session.try_take("daemon")
        session.prepare()
        running = Chores(context, session, lambda: None)
        running.start()
        time.sleep(0.3)
        pair.insert("t", [(number, "x") for number in range(60_000)])
        session.release()
        pair.sync()
        session.refresh()
        deadline = time.monotonic() + (10 if pruned else 1)
        while time.monotonic() < deadline and (entries(pair)[0] == 1 or not pruned):
            time.sleep(0.05)
        running.close()
    assert (entries(pair)[0] > 1) is pruned
    assert entries(pair)[1] == position(pair)

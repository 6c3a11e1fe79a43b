"""The daemon verifies in the background, so that a cutover finds the ledger up to date."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

from cdcsync.edges.ledger import Proven
from cdcsync.machine import comparison
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.status import status
from cdcsync.machine.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.cli import Cli
    from support.pair import Pair
    from support.processes import Running

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE o (k TEXT PRIMARY KEY COLLATE NOCASE, v INT);
CREATE TABLE empty (a INT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE nokey (a INT);
INSERT INTO t SELECT value, 'v' FROM
    (WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT 2500) SELECT value FROM g);
INSERT INTO o SELECT 'K' || id, id FROM t WHERE id <= 500;
INSERT INTO nokey VALUES (1);
"""


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """A synced pair that nobody has verified."""
    made = make_pair(SCHEMA)
    made.install()
    made.sync()
    return made


@pytest.fixture
def sweeper(pair: Pair) -> Iterator[Sweeper]:
    """A sweeper that takes its turns when told to."""
    with Context(pair.settings) as context:
        made = Sweeper(context)
        yield made
        made.close()


def _proven(pair: Pair) -> dict[str, Proven]:
    with Context(pair.settings) as context, Session(context) as session:
        session.prepare()
        return {session.plans[number].name: proven for number, proven in session.ledger.read().items()}


def _told(pair: Pair) -> list[str]:
    with Context(pair.settings) as context:
        return list(status(context)["last_errors"])


def _position(pair: Pair) -> int:
    return int(pair.target("SELECT applied_seq FROM cdcsync.status")[0][0])


def test_every_table_is_proven_without_anybody_asking_and_then_followed(pair: Pair, sweeper: Sweeper) -> None:
    """The first turn reads all through; later ones come up to the position applied; a cutover goes through."""
    assert _proven(pair) == {}
    sweeper.turn()
    assert {name: (one.rows, one.differences) for name, one in _proven(pair).items()} == {
        "t": (2500, 0),
        "o": (500, 0),
        "empty": (0, 0),
    }
    for number in range(3):
        pair.write(f"UPDATE t SET v = {number} WHERE id % 5 = 0", f"DELETE FROM o WHERE v = {number}", "REINDEX")
        pair.write(f"INSERT INTO empty VALUES ({number}, 0)", f"UPDATE o SET k = lower(k) WHERE v = {number + 9}")
        pair.sync()
        sweeper.turn()
        assert {one.seq for one in _proven(pair).values()} == {_position(pair)}
    assert _told(pair) == []
    assert pair.cutover().done


def test_a_planted_difference_is_told_and_closes_the_gate_until_it_is_mended(pair: Pair, sweeper: Sweeper) -> None:
    """It shows in last_errors with its key; the repaired table has to be proven again, which the next turn does."""
    pair.force("UPDATE o SET v = -1 WHERE k = 'K7'")
    sweeper.turn()
    assert {name: one.differences for name, one in _proven(pair).items()} == {"t": 0, "o": 1, "empty": 0}
    assert "1 rows of table o differ, such as key K7: cdcsync verify --repair" in _told(pair)[0]
    assert [one.code for one in pair.cutover().refusals] == ["different"]
    pair.repair()
    assert "o" not in _proven(pair)
    assert [one.code for one in pair.cutover().refusals] == ["unverified"]
    sweeper.turn()
    assert _proven(pair)["o"].differences == 0
    assert pair.cutover().done


def test_a_difference_in_a_row_that_changes_later_is_found_when_it_is_followed(
    pair: Pair, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps of a few entries, each read in a transaction of its own."""
    sweeper.turn()
    monkeypatch.setattr(comparison, "STEP_ENTRIES", 7)
    pair.write("UPDATE t SET v = 'new' WHERE id BETWEEN 100 AND 150", "DELETE FROM t WHERE id = 99")
    pair.sync()
    pair.force("UPDATE t SET v = 'old' WHERE id = 149", "INSERT INTO t VALUES (99, 'back')")
    sweeper.turn()
    proven = _proven(pair)["t"]
    assert (proven.differences, proven.seq) == (2, _position(pair))
    sweeper.turn()
    assert _proven(pair)["t"].differences == 2
    assert len(_told(pair)) == 1


def test_it_reads_at_the_rate_of_the_settings_and_follows_other_tables_meanwhile(
    pair: Pair, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for each page's share of a second; what is proven already does not grow old behind a large table."""
    pair.verify(["o"])
    pair.write("UPDATE o SET v = 0 WHERE k = 'K1'")
    pair.sync()
    waits: list[float] = []
    seen: list[int] = []

    def wait(_event: threading.Event, seconds: float | None = None) -> bool:
        waits.append(seconds or 0.0)
        seen.append(_proven(pair)["o"].seq)
        return False

    ending = threading.Event()
    monkeypatch.setattr(type(ending), "wait", wait)
    sweeper.turn()
    assert sum(waits) == pytest.approx(2500 / pair.settings.verify_rows_per_second)
    assert max(waits) == pytest.approx(1000 / pair.settings.verify_rows_per_second)
    assert seen[-1] == _position(pair) > seen[0]


def test_it_can_be_switched_off(make_pair: Make) -> None:
    """verify_rows_per_second = 0: no thread, no connection."""
    pair = make_pair(SCHEMA, verify_rows_per_second=0)
    with Context(pair.settings) as context:
        before = threading.active_count()
        sweeper = Sweeper(context)
        sweeper.start()
        assert threading.active_count() == before
        sweeper.stop()


def test_drift_is_no_difference_and_ends_no_sweep(pair: Pair, sweeper: Sweeper) -> None:
    """While the table has lost its triggers nothing is told; when that is answered the table is proven again."""
    sweeper.turn()
    pair.write(
        "CREATE TABLE n AS SELECT * FROM o", "DROP TABLE o", "CREATE TABLE o (k TEXT PRIMARY KEY COLLATE NOCASE, v INT)"
    )
    pair.write("INSERT INTO o SELECT k, v + 1 FROM n", "DROP TABLE n", "UPDATE t SET v = 'x' WHERE id = 1")
    sweeper.turn()
    assert _told(pair) == []
    pair.sync()
    sweeper.turn()
    sweeper.turn()
    assert {one.differences for one in _proven(pair).values()} == {0}
    assert _proven(pair).keys() == {"t", "o", "empty"}
    assert _told(pair) == []


def test_a_table_mended_during_its_sweep_is_not_called_different(
    pair: Pair, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a sweep saw before a repair says nothing of what is there after it."""
    pair.force("UPDATE t SET v = 'planted' WHERE id = 1")
    real = sweeper._watch  # noqa: SLF001  what a page ends with
    mended: list[bool] = []

    def watch(session: Session) -> None:
        if not mended:
            mended.append(True)
            pair.repair()
        real(session)

    monkeypatch.setattr(sweeper, "_watch", watch)
    sweeper.turn()
    sweeper.turn()
    assert {one.differences for one in _proven(pair).values()} == {0}
    assert _told(pair) == []


def test_a_lost_connection_ends_a_turn_and_not_the_sweep(pair: Pair, sweeper: Sweeper) -> None:
    """The next turn begins with a new one."""
    sweeper.turn()
    pair.write("UPDATE t SET v = 'x' WHERE id = 1")
    pair.sync()
    with pair.database.server.admin(pair.database.name) as admin:
        admin.execute(b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    sweeper.turn()
    sweeper.turn()
    assert {one.seq for one in _proven(pair).values()} == {_position(pair)}


def test_the_ledger_keeps_up_with_a_daemon_under_load_and_over_its_death(
    cli: Cli, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Nobody runs verify; after a kill the next daemon goes on from what is proven."""
    assert source.exists()
    cli("install")
    writer = start_writer(500)
    daemon = cli.daemon()
    assert cli.database is not None
    database = cli.database

    def least() -> int:
        found = database.rows("SELECT count(*), min(seq), sum(differences) FROM cdcsync.ledger")
        assert not found[0][2]
        return int(found[0][1]) if found[0][0] == 4 else 0

    wait_until(least, "every table proven")
    for _ in range(3):
        applied = cli.applied()
        wait_until(lambda applied=applied: least() >= applied, "the ledger at the position of a moment ago")
    daemon.send(signal.SIGKILL)
    daemon.wait()
    before, swept = least(), database.rows("SELECT number, swept_at FROM cdcsync.ledger ORDER BY number")
    daemon = cli.daemon()
    wait_until(lambda: least() > before, "the ledger after a restart")
    assert database.rows("SELECT number, swept_at FROM cdcsync.ledger ORDER BY number") == swept
    assert writer.terminate() == 0
    assert daemon.terminate() == 0
    assert "Traceback" not in daemon.err

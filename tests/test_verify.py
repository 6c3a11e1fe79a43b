"""Verify finds every kind of difference, and none where there is none, whatever goes on meanwhile."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.differences import PLANTED, SCHEMA
from support.following import following

from cdcsync.edges.comparer import Comparer
from cdcsync.machine.context import Context
from cdcsync.machine.repair import mark_for_repair
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import GaveUpError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.cli import Cli
    from support.pair import Pair

    Make = Callable[..., Pair]


def _found(pair: Pair) -> list[tuple[str, str | None, str | None]]:
    """Return table, key and column of each difference; a row without a key has none."""
    shown = [(found.table, found.key, found.column) for found in pair.verify().shown]
    return sorted(((t, None, None) if t == "nokey" else (t, key, column) for t, key, column in shown), key=repr)


def test_every_planted_difference_is_found_and_nothing_else(make_pair: Make) -> None:
    """Each is planted alone past the guard, and found with its table, key and column."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    clean = pair.verify()
    assert clean.equal
    assert {name: result.rows_source for name, result in clean.tables.items()} == {"t": 1202, "nokey": 4, "pairs": 2}
    for what, (statement, expected) in PLANTED.items():
        table = expected[0][0]
        pair.force(f"CREATE TABLE kept AS TABLE {table}", statement)
        found = _found(pair)
        if what == "parts of a key shifted":
            assert sorted(found, key=repr) == [("pairs", "xy, z", None), ("pairs", "xyz, z", None)]
        else:
            assert found == sorted(expected, key=repr), what
        pair.force(f"DELETE FROM {table}", f"INSERT INTO {table} TABLE kept", "DROP TABLE kept")
    assert _found(pair) == []


def test_a_difference_too_many_to_list_is_counted(make_pair: Make) -> None:
    """All rows of a table of 1,200 are missing: each is counted, not all are listed."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.force("DELETE FROM t")
    report = pair.verify(["t"])
    assert report.tables["t"].differences == 1202
    assert report.tables["t"].rows_target == 0
    assert len(report.shown) == 1000


def test_named_tables_only_are_compared(make_pair: Make) -> None:
    """--table leaves the others alone; a name that is not captured is a usage error that lists those that are."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.force("DELETE FROM t")
    assert pair.verify(["pairs", "nokey"]).equal
    assert set(pair.verify(["pairs"]).tables) == {"pairs"}
    assert not pair.verify(["t"]).equal
    with pytest.raises(UsageError, match=r"no captured table is called 'T x'.*pairs"):
        pair.verify(["pairs", "T x"])


def test_exit_codes_of_verify(make_pair: Make, cli: Cli) -> None:
    """Different is 1, an unknown table 2, and a table that is not copied yet 3."""
    pair = make_pair(SCHEMA)
    pair.install()
    cli.environment |= pair.database.environment() | {"CDCSYNC_SOURCE": str(pair.path)}
    assert "not copied yet" in cli("verify", expect=3).err
    pair.sync()
    pair.force("UPDATE t SET s = 'Adb' WHERE id = 7")
    report = cli("verify", "--json", "--table", "t", expect=1).json
    assert [(found["key"], found["column"]) for found in report["differences"]] == [("7", "s")]
    assert len(cli("verify", "--table", "nowhere", expect=2).error_lines) == 1


def test_no_false_alarm_for_rows_that_only_look_different(make_pair: Make) -> None:
    """NOCASE and RTRIM columns, a UUID in upper case and times with offsets are equal where nothing differs."""
    pair = make_pair(
        "CREATE TABLE t (k TEXT PRIMARY KEY COLLATE NOCASE, n TEXT COLLATE NOCASE, r TEXT COLLATE RTRIM, u UUID,"
        " at DATETIME, d DECIMAL, j JSON);"
        "INSERT INTO t VALUES ('Ab', 'Xy', 'z  ', 'ABCDEF00-0000-4000-8000-00000000000F', '2024-01-01T02:00+02:00',"
        " 1e30, '{\"b\":1,  \"a\":1.0}'), ('aa', 'xY', 'z', NULL, '2024-01-01', 0.1, '1')"
    )
    pair.install()
    pair.sync()
    assert pair.verify().equal
    pair.write("UPDATE t SET k = 'AB', n = 'xy' WHERE k = 'ab'")
    pair.sync()
    assert pair.target("SELECT k, n FROM t WHERE n = 'xy'") == [("AB", "xy")]
    assert pair.verify().equal


def test_no_false_alarm_between_the_halves_of_a_split_batch(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cycle that ends in the middle carries rows newer than its position: that is no difference."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)", apply_max_keys=1
    )
    pair.install()
    pair.sync()
    real, looks = Comparer.snapshot, 0
    with Context(pair.settings) as context, Session(context) as session:
        session.take("daemon")
        session.prepare()
        sync = Sync(session)
        pair.write("UPDATE t SET v = 1 WHERE id = 1")
        pair.write("UPDATE t SET v = 1 WHERE id = 2")

        def beside(comparer: Comparer, source_id: str) -> object:
            """Between verify's read of the source and its look at the target: a write, and half of a batch."""
            nonlocal looks
            looks += 1
            if looks <= 4:
                pair.write(f"UPDATE t SET v = {looks + 1} WHERE id IN (1, 3)")
                sync.cycle()
            else:
                while not sync.cycle().is_empty:
                    pass
            return real(comparer, source_id)

        monkeypatch.setattr(Comparer, "snapshot", beside)
        report = pair.verify()
        assert report.equal, report.shown
        assert looks > 4
        monkeypatch.undo()
        pair.force("UPDATE t SET v = 77 WHERE id = 3")
        assert [found.key for found in pair.verify().shown] == ["3"]


def test_no_false_alarm_under_load_and_a_planted_row_is_still_found(make_pair: Make) -> None:
    """Verify after verify beside writes and cycles of three entries: always equal, until a difference is planted."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, v INT); CREATE TABLE o (k TEXT PRIMARY KEY, v INT);"
        "INSERT INTO t SELECT value, 'u' || value, 0 FROM"
        " (WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT 1500) SELECT value FROM g);"
        "INSERT INTO o SELECT 'k' || id, 0 FROM t",
        apply_max_keys=3,
    )
    pair.install()
    pair.sync()

    def write(number: int) -> None:
        ident = number * 37 % 1500 + 1
        pair.write(
            f"UPDATE t SET v = v + 1 WHERE id IN ({ident}, {ident % 1500 + 1})",
            f"REPLACE INTO t VALUES ({ident}, 'u' || {ident * 7 % 1500 + 1}, {number})",
            f"UPDATE o SET k = k || 'x', v = {number} WHERE rowid = {ident}",
            f"DELETE FROM o WHERE rowid = {ident + 3} AND {number % 5} = 0",
        )

    answers: list[object] = []
    comparing = threading.Thread(target=lambda: answers.extend(pair.verify(patience=20).shown for _ in range(4)))
    number = 0
    with following(pair):
        comparing.start()
        while comparing.is_alive():
            number += 1
            write(number)
            comparing.join(0.01)
        assert answers == [[]] * 4
        pair.force("UPDATE o SET v = -1 WHERE k = 'k1400'", "DELETE FROM t WHERE id = 1401")
        assert number > 20
    assert not pair.verify().equal


def test_pending_changes_with_nobody_to_apply_them(make_pair: Make) -> None:
    """Keys that come to no common position are given up on with their table named; others are judged all the same."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)")
    pair.install()
    pair.sync()
    pair.write("UPDATE t SET v = 1 WHERE id = 1")
    with pytest.raises(GaveUpError, match=r"table t: 1 keys came to no common position .*such as 1: .*daemon"):
        pair.verify(patience=0.2)
    pair.write("UPDATE t SET v = 0 WHERE id = 1")
    assert pair.verify(patience=0.2).equal
    pair.write("INSERT INTO t VALUES (4, 4)", "DELETE FROM t WHERE id = 2")
    with pytest.raises(GaveUpError, match="table t: 2 keys"):
        pair.verify(patience=0.2)
    pair.write("DELETE FROM t WHERE id = 4", "INSERT INTO t VALUES (2, 0)")
    assert pair.verify(patience=0.2).equal


def test_a_table_without_key_that_changed_is_left_out_and_said_so(make_pair: Make) -> None:
    """Its copy is old until the next `run --once` or drain: no difference, but not compared either."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    pair.write("INSERT INTO nokey VALUES (9, 'new')")
    report = pair.verify()
    assert report.equal
    assert "changed since" in str(report.tables["nokey"].skipped)
    pair.sync()
    report = pair.verify()
    assert report.tables["nokey"].skipped is None
    assert report.tables["nokey"].rows_source == 5


def test_what_was_proven_before_a_repair_does_not_hold_after_it_whatever_the_clock_says(make_pair: Make) -> None:
    """PostgreSQL's clock was set back by an hour in between, and the source is quiet."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');")
    pair.install()
    pair.sync()
    assert pair.verify().equal
    with Context(pair.settings) as context, Session(context) as session:
        session.take("verify")
        session.prepare()
        mark_for_repair(session.store, session.checkpoint.tables[0], keyed=True)
        bring_up(session, Sync(session), lambda: None)
        session.release()
    pair.execute("UPDATE cdcsync.tables SET remade_at = remade_at - interval '1 hour'")
    assert [refusal.code for refusal in pair.cutover().refusals] == ["unverified"]
    assert pair.verify().equal
    assert pair.cutover().done

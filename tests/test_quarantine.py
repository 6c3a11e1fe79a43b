"""Rows PostgreSQL cannot hold are set aside, told, and come back; everything else goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.pair import MANY, Pair

from cdcsync.words.errors import PermanentStopError, RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Pair]

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, n, v TEXT)"
MAPPED: dict[str, Any] = {"t": {"columns": {"n": "integer", "v": {"type": "text", "check": "v <> 'refused'"}}}}


def _pair(make: Make, schema: str = SCHEMA, **settings: Any) -> Pair:
    made = make(schema, tables=settings.pop("tables", MAPPED), **settings)
    made.install()
    return made


def _bad(kind: str) -> tuple[object, object]:
    return {"class": ("text", "v"), "check": (5, "refused"), "nul": (5, "a\0b")}[kind]


@pytest.mark.parametrize("kind", ["class", "check", "nul"])
def test_a_copy_sets_bad_rows_aside_and_copies_the_rest(make_pair: Make, kind: str) -> None:
    """Wherever in the table they stand, exactly the bad rows are missing and named, and verify leaves them out."""
    pair = _pair(make_pair, copy_commit_rows=700)
    bad = {1, 599, 600, 601, 1234, 2000}
    pair.insert("t", [(n, *(_bad(kind) if n in bad else (n, f"v{n}"))) for n in range(1, 2001)])
    pair.sync()
    assert pair.target("SELECT count(*), count(*) FILTER (WHERE n <> id) FROM t") == [(2000 - len(bad), 0)]
    assert {(table, int(key)) for table, key, _ in pair.quarantined()} == {("t", n) for n in bad}
    report = pair.verify()
    assert report.equal
    assert (report.quarantined, report.rows_compared) == (len(bad), 2000 - len(bad))


@pytest.mark.parametrize("rows", [1, MANY, "split"])
@pytest.mark.parametrize("kind", ["class", "check", "nul"])
def test_a_row_that_turns_bad_leaves_the_target_and_comes_back_when_mended(
    make_pair: Make, kind: str, rows: int | str
) -> None:
    """On every road of the stream: no older version of it stays, and the next change or delete lets it go."""
    pair = _pair(make_pair, **({"apply_max_keys": 1} if rows == "split" else {}))
    pair.insert("t", [(n, n, "v") for n in range(1, 10)])
    pair.sync()
    more = [(100 + n, n, "v") for n in range(3 if rows == "split" else int(rows))]
    pair.insert("t", more)
    pair.application.execute("UPDATE t SET n = ?, v = ? WHERE id IN (4, 5)", _bad(kind))
    pair.sync()
    assert pair.target("SELECT count(*) FROM t") == [(7 + len(more),)]
    assert [key for _, key, _ in sorted(pair.quarantined())] == ["4", "5"]
    assert pair.verify().equal
    pair.write("UPDATE t SET n = 40, v = 'good' WHERE id = 4", "DELETE FROM t WHERE id = 5")
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT n, v FROM t WHERE id IN (4, 5)") == [(40, "good")]
    assert pair.verify().equal


def test_a_bad_row_names_column_value_and_reason(make_pair: Make) -> None:
    """What an operator needs to mend it."""
    pair = _pair(make_pair)
    pair.insert("t", [(7, "twelve", "v"), (8, 2**40, "v"), (9, 1, "refused")])
    pair.sync()
    assert sorted(pair.quarantined()) == [("t", "7", "n"), ("t", "8", "n"), ("t", "9", "of constraint t_v_check")]
    reasons = " ".join(pair.why())
    assert "storage class text where an integer is expected" in reasons
    assert "out of range for integer" in reasons
    assert "violates check constraint" in reasons


@pytest.mark.parametrize("mode", ["copied", "streamed"])
def test_rows_whose_key_holds_a_null_are_counted_under_it(make_pair: Make, mode: str) -> None:
    """SQLite admits several of them; each counts, and those that get a key arrive."""
    schema = "CREATE TABLE t (a TEXT, b INT, v TEXT, PRIMARY KEY (a, b))"
    pair = _pair(make_pair, schema, tables={})
    rows = [("x", 1, "v"), (None, 1, "v"), (None, 1, "w"), ("x", None, "v")]
    if mode == "streamed":
        pair.sync()
    pair.insert("t", rows)
    pair.sync()
    assert pair.target("SELECT a, b FROM t") == [("x", 1)]
    assert sorted(pair.quarantined()) == [("t", "'x', NULL", "b"), ("t", "NULL, 1", "a")]
    report = pair.verify()
    assert (report.equal, report.quarantined) == (True, 3)
    pair.write("UPDATE t SET a = 'y' WHERE v = 'w'", "UPDATE t SET b = 2 WHERE b IS NULL")
    pair.sync()
    assert pair.quarantined() == [("t", "NULL, 1", "a")]
    assert pair.verify().quarantined == 1
    assert pair.target("SELECT a, b FROM t ORDER BY a, b") == [("x", 1), ("x", 2), ("y", 1)]


@pytest.mark.parametrize("kind", ["class", "check", "nul"])
def test_a_table_without_a_key_sets_its_bad_rows_aside_each_time_it_is_copied(make_pair: Make, kind: str) -> None:
    """They have no key to be known by; the next whole copy decides anew."""
    pair = _pair(make_pair, "CREATE TABLE t (n, v TEXT)")
    pair.insert("t", [(1, "a"), _bad(kind), (2, "b"), _bad(kind)])
    pair.sync()
    assert pair.target("SELECT n FROM t ORDER BY n") == [(1,), (2,)]
    assert [key for _, key, _ in pair.quarantined()] == ["(none)", "(none)"]
    assert pair.verify().equal
    pair.write("DELETE FROM t WHERE rowid = 2")
    pair.sync()
    assert len(pair.quarantined()) == 1


@pytest.mark.parametrize("kind", ["class", "check", "nul"])
def test_a_repair_sets_aside_what_cannot_arrive(make_pair: Make, kind: str) -> None:
    """A table compared and mended anew ends with the same rows in quarantine, and none that is good by now."""
    pair = _pair(make_pair)
    pair.insert("t", [(n, n, "v") for n in range(1, 3001)])
    pair.application.execute("UPDATE t SET n = ?, v = ? WHERE id IN (5, 2999)", _bad(kind))
    pair.sync()
    pair.force("DELETE FROM t WHERE id = 17", "UPDATE t SET v = 'other' WHERE id = 18", "INSERT INTO t VALUES (5, 5)")
    pair.repair()
    assert [key for _, key, _ in sorted(pair.quarantined())] == ["2999", "5"]
    report = pair.verify()
    assert (report.equal, report.quarantined) == (True, 2)
    assert pair.target("SELECT count(*) FROM t") == [(2998,)]


def test_a_unique_conflict_that_only_postgresql_sees_sets_one_row_aside(make_pair: Make) -> None:
    """Two spellings of a UUID are one value there: the later row waits until the other is gone."""
    upper, lower = "AAAAAAAA-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000001"
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)"
    pair = _pair(make_pair, schema, tables={"t": {"columns": {"u": "uuid"}}})
    pair.insert("t", [(1, upper)])
    pair.sync()
    pair.insert("t", [(2, lower)])
    pair.sync()
    assert len(pair.quarantined()) == 1
    assert pair.target("SELECT count(*) FROM t") == [(1,)]
    assert pair.verify().equal
    pair.write("DELETE FROM t WHERE id = 1")
    pair.sync()
    assert pair.retry().left == 0
    assert pair.target("SELECT id FROM t") == [(2,)]


def test_a_swap_of_unique_values_in_split_cycles_sets_nothing_aside(make_pair: Make) -> None:
    """A conflict that the rest of the changelog resolves is none, beside a row that is really bad."""
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n, v TEXT UNIQUE)"
    pair = _pair(make_pair, schema, apply_max_keys=1)
    pair.insert("t", [(1, 1, "a"), (2, 2, "b")])
    pair.sync()
    pair.write(
        "UPDATE t SET n = 'bad' WHERE id = 1",
        "UPDATE t SET v = 'c' WHERE id = 1",
        "UPDATE t SET v = 'a' WHERE id = 2",
        "UPDATE t SET v = 'b' WHERE id = 1",
        "INSERT INTO t VALUES (3, 3, 'refused')",
    )
    pair.sync()
    assert sorted(key for _, key, _ in pair.quarantined()) == ["1", "3"]
    pair.write("UPDATE t SET n = 1 WHERE id = 1")
    pair.sync()
    assert pair.target("SELECT id, v FROM t ORDER BY id") == [(1, "b"), (2, "a")]


def test_retry_brings_what_the_target_takes_by_now(make_pair: Make) -> None:
    """Nothing in the changelog tells of a constraint that was dropped; a change since is read only once."""
    pair = _pair(make_pair)
    pair.insert("t", [(n, n, "refused") for n in range(1, 1301)])
    pair.insert("t", [(2000, "bad", "v")])
    pair.sync()
    assert len(pair.quarantined()) == 1301
    pair.execute("ALTER TABLE t DROP CONSTRAINT t_v_check")
    pair.write("UPDATE t SET n = -7 WHERE id = 7", "DELETE FROM t WHERE id = 8")
    report = pair.retry("t")
    assert report.left == 1
    assert pair.quarantined() == [("t", "2000", "n")]
    assert pair.target("SELECT count(*), sum(n) FILTER (WHERE id IN (7, 8)) FROM t") == [(1299, -7)]
    assert pair.verify().equal


def test_a_changed_mapping_converts_every_row_anew(make_pair: Make) -> None:
    """What a policy or a format lets in arrives by itself; what it changes is changed in rows that had arrived too."""
    columns = {"n": {"type": "timestamptz", "format": "iso"}, "v": {"type": "text"}}
    pair = _pair(make_pair, tables={"t": {"columns": columns}})
    pair.insert("t", [(1, "2024-01-01", "a"), (2, 86400, "b"), (3, None, "nul \0")])
    pair.sync()
    assert sorted(key for _, key, _ in pair.quarantined()) == ["2", "3"]
    changed = {"n": {"type": "timestamptz", "format": "epoch_s"}, "v": {"type": "text", "on_nul": "escape"}}
    pair.map_otherwise({"t": {"columns": changed}})
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT id, v FROM t WHERE id > 1 ORDER BY id") == [(2, "b"), (3, "nul \\x00")]
    assert pair.verify().equal


def test_another_type_in_the_mapping_asks_for_the_statement_that_makes_room(make_pair: Make) -> None:
    """The way out of a wrong type: it is told, and followed when it was run."""
    pair = _pair(make_pair)
    pair.insert("t", [(1, 1, "v"), (2, "two", "v")])
    pair.sync()
    pair.map_otherwise({"t": {"columns": {"n": "text", "v": MAPPED["t"]["columns"]["v"]}}})
    statement = 'ALTER TABLE "public"."t" DROP COLUMN "n"'
    with pytest.raises(PermanentStopError, match=re.escape(statement)):
        pair.sync()
    pair.execute(statement)
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT n FROM t ORDER BY id") == [("1",), ("two",)]
    assert pair.verify().equal


def test_verify_tells_a_row_that_is_neither_there_nor_in_quarantine(make_pair: Make) -> None:
    """And one that is in both: an older version that should have gone."""
    pair = _pair(make_pair)
    pair.insert("t", [(1, 1, "v"), (2, "bad", "v"), (3, 3, "refused")])
    pair.sync()
    assert pair.verify().equal
    pair.force("INSERT INTO t VALUES (2, 2, 'old')")
    assert [(found.key, found.source, found.target) for found in pair.verify().shown] == [("2", None, "(row)")]
    pair.force("DELETE FROM t WHERE id = 2", "DELETE FROM cdcsync.quarantine")
    report = pair.verify()
    assert sorted(found.key for found in report.shown) == ["2", "3"]
    assert not report.equal


def test_nothing_is_handed_over_while_rows_are_in_quarantine(make_pair: Make) -> None:
    """Unless their number is accepted; then they stay behind."""
    pair = _pair(make_pair)
    pair.insert("t", [(1, 1, "v"), (2, "bad", "v")])
    pair.sync()
    with pytest.raises(RefusedError, match=r"1 rows are in quarantine .*--accept-quarantine 1"):
        pair.drain()
    assert pair.drain(accept_quarantine=1).handed_over


def test_an_unknown_table_is_told(make_pair: Make) -> None:
    """By name."""
    pair = _pair(make_pair)
    pair.sync()
    with pytest.raises(UsageError, match="no captured table is called 'nope'"):
        pair.retry("nope")

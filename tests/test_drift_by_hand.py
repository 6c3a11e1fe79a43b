"""What people do by hand: triggers taken off for a bulk load, a copy made again, a guard dropped, ways out."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from support.drifting import in_step, rebuild, start

from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.machine.verify import verify
from cdcsync.words.errors import DriftError, PermanentStopError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

COPY = "CREATE TABLE item (id bigint PRIMARY KEY, parent bigint %s, name text %s, n bigint)"


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    return start(make_pair, monkeypatch)


def told(pair: Pair) -> list[str]:
    """Sync until it stops; return the statements a person is told to run."""
    with pytest.raises(PermanentStopError, match="cdcsync psql runs it") as stop:
        pair.sync()
    return re.findall(r"(?:ALTER|DROP) TABLE [^;(]+[^;( ]", str(stop.value))


def constraints(pair: Pair, table: str, kind: str) -> list[str]:
    """Return the names of a copy's constraints: f for foreign keys, u for unique ones."""
    query = f"SELECT conname::text FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = '{kind}'"
    return [name for (name,) in pair.target(query)]


def remarks(pair: Pair) -> list[str]:
    """Hand over; return what could not be done."""
    done = pair.drain().handover
    assert done is not None
    return done.remarks


@pytest.mark.parametrize("vacuum", [False, True])
@pytest.mark.parametrize("table", ["item", "%"])
def test_triggers_taken_off_for_a_bulk_load_and_put_back_are_noticed(pair: Pair, table: str, *, vacuum: bool) -> None:
    """SQLite cannot switch triggers off, so bulk loaders keep their texts; all of them look untouched afterwards."""
    query = f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE '{table}' ORDER BY rowid"
    triggers = pair.source(query)
    pair.write(*(f"DROP TRIGGER {name}" for name, _ in triggers))
    pair.write("DELETE FROM item WHERE id = 1", "INSERT INTO item VALUES (500, 1, 'bulk', 0)")
    pair.write(*(text for _, text in triggers))
    if vacuum:
        pair.application.execute("VACUUM")
    with pytest.raises(DriftError, match="table item was rebuilt"):
        pair.verify()
    in_step(pair)
    pair.write("UPDATE item SET n = 5 WHERE id = 500")
    in_step(pair)


def test_without_the_view_behind_our_triggers_every_table_is_compared(pair: Pair) -> None:
    """Nobody can tell any more what was made again; it is told once, and the view is back."""
    triggers = pair.source("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'")
    pair.write("DROP VIEW _cdcsync_last", *(f"DROP TRIGGER {name}" for name, _ in triggers))
    pair.write("DELETE FROM item WHERE id = 1", *(text for _, text in triggers))
    in_step(pair)
    assert pair.source("SELECT type FROM sqlite_master WHERE name = '_cdcsync_last'") == [("view",)]
    in_step(pair)
    assert pair.target("SELECT table_name FROM cdcsync.drift ORDER BY 1") == [("item",), ("note",), ("parent",)]


@pytest.mark.parametrize(
    "statements",
    [
        (COPY % ("", ""),),
        (COPY % ("", ""), "INSERT INTO item VALUES (1, 1, 'wrong', 0), (77, 1, 'extra', 0)"),
        ("CREATE TABLE item (id bigint PRIMARY KEY, name text)",),
        ("CREATE TABLE item (n bigint, extra text DEFAULT 'x', name text NOT NULL, parent int, id int PRIMARY KEY)",),
    ],
    ids=["empty", "with rows", "with fewer columns", "with others"],
)
def test_a_copy_made_again_by_hand_is_filled(pair: Pair, statements: tuple[str, ...]) -> None:
    """It has no guard, so it is not the one that was copied, whatever it holds."""
    pair.execute("DROP TABLE item", *statements)
    pair.write("INSERT INTO item VALUES (99, 1, 'x', 1)", "UPDATE item SET n = 21 WHERE id = 2")
    with pytest.raises(DriftError, match="has no guard"):
        pair.verify()
    in_step(pair)
    assert pair.target("SELECT id, n FROM item ORDER BY id") == [(1, 10), (2, 21), (3, 30), (99, 1)]
    pair.write("DELETE FROM item WHERE id = 3")
    in_step(pair)
    assert pair.drain().handed_over


def test_constraints_of_a_copy_made_by_hand_wait_for_the_rows(pair: Pair) -> None:
    """Foreign keys, which cascade, and unique indexes are taken off until rows are not mended one by one any more."""
    own = COPY % ("CONSTRAINT own_key REFERENCES parent ON DELETE CASCADE", "CONSTRAINT own_name UNIQUE")
    rows = "INSERT INTO item VALUES (70, 1, 'a', 10), (71, 1, 'b', 30)"
    pair.execute("DROP TABLE item", own, "CREATE UNIQUE INDEX own_n ON item (n)", rows)
    in_step(pair)
    assert constraints(pair, "item", "u") == ["own_name"]
    assert pair.target("SELECT count(*) FROM pg_indexes WHERE indexname = 'own_n'") == [(1,)]
    # SQLite's foreign keys are off: the child stays.
    pair.write("DELETE FROM parent WHERE id = 2", "UPDATE item SET name = 'a' || id, n = 40 - n")
    in_step(pair)
    pair.write("INSERT INTO parent VALUES (2, 'two')")
    assert pair.drain().handed_over
    assert "own_key" in constraints(pair, "item", "f")


def test_a_copy_made_by_hand_takes_what_it_can_hold(pair: Pair) -> None:
    """Without a key there is nothing to compare by; what a narrower type does not hold is set aside."""
    pair.execute("DROP TABLE item", "CREATE TABLE item (id bigint, parent bigint, name text, n bigint)")
    assert told(pair) == ['DROP TABLE "public"."item"']
    pair.execute("DROP TABLE item", "CREATE TABLE item (id int PRIMARY KEY, parent int, name char(1), n int)")
    pair.write("UPDATE item SET name = 'long' WHERE id = 2")
    pair.sync()
    assert ("item", "2", "name") in pair.quarantined()
    pair.execute("DROP TABLE item")
    in_step(pair)
    assert remarks(pair) == []


def test_copies_without_their_guards_are_mended_and_guarded(pair: Pair) -> None:
    """Nobody knows what was written meanwhile, with a key or without one."""
    pair.execute(*(f"DROP TRIGGER _cdcsync_guard ON {table}" for table in ("item", "parent", "note")))
    pair.execute("DELETE FROM item WHERE id = 1", "TRUNCATE parent", "INSERT INTO note VALUES ('extra')")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM pg_trigger WHERE tgname = '_cdcsync_guard'") == [(3,)]


@pytest.mark.parametrize("change", ["DROP TABLE item", "ALTER TABLE item RENAME TO thing"])
def test_what_was_to_be_done_to_a_forgotten_table_is_forgotten_too(pair: Pair, change: str) -> None:
    """The handover has nothing to remark, and a stranger's table of that name gets no foreign key of ours."""
    pair.write(change)
    pair.sync()
    pair.execute("DROP TABLE item")
    pair.sync()
    pair.execute("CREATE TABLE item (parent bigint)", "INSERT INTO item VALUES (1)")
    assert remarks(pair) == []
    assert constraints(pair, "item", "f") == []
    if "RENAME" in change:
        assert len(constraints(pair, "thing", "f")) == 1


def test_a_childs_foreign_key_follows_the_renamed_key_of_its_parent(pair: Pair) -> None:
    """REFERENCES parent without a column: the child's own text says nothing of it."""
    pair.write("ALTER TABLE parent RENAME COLUMN id TO number")
    pair.execute(*told(pair))
    in_step(pair)
    assert remarks(pair) == []
    assert len(constraints(pair, "item", "f")) == 1


@pytest.mark.parametrize("way", ["as told", "by dropping the copy"])
@pytest.mark.parametrize(
    ("before", "old", "after", "new"), [("INTEGER", 5, "BOOLEAN", 1), ("TEXT", "x", "DATE", "2020-01-02")]
)
def test_a_type_no_cast_leads_to_has_ways_out(
    pair: Pair, before: str, old: object, after: str, new: object, way: str
) -> None:
    """Values come from the source anyway, so what the copy holds need not be converted."""
    pair.write(f"ALTER TABLE item ADD COLUMN x {before}", f"UPDATE item SET x = '{old}'")
    in_step(pair)
    columns = f"id INTEGER PRIMARY KEY, parent REFERENCES parent, name TEXT, n INTEGER, x {after}"
    pair.write(*rebuild(columns, f"id, parent, name, n, '{new}'"))
    pair.execute(*(told(pair) if way == "as told" else ["DROP TABLE item"]))
    in_step(pair)
    assert pair.target("SELECT count(x) FROM item") == [(3,)]


def test_verify_does_not_call_equal_what_was_rebuilt_while_it_compared(pair: Pair) -> None:
    """The rows it saw were those of a table that is gone."""
    steps = rebuild("id INTEGER PRIMARY KEY, parent, name TEXT, n INTEGER", "id, parent, name || '!', n")

    def tick(table: str, _rows: int) -> None:
        if table == "item":
            pair.write(*steps)

    noticed = pytest.raises(DriftError, match="table item was rebuilt")
    with Context(pair.settings) as context, Session(context) as session, noticed:
        verify(session, ["item"], 3.0, tick)


def test_a_gap_begins_before_the_loss(pair: Pair) -> None:
    """A look at schema_version alone sees no trigger go, so it is no moment to count from."""
    with Context(pair.settings) as context, Session(context) as session:
        session.take("drain")
        sync = Sync(session)
        bring_up(session, sync, lambda: None)
        trigger = "DELETE FROM sqlite_master WHERE tbl_name = 'item' AND name LIKE '%_delete'"
        pair.write("PRAGMA writable_schema = 1", trigger)
        pair.application.execute("PRAGMA writable_schema = 0")
        pair.reopen()
        pair.write("DELETE FROM item WHERE id = 1")
        lost = time.time()
        time.sleep(0.1)
        pair.write("UPDATE item SET n = 0")
        sync.cycle()
        assert not session.schema_moved()
        session.forget_schema_version()
        with pytest.raises(DriftError):
            sync.cycle()
        bring_up(session, sync, lambda: None)
        session.release()
    gap = "SELECT extract(epoch FROM since)::float8, extract(epoch FROM until)::float8 FROM cdcsync.drift"
    (since, until) = pair.target(gap)[0]
    assert since <= lost <= until


def test_a_real_table_named_like_a_copy_is_not_left_behind(pair: Pair) -> None:
    """Its name only looks like a migration tool's: the handover waits until somebody has said what it is."""
    pair.change_settings(new_tables="capture")
    pair.write("CREATE TABLE new_item (id INTEGER PRIMARY KEY)", "INSERT INTO new_item VALUES (1)")
    in_step(pair)
    with pytest.raises(RefusedError, match="table new_item: not captured"):
        pair.drain()
    pair.write("ALTER TABLE new_item RENAME TO chosen")
    in_step(pair)
    assert pair.drain().handed_over
    assert pair.target("SELECT id FROM chosen") == [(1,)]


def test_a_column_named_like_ours_is_refused_with_the_setting_to_change(pair: Pair) -> None:
    """What is told is a line for the settings, word for word."""
    pair.write("ALTER TABLE item ADD COLUMN _cdcsync_x TEXT")
    with pytest.raises(PermanentStopError, match=r"target = \.\.\. under \[tables\.item\.columns\]"):
        pair.sync()

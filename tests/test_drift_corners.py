"""Corners of drift: indexes, keys and drift in the middle of a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.drifting import FOUND, SCHEMA, in_step, rebuild, start

from cdcsync.machine import repair, snapshot
from cdcsync.words.errors import PermanentStopError, StopRequestedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.pair import Pair

    Make = Callable[..., Pair]


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    return start(make_pair, monkeypatch)


def test_an_index_of_somebody_else_is_never_dropped(make_pair: Make) -> None:
    """One of that name was in the way of ours, so ours was never made."""
    pair = make_pair(SCHEMA + "CREATE INDEX item_name ON item (name);")
    pair.execute("CREATE TABLE legacy (name text)", "CREATE INDEX item_name ON legacy (name)")
    pair.install()
    pair.sync()
    pair.write("DROP INDEX item_name", "ALTER TABLE item ADD COLUMN x")
    in_step(pair)
    assert pair.target("SELECT tablename FROM pg_indexes WHERE indexname = 'item_name'") == [("legacy",)]


def test_a_unique_index_dropped_during_a_repair_does_not_come_back(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair takes unique indexes off until the table has caught up; the source may drop one meanwhile."""
    pair = make_pair(
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); CREATE UNIQUE INDEX un ON item (name);"
        "INSERT INTO item VALUES (1, 'a'), (2, 'b')"
    )
    pair.install()
    pair.sync()
    steps = rebuild("id INTEGER PRIMARY KEY, name TEXT", "3 - id, name")
    pair.write(*steps, "CREATE UNIQUE INDEX un ON item (name)")
    with monkeypatch.context() as killed:

        def kill(_comparer: object) -> int:
            raise StopRequestedError

        killed.setattr(repair.Comparer, "remove_extra", kill)
        with pytest.raises(StopRequestedError):
            pair.sync()
    pair.write("DROP INDEX un", "INSERT INTO item VALUES (3, 'z')")
    in_step(pair)
    pair.write("INSERT INTO item VALUES (4, 'z')")
    in_step(pair)


@pytest.mark.parametrize(
    "change", ["ALTER TABLE item DROP COLUMN n", "DROP TABLE item", "ALTER TABLE item RENAME TO it"]
)
@pytest.mark.parametrize("module", [snapshot, repair], ids=["copy", "repair"])
def test_drift_in_the_middle_of_a_table_is_answered(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch, change: str, module: object
) -> None:
    """A page that cannot be read any more is a drift like any other."""
    pair = make_pair(SCHEMA)
    pair.insert("item", [(number, 1, "x", number) for number in range(1000, 1100)])
    pair.install()
    if module is repair:
        pair.sync()
        pair.write("ALTER TABLE item ADD COLUMN q DEFAULT 5")
    monkeypatch.setattr(module, "PAGE_ROWS", 10)
    pages = module.pages  # type: ignore[attr-defined]
    done: list[str] = []

    def changing(source: object, reader: snapshot.RowReader, *rest: object) -> Iterator[object]:
        for page in pages(source, reader, *rest):
            if not done and reader.plan.name == "item":
                done.append(change)
                pair.write(change)
            yield page

    monkeypatch.setattr(module, "pages", changing)
    in_step(pair)


def test_a_table_that_gets_a_key_and_loses_it_is_copied_anew_each_time(pair: Pair) -> None:
    """What compares by key and what is copied whole are different tables to PostgreSQL."""
    pair.write("INSERT INTO note VALUES ('n')", *rebuild("id INTEGER PRIMARY KEY, body TEXT", "NULL, body", "note"))
    for columns, select in ((None, None), ("body TEXT", "body")):
        if columns is not None and select is not None:
            pair.write(*rebuild(columns, select, "note"))
        with pytest.raises(PermanentStopError, match=r'DROP TABLE "public"\."note"'):
            pair.sync()
        pair.execute('DROP TABLE "public"."note"')
        in_step(pair)


def test_a_null_in_the_key_of_a_rebuilt_table_is_set_aside_until_it_is_gone(pair: Pair) -> None:
    """INT PRIMARY KEY admits what INTEGER PRIMARY KEY did not."""
    steps = rebuild("id INT PRIMARY KEY, parent, name TEXT, n INTEGER", "*")
    pair.write(*steps, "INSERT INTO item VALUES (NULL, 1, 'q', 1)")
    pair.sync()
    assert pair.quarantined() == [("item", "NULL", "id")]
    pair.write("DELETE FROM item WHERE id IS NULL")
    in_step(pair)


@pytest.mark.parametrize("recreated", [False, True])
def test_a_key_changed_in_a_table_found_in_place_has_a_way_out(make_pair: Make, recreated: bool) -> None:  # noqa: FBT001  a parameter
    """Its owner drops it, and may make it again with the new key."""
    pair = make_pair(SCHEMA)
    pair.execute(*(statement.replace("%s", "") for statement in FOUND))
    pair.install()
    pair.sync()
    pair.write(*rebuild("id INTEGER, parent, name TEXT, n INTEGER, PRIMARY KEY (name, id)", "*"))
    with pytest.raises(PermanentStopError, match="DROP TABLE"):
        pair.sync()
    pair.execute("DROP TABLE item")
    if recreated:
        pair.execute(
            "CREATE TABLE item (n bigint, name text, parent bigint REFERENCES parent, id bigint,"
            " PRIMARY KEY (name, id))"
        )
    in_step(pair)
    pair.write("UPDATE item SET name = 'moved' WHERE id = 1")
    in_step(pair)


def test_foreign_keys_of_a_rebuilt_table_are_added_at_the_handover(pair: Pair) -> None:
    """As the source has them then."""
    steps = rebuild("id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE SET NULL, name TEXT, n INTEGER", "*")
    pair.write(*steps)
    assert pair.drain().handed_over
    found = pair.target("SELECT confdeltype FROM pg_constraint WHERE contype = 'f' AND conrelid = 'item'::regclass")
    assert found in ([(b"n",)], [("n",)])


def test_a_rebuild_with_strict_and_without_rowid_is_followed(pair: Pair) -> None:
    """The hidden rowid is gone, and with it a trigger's term."""
    columns = "id INTEGER PRIMARY KEY, parent INT REFERENCES parent, name TEXT, n INTEGER"
    steps = rebuild(columns, "*")
    pair.write(steps[0] + " STRICT, WITHOUT ROWID", *steps[1:])
    in_step(pair)
    pair.write("UPDATE item SET id = id + 10")
    in_step(pair)

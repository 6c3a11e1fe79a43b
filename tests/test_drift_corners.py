"""Corners of drift: names used again, tables that change places, a target that was changed by hand, ways out."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from cdcsync.machine import look, repair, snapshot
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.stream import bring_up
from cdcsync.machine.sync import Sync
from cdcsync.words.errors import PermanentStopError, RefusedError, StopRequestedError, UsageError
from cdcsync.words.settings import ColumnMapping, TableMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE item (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER);
CREATE TABLE note (body TEXT);
INSERT INTO parent VALUES (1, 'one'), (2, 'two');
INSERT INTO item VALUES (1, 1, 'a', 10), (2, 1, 'b', 20), (3, 2, 'c', 30);
"""
FOUND = (
    "CREATE TABLE note (body text)",
    "CREATE TABLE parent (id bigint PRIMARY KEY, name text UNIQUE)",
    "CREATE TABLE item (n bigint %s, name text, parent bigint REFERENCES parent, id bigint PRIMARY KEY)",
)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)


@pytest.fixture(name="pair")
def _pair(make_pair: Make) -> Pair:
    """A pair that is in step."""
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    return pair


def rebuild(columns: str, select: str, table: str = "item") -> tuple[str, ...]:
    """Return the steps that make a table anew."""
    return (
        f"CREATE TABLE made ({columns})",
        f"INSERT INTO made SELECT {select} FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE made RENAME TO {table}",
    )


def in_step(pair: Pair) -> None:
    """Sync, and see that both sides are equal."""
    pair.sync()
    report = pair.verify()
    assert report.equal, report.shown


@contextmanager
def one_session(pair: Pair) -> Iterator[Callable[[], object]]:
    """Sync as the daemon does, all in one session; yields a step."""
    with Context(pair.settings) as context, Session(context) as session:
        session.take("drain")
        yield lambda: bring_up(session, Sync(session), lambda: None)
        session.release()


@pytest.mark.parametrize(
    "statements",
    [
        (
            "ALTER TABLE item RENAME COLUMN n TO tmp",
            "ALTER TABLE item RENAME COLUMN m TO n",
            "ALTER TABLE item RENAME COLUMN tmp TO m",
        ),
        ("ALTER TABLE item DROP COLUMN n", "ALTER TABLE item RENAME COLUMN m TO n"),
        ("ALTER TABLE item DROP COLUMN n", "ALTER TABLE item ADD COLUMN n INTEGER"),
    ],
)
def test_a_column_that_takes_anothers_name_brings_its_own_values(pair: Pair, statements: tuple[str, ...]) -> None:
    """No row was written to, so no entry tells: the columns' places do."""
    pair.write("ALTER TABLE item ADD COLUMN m INTEGER", "UPDATE item SET m = id")
    in_step(pair)
    pair.write(*statements)
    in_step(pair)


def test_a_column_dropped_and_added_later_does_not_bring_its_old_values_back(pair: Pair) -> None:
    """PostgreSQL kept the dropped column; what it held is not what the new one holds."""
    pair.write("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    pair.write("ALTER TABLE item ADD COLUMN n INTEGER")
    in_step(pair)
    assert pair.target("SELECT count(n) FROM item") == [(0,)]


def test_a_column_dropped_and_added_with_another_type_asks_a_person(pair: Pair) -> None:
    """The kept column stands in the way, and the statement that takes it away is given."""
    pair.write("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    pair.write("ALTER TABLE item ADD COLUMN n TEXT", "UPDATE item SET n = 'words'")
    with pytest.raises(PermanentStopError, match=r'ALTER TABLE "public"\."item" DROP COLUMN "n"'):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    in_step(pair)


def test_a_column_the_target_had_already_takes_the_sources_values(make_pair: Make) -> None:
    """A table found in place may have had a column of that name with a default of its own."""
    pair = make_pair(SCHEMA)
    pair.execute(*(FOUND[0], FOUND[1], FOUND[2].replace("%s", ", extra text DEFAULT 'x'")))
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item ADD COLUMN extra TEXT")
    in_step(pair)


def test_a_column_dropped_in_the_target_is_made_and_filled_again(pair: Pair) -> None:
    """Whoever did that, the source says what is right."""
    pair.execute("ALTER TABLE item DROP COLUMN n")
    in_step(pair)
    assert pair.target("SELECT n FROM item ORDER BY id") == [(10,), (20,), (30,)]


def test_a_copy_dropped_in_the_target_is_made_and_filled_again(pair: Pair) -> None:
    """The way out of whatever cannot be followed: drop the copy."""
    pair.execute("DROP TABLE item")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM pg_trigger WHERE tgname = '_cdcsync_guard'") == [(3,)]


@pytest.mark.parametrize("by", ["repair", "batch"])
def test_staged_rows_have_the_columns_of_now(pair: Pair, by: str) -> None:
    """A session outlives a drift: what it staged rows in before has the columns of before."""
    with one_session(pair) as step:
        if by == "batch":
            pair.insert("item", [(n, 1, "x", n) for n in range(1000, 1200)])
            step()
        for name in ("a", "b"):
            pair.write(f"ALTER TABLE item ADD COLUMN {name} INTEGER DEFAULT 5", f"UPDATE item SET {name} = id")
            step()
    assert pair.verify().equal


def test_a_table_left_out_later_is_not_followed_any_more(pair: Pair) -> None:
    """With skip = true after install its triggers go, its copy stays until a person drops it, the others go on."""
    pair.change_settings(tables={"item": TableMapping(skip=True)})
    pair.write("ALTER TABLE item ADD COLUMN x", "INSERT INTO parent VALUES (3, 'three')")
    pair.sync()
    assert pair.source("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'") == [(0,)]
    assert pair.target("SELECT count(*) FROM parent") == [(3,)]
    with pytest.raises(RefusedError, match="DROP TABLE"):
        pair.drain()
    pair.execute("DROP TABLE item")
    assert pair.drain().handed_over


@pytest.mark.parametrize("kind", ["VIRTUAL TABLE item USING fts5(body)", "VIEW item AS SELECT * FROM parent"])
def test_something_else_under_the_name_of_a_dropped_table_is_left_alone(pair: Pair, kind: str) -> None:
    """A view or a virtual table is no table to capture, and no reason to look for ever."""
    pair.write("DROP TABLE item", f"CREATE {kind}")
    in_step(pair)
    assert pair.target("SELECT state FROM cdcsync.tables WHERE name = 'item'") == [("dropped",)]


def test_a_table_renamed_behind_a_view_is_followed(pair: Pair) -> None:
    """The view takes the old name, the table is copied under the new one."""
    pair.write("ALTER TABLE item RENAME TO item_data", "CREATE VIEW item AS SELECT * FROM item_data")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM item_data") == [(3,)]


def test_a_table_renamed_onto_a_dropped_one_is_told_from_it(pair: Pair) -> None:
    """The name says which copy is meant: what differs in columns needs a person, the rest follows."""
    pair.write("DROP TABLE item", "ALTER TABLE parent RENAME TO item")
    pair.sync()
    assert pair.target("SELECT id, name FROM item ORDER BY id") == [(1, "one"), (2, "two")]
    assert pair.target("SELECT state FROM cdcsync.tables WHERE name = 'parent'") == [("dropped",)]
    pair.write("DELETE FROM item WHERE id = 1")
    in_step(pair)


@pytest.mark.parametrize("other", ["v", "w INTEGER NOT NULL"])
def test_two_tables_that_change_names_are_told_apart(make_pair: Make, other: str) -> None:
    """Their triggers moved along; entries of the one are never taken for the other's."""
    pair = make_pair(
        f"CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, {other});"
        "INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 4), (2, 5)"
    )
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE a RENAME TO t", "ALTER TABLE b RENAME TO a", "ALTER TABLE t RENAME TO b")
    in_step(pair)
    pair.write("INSERT INTO a VALUES (7, 9)", "DELETE FROM b")
    in_step(pair)


def test_a_chain_of_renames_ends_right(make_pair: Make) -> None:
    """First b becomes c, then a becomes b."""
    pair = make_pair(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, w);"
        "INSERT INTO a VALUES (1, 1); INSERT INTO b VALUES (1, 4), (2, 5)"
    )
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE b RENAME TO c", "ALTER TABLE a RENAME TO b")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM c") == [(2,)]
    pair.write("UPDATE b SET v = 2", "DELETE FROM c WHERE id = 1")
    in_step(pair)


def test_a_table_rebuilt_under_another_spelling_of_its_name_is_followed(pair: Pair) -> None:
    """Names item and ITEM are one name to SQLite and two to PostgreSQL."""
    pair.write(
        *rebuild("id INTEGER PRIMARY KEY, parent, name TEXT, n INTEGER", "*")[:3], "ALTER TABLE made RENAME TO ITEM"
    )
    in_step(pair)
    pair.write("INSERT INTO item VALUES (77, 1, 'x', 0)")
    in_step(pair)
    assert pair.target('SELECT count(*) FROM "ITEM"') == [(4,)]


def test_a_number_is_never_used_for_two_tables(pair: Pair, tmp_path: Path) -> None:
    """A restored file brings the entries and numbers of a table that is long forgotten."""
    pair.change_settings(new_tables="capture")
    pair.write("CREATE TABLE t1 (id INTEGER PRIMARY KEY, v)", "INSERT INTO t1 VALUES (1, 'one')")
    in_step(pair)
    copy = tmp_path / "backup.db"
    with closing(sqlite3.connect(copy)) as backup:
        pair.application.backup(backup)
    pair.write("DROP TABLE t1")
    pair.sync()
    pair.execute("DROP TABLE t1")
    pair.write("CREATE TABLE t2 (id INTEGER PRIMARY KEY, v, w)", "INSERT INTO t2 VALUES (1, 'two', 2)")
    in_step(pair)
    numbers = pair.target("SELECT name, number FROM cdcsync.tables ORDER BY number")
    assert numbers[-1] == ("t2", 5)
    pair.application.close()
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        pair.path.with_name(name).unlink(missing_ok=True)
    shutil.move(copy, pair.path)
    pair.reopen()
    in_step(pair)
    assert pair.target("SELECT state FROM cdcsync.tables WHERE name = 't2'") == [("dropped",)]
    assert pair.target("SELECT v FROM t1") == [("one",)]


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


def test_a_mapping_may_go_on_naming_what_the_source_dropped(make_pair: Make) -> None:
    """Columns and tables that were there once are no typing mistakes, now or at any later start."""
    mapped = {"n": ColumnMapping(type="numeric")}
    pair = make_pair(SCHEMA, tables={"item": TableMapping(columns=mapped), "note": TableMapping(target="notes")})
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item DROP COLUMN n", "DROP TABLE note")
    in_step(pair)
    pair.execute("DROP TABLE notes")
    in_step(pair)
    pair.change_settings(tables={"never": TableMapping(skip=True)})
    with pytest.raises(UsageError, match="no such table"):
        pair.sync()


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


def test_a_new_table_postgresql_refuses_is_left_out(pair: Pair) -> None:
    """One table that cannot be made does not stop those that can."""
    pair.change_settings(new_tables="capture")
    pair.execute("CREATE VIEW later AS SELECT 1 AS id", "CREATE TYPE other AS (id int)")
    pair.write("CREATE TABLE later (id INTEGER PRIMARY KEY, v)", "CREATE TABLE other (id INTEGER PRIMARY KEY, v)")
    pair.write("CREATE TABLE third (id INTEGER PRIMARY KEY, xmin TEXT)", "INSERT INTO parent VALUES (3, 'three')")
    in_step(pair)
    with pytest.raises(RefusedError, match="skip = true"):
        pair.drain()


@pytest.mark.parametrize("name", ["xmin", "c" * 70])
def test_a_new_column_postgresql_cannot_name_stops_with_the_rule(pair: Pair, name: str) -> None:
    """The mapping gives it another name, or it goes away again."""
    pair.write(f"ALTER TABLE item ADD COLUMN {name} TEXT")
    with pytest.raises(PermanentStopError, match="target = "):
        pair.sync()
    pair.write(f"ALTER TABLE item DROP COLUMN {name}")
    in_step(pair)


def test_an_epoch_changed_by_hand_is_another_history(pair: Pair) -> None:
    """Nobody can say what else was done to that file."""
    pair.write("UPDATE _cdcsync_meta SET value = 'mine' WHERE name = 'epoch'")
    in_step(pair)
    assert pair.target("SELECT DISTINCT kind FROM cdcsync.drift") == [("other history",)]


def test_a_table_older_than_the_registry_put_in_place_with_our_triggers_is_noticed(pair: Pair) -> None:
    """The registry was made again since that table was: our triggers behind the last of ours tell."""
    new = "CREATE TABLE made (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER)"
    pair.write(new, "INSERT INTO made SELECT id, parent, name || '!', n FROM item")
    pair.write("ALTER TABLE parent ADD COLUMN x")
    in_step(pair)
    triggers = [t for (t,) in pair.source("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'")]
    pair.write("DROP TABLE item", "ALTER TABLE made RENAME TO item", *triggers)
    pair.application.execute("VACUUM")
    in_step(pair)
    assert pair.target("SELECT name FROM item WHERE id = 1") == [("a!",)]


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


def test_a_column_dropped_from_a_table_found_in_place_that_needs_it_asks_a_person(make_pair: Make) -> None:
    """NOT NULL without a default: every new row would be refused."""
    pair = make_pair(SCHEMA)
    pair.execute(*(statement.replace("%s", "NOT NULL") for statement in FOUND))
    pair.install()
    pair.sync()
    pair.write("ALTER TABLE item DROP COLUMN n", "INSERT INTO item VALUES (99, 1, 'x')")
    with pytest.raises(PermanentStopError, match='DROP COLUMN "n"'):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
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

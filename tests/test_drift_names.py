"""Drift of names: tables that are renamed, change places, go, come back, or turn into something else."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.drifting import in_step, rebuild, start

from cdcsync.words.errors import RefusedError
from cdcsync.words.settings import TableMapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    return start(make_pair, monkeypatch)


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


def test_a_new_table_postgresql_refuses_is_left_out(pair: Pair) -> None:
    """One table that cannot be made does not stop those that can."""
    pair.change_settings(new_tables="capture")
    pair.execute("CREATE VIEW later AS SELECT 1 AS id", "CREATE TYPE other AS (id int)")
    pair.write("CREATE TABLE later (id INTEGER PRIMARY KEY, v)", "CREATE TABLE other (id INTEGER PRIMARY KEY, v)")
    pair.write("CREATE TABLE third (id INTEGER PRIMARY KEY, xmin TEXT)", "INSERT INTO parent VALUES (3, 'three')")
    in_step(pair)
    with pytest.raises(RefusedError, match="skip = true"):
        pair.drain()


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

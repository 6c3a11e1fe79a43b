"""Traps A7, A8, A11 and B3: a schema that changes under the sync is followed, and what was missed is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.drifting import in_step, start

from cdcsync.words.errors import DriftError, PermanentStopError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

REBUILD = (
    "CREATE TABLE item_new (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER)",
    "INSERT INTO item_new SELECT id, parent, name || '!', n FROM item",
    "DROP TABLE item",
    "ALTER TABLE item_new RENAME TO item",
)


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    return start(make_pair, monkeypatch)


def gaps(pair: Pair) -> list[tuple[str, str, bool, bool]]:
    """Return what is written down about drift: table, kind, whether a gap is told, whether it is closed."""
    return [
        (table, kind, since and until, closed)
        for table, kind, since, until, closed in pair.target(
            "SELECT table_name, kind, since IS NOT NULL, until IS NOT NULL, closed_at IS NOT NULL "
            "FROM cdcsync.drift ORDER BY id"
        )
    ]


def item_triggers(pair: Pair) -> list[str]:
    """Return the texts of our triggers on the table `item`."""
    return [sql for (sql,) in pair.source("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'")]


def delete_trigger(pair: Pair) -> str:
    """Return the name of our DELETE trigger on the table `item`."""
    return str(pair.source("SELECT name FROM sqlite_master WHERE tbl_name = 'item' AND name LIKE '%_delete'")[0][0])


def test_a7_a_rebuilt_table_is_captured_again_and_mended(pair: Pair) -> None:
    """The twelve steps drop our triggers without an error: what happened meanwhile is found by comparison."""
    pair.write(*REBUILD)
    pair.write("INSERT INTO item VALUES (4, 2, 'unseen', 40)", "DELETE FROM item WHERE id = 2")
    with pytest.raises(DriftError, match="table item was rebuilt"):
        pair.verify()
    in_step(pair)
    assert pair.target("SELECT id, name FROM item ORDER BY id") == [(1, "a!"), (3, "c!"), (4, "unseen")]
    pair.write("UPDATE item SET n = 99 WHERE id = 4")
    in_step(pair)
    assert pair.target("SELECT n FROM item WHERE id = 4") == [(99,)]
    assert gaps(pair) == [("item", "rebuilt", True, True)]


def test_a7_a_rebuild_that_makes_our_triggers_again_is_noticed(pair: Pair) -> None:
    """SQLite's own recipe creates the triggers again word for word; the rows copied in between were never logged."""
    triggers = item_triggers(pair)
    table = pair.source("SELECT sql FROM sqlite_master WHERE name = 'item'")[0][0]
    new = table.replace("TABLE item", "TABLE item_new")
    pair.write(new, *REBUILD[1:], *triggers)
    with pytest.raises(DriftError, match="table item was rebuilt"):
        pair.verify()
    in_step(pair)
    assert pair.target("SELECT name FROM item ORDER BY id") == [("a!",), ("b!",), ("c!",)]
    # And again: the registry lies behind the table once more.
    triggers = item_triggers(pair)
    pair.write(new, *REBUILD[1:], *triggers)
    in_step(pair)
    assert pair.target("SELECT name FROM item ORDER BY id") == [("a!!",), ("b!!",), ("c!!",)]


def test_a7_the_variant_that_renames_the_old_table_away(pair: Pair) -> None:
    """Our triggers follow the old table to its new name; the new one under the old name is captured."""
    pair.write(
        "ALTER TABLE item RENAME TO item_old",
        "CREATE TABLE item (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER)",
        "INSERT INTO item SELECT id + 100, parent, name, n FROM item_old",
        "DROP TABLE item_old",
    )
    in_step(pair)
    assert pair.target("SELECT id FROM item ORDER BY id") == [(101,), (102,), (103,)]


def test_a_column_added_is_followed_and_captured_without_a_gap(pair: Pair) -> None:
    """A nullable column is added to the target by itself, and nothing was missed."""
    pair.write("ALTER TABLE item ADD COLUMN extra TEXT", "UPDATE item SET extra = 'x' WHERE id = 2")
    in_step(pair)
    assert pair.target("SELECT id, extra FROM item ORDER BY id") == [(1, None), (2, "x"), (3, None)]
    assert gaps(pair) == []


def test_a_column_added_with_a_default_fills_the_rows_nobody_wrote_to(pair: Pair) -> None:
    """Rows get the default in SQLite without an UPDATE; default and NOT NULL arrive with them."""
    pair.write("ALTER TABLE item ADD COLUMN flag INTEGER NOT NULL DEFAULT 7")
    in_step(pair)
    assert pair.target("SELECT DISTINCT flag FROM item") == [(7,)]
    found = "SELECT is_nullable, column_default FROM information_schema.columns WHERE column_name = 'flag'"
    assert pair.target(found) == [("NO", "'7'::bigint")] or pair.target(found) == [("NO", "7")]
    pair.write("ALTER TABLE item ADD COLUMN more TEXT")
    in_step(pair)
    assert pair.target(found)[0][0] == "NO"


def test_a_dropped_column_leaves_its_values_to_a_person(pair: Pair) -> None:
    """PostgreSQL keeps the column, free of NOT NULL, and the sync goes on."""
    pair.write("ALTER TABLE item DROP COLUMN n", "INSERT INTO item VALUES (9, 1, 'new')")
    in_step(pair)
    assert pair.target("SELECT id, n FROM item ORDER BY id") == [(1, 10), (2, 20), (3, 30), (9, None)]
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    pair.write("INSERT INTO item VALUES (10, 1, 'newer')")
    in_step(pair)


def test_a_renamed_column_arrives_under_its_new_name(pair: Pair) -> None:
    """Its values are in the new column; the old one stays until a person drops it."""
    pair.write("ALTER TABLE item RENAME COLUMN n TO amount")
    in_step(pair)
    assert pair.target("SELECT id, amount FROM item ORDER BY id") == [(1, 10), (2, 20), (3, 30)]


def test_a_renamed_table_is_copied_under_its_new_name(pair: Pair) -> None:
    """The copy under the old name stays until a person drops it, and blocks the handover until then."""
    pair.write("ALTER TABLE item RENAME TO thing", "INSERT INTO thing VALUES (9, 1, 'new', 0)")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM thing") == [(4,)]
    pair.write("DELETE FROM thing WHERE id = 9")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM thing") == [(3,)]
    with pytest.raises(RefusedError, match=r'DROP TABLE "public"\."item"'):
        pair.drain()
    pair.execute('DROP TABLE "public"."item"')
    assert pair.drain().handed_over


def test_a_dropped_table_keeps_its_copy_and_blocks_the_handover(pair: Pair) -> None:
    """The others go on; the handover waits until a person has dropped the copy too."""
    pair.write("DROP TABLE item", "INSERT INTO parent VALUES (3, 'three')")
    pair.sync()
    assert pair.target("SELECT count(*) FROM item") == [(3,)]
    assert pair.target("SELECT count(*) FROM parent") == [(3,)]
    with pytest.raises(RefusedError, match=r'DROP TABLE "public"\."item"'):
        pair.drain()
    pair.execute("DROP TABLE item")
    assert pair.drain().handed_over


def test_a_dropped_table_that_comes_back_is_captured_again(pair: Pair) -> None:
    """A rebuild in several transactions has a moment without the table; its rows are compared afterwards."""
    pair.write("CREATE TABLE kept AS SELECT * FROM item WHERE id > 1", "DROP TABLE item")
    pair.sync()
    pair.write(REBUILD[0].replace("item_new", "item"), "INSERT INTO item SELECT * FROM kept", "DROP TABLE kept")
    in_step(pair)
    assert pair.target("SELECT id FROM item ORDER BY id") == [(2,), (3,)]
    assert pair.drain().handed_over


def test_a8_a_new_unique_index_is_watched_from_now_on(pair: Pair) -> None:
    """Its REPLACE victims are logged, and PostgreSQL keeps the same uniqueness."""
    pair.write("CREATE UNIQUE INDEX item_name ON item (name)", "INSERT OR REPLACE INTO item VALUES (7, 1, 'a', 0)")
    in_step(pair)
    assert pair.target("SELECT id FROM item ORDER BY id") == [(2,), (3,), (7,)]
    pair.write("INSERT OR REPLACE INTO item VALUES (8, 1, 'b', 0)")
    in_step(pair)
    assert pair.target("SELECT indexname FROM pg_indexes WHERE indexname = 'item_name'") == [("item_name",)]
    pair.write("DROP INDEX item_name", "INSERT INTO item VALUES (11, 1, 'b', 0)")
    in_step(pair)


def test_a8_a_dropped_trigger_is_noticed(pair: Pair) -> None:
    """Each trigger of ours counts."""
    pair.write(f"DROP TRIGGER {delete_trigger(pair)}", "DELETE FROM item WHERE id = 1")
    with pytest.raises(DriftError, match="table item lost a trigger"):
        pair.verify()
    in_step(pair)
    assert gaps(pair) == [("item", "uncaptured", True, True)]


def test_a8_a_trigger_deleted_under_writable_schema_is_noticed(pair: Pair) -> None:
    """schema_version does not move, so the texts are looked at now and then anyway."""
    name = delete_trigger(pair)
    pair.write("PRAGMA writable_schema = 1", f"DELETE FROM sqlite_master WHERE name = '{name}'")
    pair.application.execute("PRAGMA writable_schema = 0")
    pair.reopen()
    pair.write("DELETE FROM item WHERE id = 1")
    in_step(pair)
    assert gaps(pair) == [("item", "uncaptured", True, True)]


def test_a11_dropping_a_parent_with_foreign_keys_on_loses_no_child(pair: Pair) -> None:
    """The parent's rows go without its triggers, the children's cascades are logged."""
    pair.application.execute("PRAGMA foreign_keys = 1")
    pair.write("DROP TABLE parent")
    pair.application.execute("PRAGMA foreign_keys = 0")
    pair.sync()
    assert pair.source("SELECT count(*) FROM item") == [(0,)]
    assert pair.target("SELECT count(*) FROM item") == [(0,)]


def test_a_check_that_was_widened_lets_new_values_in(pair: Pair) -> None:
    """A rebuild that changes a CHECK changes it in PostgreSQL too."""
    new = "CREATE TABLE item_new (id INTEGER PRIMARY KEY, parent, name TEXT, n INTEGER CHECK (n < %s))"
    rebuild = ("INSERT INTO item_new SELECT id, parent, name, n FROM item", *REBUILD[2:])
    pair.write(new % 100, *rebuild)
    in_step(pair)
    pair.write(new % 1000, *rebuild, "INSERT INTO item VALUES (9, NULL, 'large', 500)")
    in_step(pair)
    assert pair.target("SELECT n FROM item WHERE id = 9") == [(500,)]
    assert pair.drain().handed_over
    assert "1000" in str(pair.target("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c'"))


def test_a_changed_type_asks_a_person(pair: Pair) -> None:
    """The column is made and filled again once it is dropped: a conversion in place could fail on any old value."""
    pair.write(
        "CREATE TABLE item_new (id INTEGER PRIMARY KEY, parent, name TEXT, n TEXT)",
        "INSERT INTO item_new SELECT * FROM item",
        *REBUILD[2:],
        "UPDATE item SET n = 'words' WHERE id = 1",
    )
    with pytest.raises(PermanentStopError, match=r'ALTER TABLE "public"\."item" DROP COLUMN "n"'):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    in_step(pair)
    assert pair.target("SELECT n FROM item ORDER BY id") == [("words",), ("20",), ("30",)]


def test_what_stood_on_a_column_that_is_made_again_comes_back(pair: Pair) -> None:
    """DROP COLUMN takes indexes, uniqueness and checks along without a word."""
    columns = "id INTEGER PRIMARY KEY, parent, name TEXT, n %s NOT NULL DEFAULT 1 CHECK (n > 0)"
    steps = ("INSERT INTO item_new SELECT * FROM item", *REBUILD[2:], "CREATE UNIQUE INDEX item_n ON item (name, n)")
    pair.write(f"CREATE TABLE item_new ({columns % 'INTEGER'})", *steps)
    in_step(pair)
    pair.write(f"CREATE TABLE item_new ({columns % 'REAL'})", *steps)
    with pytest.raises(PermanentStopError, match="DROP COLUMN"):
        pair.sync()
    pair.execute('ALTER TABLE "public"."item" DROP COLUMN "n"')
    in_step(pair)
    assert pair.drain().handed_over
    found = pair.target(
        "SELECT (SELECT count(*) FROM pg_indexes WHERE indexname = 'item_n'), attnotnull, atthasdef,"
        " (SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = attrelid)"
        " FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = 'n'"
    )
    assert found == [(1, True, True, 1)]


def test_a_changed_key_is_copied_anew(pair: Pair) -> None:
    """The copy is dropped by a person, made again with the new key and filled."""
    pair.write(
        "CREATE TABLE item_new (id INTEGER, parent, name TEXT, n INTEGER, PRIMARY KEY (name, id))",
        "INSERT INTO item_new SELECT * FROM item",
        *REBUILD[2:],
    )
    with pytest.raises(PermanentStopError, match=r'DROP TABLE "public"\."item"'):
        pair.sync()
    pair.execute("DROP TABLE item")
    in_step(pair)
    pair.write("DELETE FROM item WHERE name = 'a'")
    in_step(pair)
    assert pair.target("SELECT count(*) FROM item") == [(2,)]


def test_new_tables_are_reported_unless_they_are_to_be_captured(pair: Pair) -> None:
    """`new_tables` decides; a captured one is created, copied and followed."""
    pair.write("CREATE TABLE later (id INTEGER PRIMARY KEY, v)", "INSERT INTO later VALUES (1, 'x')")
    in_step(pair)
    assert pair.target("SELECT to_regclass('later')") == [(None,)]
    pair.change_settings(new_tables="capture")
    in_step(pair)
    pair.write("INSERT INTO later VALUES (2, 'y')")
    in_step(pair)
    assert pair.target("SELECT id FROM later ORDER BY id") == [(1,), (2,)]
    pair.write("CREATE TABLE wide (a, b, c, d, PRIMARY KEY (a, b, c, d))", "INSERT INTO wide VALUES (1, 2, 3, 4)")
    in_step(pair)
    pair.write("UPDATE wide SET d = 5")
    in_step(pair)


def test_a_table_without_a_key_that_was_rebuilt_is_copied_whole(pair: Pair) -> None:
    """There is nothing to compare by."""
    pair.write("ALTER TABLE note RENAME TO old", "CREATE TABLE note (body TEXT)", "INSERT INTO note VALUES ('n')")
    in_step(pair)
    assert pair.target("SELECT body FROM note") == [("n",)]
    assert gaps(pair) == [("note", "rebuilt", True, True)]

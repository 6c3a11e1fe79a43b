"""Traps C1 to C4: a file whose changelog is not the one the position was taken from is never mixed with it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cdcsync.machine import look
from cdcsync.words.errors import IdentityError, NotInstalledError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE other (k TEXT, v INTEGER, PRIMARY KEY (k, v)) WITHOUT ROWID;
CREATE TABLE note (body TEXT);
INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c');
INSERT INTO other VALUES ('x', 1);
INSERT INTO note VALUES ('n');
"""


@pytest.fixture(name="pair")
def _pair(make_pair: Make, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair that is in step, and that waits for nothing."""
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)
    pair = make_pair(SCHEMA)
    pair.install()
    pair.write("UPDATE item SET name = 'aa' WHERE id = 1")
    pair.sync()
    return pair


def backup(pair: Pair) -> Path:
    """Copy the source as it is now, without its write-ahead log."""
    copy = pair.path.with_name("backup.db")
    with closing(sqlite3.connect(copy)) as connection:
        pair.application.backup(connection)
    return copy


def restore(pair: Pair, copy: Path) -> None:
    """Put another file in the source's place, as one does: nobody has it open."""
    pair.application.close()
    for name in ("app.db", "app.db-wal", "app.db-shm"):
        pair.path.with_name(name).unlink(missing_ok=True)
    shutil.move(copy, pair.path)
    pair.reopen()


def equal_to_the_file(pair: Pair) -> None:
    """Sync, see that both sides are equal and that the position is one of this file."""
    pair.sync()
    assert pair.verify().equal
    found = pair.target("SELECT epoch, seq, consistent_seq FROM cdcsync.checkpoint")
    epoch = pair.source("SELECT value FROM _cdcsync_meta WHERE name = 'epoch'")
    head = pair.source("SELECT max(seq) FROM _cdcsync_log")
    assert found == [(epoch[0][0], head[0][0], head[0][0])]
    pair.write("INSERT INTO item VALUES (50, 'later')", "DELETE FROM item WHERE id = 3")
    pair.sync()
    assert pair.verify().equal


def test_c2_an_older_backup_is_followed_by_one_repair(pair: Pair) -> None:
    """Rows that came after the backup are taken away, rows deleted since come back."""
    copy = backup(pair)
    pair.write("INSERT INTO item VALUES (4, 'd'), (5, 'e')", "DELETE FROM item WHERE id = 2", "DELETE FROM other")
    pair.sync()
    restore(pair, copy)
    with pytest.raises(IdentityError, match="not the one position"):
        pair.verify()
    equal_to_the_file(pair)


def test_c2_an_older_backup_that_has_grown_past_the_position_is_recognised(pair: Pair) -> None:
    """The numbers fit again, the anchor does not: time and key of the entry are another's."""
    copy = backup(pair)
    pair.write("INSERT INTO item VALUES (4, 'd')", "DELETE FROM item WHERE id = 2")
    pair.sync()
    restore(pair, copy)
    for number in range(20, 40):
        pair.write(f"INSERT INTO item VALUES ({number}, 'n{number}')")
    with pytest.raises(IdentityError):
        pair.verify()
    equal_to_the_file(pair)


def test_c2_a_unique_value_that_moved_between_histories_is_no_obstacle(pair: Pair) -> None:
    """While rows are mended one by one, two of them may want the same unique value: its index waits."""
    copy = backup(pair)
    pair.write(
        "UPDATE item SET name = 'tmp' WHERE id = 1",
        "UPDATE item SET name = 'aa' WHERE id = 2",
        "UPDATE item SET name = 'b' WHERE id = 1",
        "DELETE FROM item WHERE id = 3",
        "INSERT INTO item VALUES (30, 'c')",
    )
    pair.sync()
    restore(pair, copy)
    equal_to_the_file(pair)
    assert pair.target("SELECT count(*) FROM pg_constraint WHERE contype = 'u' AND conrelid = 'item'::regclass") == [
        (1,)
    ]


def test_c4_a_log_that_lost_its_tail_leaves_postgresql_ahead(pair: Pair) -> None:
    """Power failure at synchronous=NORMAL: the file is healthy and older, its numbers are used again."""
    # What is in the write-ahead log and in no checkpoint is what a power failure can take.
    pair.application.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    image = pair.path.read_bytes()
    pair.write("INSERT INTO item VALUES (4, 'lost')")
    pair.sync()
    assert pair.target("SELECT count(*) FROM item WHERE name = 'lost'") == [(1,)]
    copy = pair.path.with_name("image.db")
    copy.write_bytes(image)
    restore(pair, copy)
    pair.write("INSERT INTO item VALUES (4, 'other')")
    equal_to_the_file(pair)
    assert pair.target("SELECT name FROM item WHERE id = 4") == [("other",)]


@pytest.mark.parametrize("grown", [False, True])
def test_c1_a_log_cleared_by_hand_is_recognised(pair: Pair, grown: bool) -> None:  # noqa: FBT001  a parameter
    """Numbers begin at 1 again, and may pass the position again."""
    pair.write("DELETE FROM _cdcsync_log", "UPDATE item SET name = 'unseen' WHERE id = 2")
    pair.write("DELETE FROM _cdcsync_log")
    for number in range(20, 40 if grown else 20):
        pair.write(f"INSERT INTO item VALUES ({number}, 'n{number}')")
    equal_to_the_file(pair)


def test_an_older_file_without_a_changelog_is_installed_again(pair: Pair) -> None:
    """The backup was made before install: the daemon says what to do, and install knows the place."""
    copy = backup(pair)
    with closing(sqlite3.connect(copy, isolation_level=None)) as before:
        for kind in ("trigger", "table"):
            names = before.execute("SELECT name FROM sqlite_master WHERE type = ? AND name GLOB '_cdcsync_*'", (kind,))
            for (name,) in names.fetchall():
                before.execute(f"DROP {kind} {name}")
        before.execute("INSERT INTO item VALUES (7, 'old')")
    restore(pair, copy)
    with pytest.raises(NotInstalledError, match="run cdcsync install"):
        pair.sync()
    assert pair.install().again
    equal_to_the_file(pair)
    assert pair.install().already


def test_b14_a_dropped_changelog_is_made_again_by_install(pair: Pair) -> None:
    """Every write of the application fails meanwhile; install mends it and what was missed is compared."""
    pair.write("DROP TABLE _cdcsync_log")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        pair.application.execute("INSERT INTO item VALUES (8, 'h')")
    with pytest.raises(NotInstalledError, match="run cdcsync install"):
        pair.sync()
    pair.install()
    # A connection that has met the error looks at the schema again only with a statement that fires no trigger.
    assert pair.source("SELECT count(*) FROM item") == [(3,)]
    pair.write("INSERT INTO item VALUES (8, 'h')")
    equal_to_the_file(pair)


def test_another_source_never_writes_to_tables_this_one_fills(tmp_path: Path, pair: Pair) -> None:
    """A second database with tables of the same names is refused with the name of the first."""
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript(SCHEMA)
    pair.change_settings(source=other)
    with pytest.raises(RefusedError, match=r"is in the way|already filled from"):
        pair.install()


def test_a13_rows_that_change_while_a_table_is_repaired_end_right(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream applies what came after the repair began: no row that was read before a change stays wrong."""
    from cdcsync.machine import repair  # noqa: PLC0415  only here its pages are small

    monkeypatch.setattr(repair, "PAGE_ROWS", 2)
    monkeypatch.setattr(repair, "CHUNK_ROWS", 2)
    pair.insert("item", [(number, f"n{number}") for number in range(100, 130)])
    pair.sync()
    pair.force("DELETE FROM item WHERE id % 2 = 0", "UPDATE item SET name = 'wrong' || id")
    pages = repair.pages
    changes = iter(range(100, 130))

    def changing(*arguments: object) -> object:
        for page in pages(*arguments):  # type: ignore[arg-type]
            number = next(changes, None)
            if number is not None:
                pair.write(
                    f"DELETE FROM item WHERE id = {number}", f"INSERT INTO item VALUES ({number + 900}, 'm{number}')"
                )
            yield page

    monkeypatch.setattr(repair, "pages", changing)
    assert not pair.verify(["item"]).equal
    pair.repair()
    assert pair.verify().equal
    assert pair.source("SELECT count(*) FROM item WHERE id >= 1000") != [(0,)]


def test_verify_repair_mends_what_only_a_comparison_finds(pair: Pair) -> None:
    """Differences nobody logged, in either direction, and of tables without a key."""
    pair.force(
        "DELETE FROM item WHERE id = 1",
        "UPDATE item SET name = 'wrong' WHERE id = 2",
        "INSERT INTO item VALUES (99, 'extra')",
        "INSERT INTO other VALUES ('y', 2)",
        "DELETE FROM note",
    )
    assert not pair.verify().equal
    pair.repair()
    assert pair.verify().equal

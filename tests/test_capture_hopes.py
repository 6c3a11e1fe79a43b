"""What one hopes works, works: each statement's rows are logged, and it ends as it does without triggers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.oracle import Watched

from cdcsync.edges import capture
from cdcsync.edges.schema import read_schema

if TYPE_CHECKING:
    from pathlib import Path


def _captured(path: Path | str, *schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for text in schema:
        connection.execute(text)
    tables = read_schema(connection).tables
    for text in capture.statements([(number, table, table.key) for number, table in enumerate(tables, 1)]):
        connection.execute(text)
    return connection


def _logged(connection: sqlite3.Connection) -> list[tuple[int, object]]:
    return connection.execute("SELECT tbl, k1 FROM _cdcsync_log ORDER BY seq").fetchall()


def test_upsert_logs_the_row_it_inserts_or_updates() -> None:
    """BEFORE INSERT fires for it too: an entry too many, which does no harm."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, n INT DEFAULT 0)") as database:
        database.run(
            "INSERT INTO t VALUES (1, 'a', 0) ON CONFLICT (u) DO NOTHING",
            "INSERT INTO t (id, u) VALUES (2, 'a'), (3, 'b') ON CONFLICT (u) DO UPDATE SET n = n + 1, id = excluded.id",
            "INSERT INTO t (u) VALUES ('a') ON CONFLICT (u) DO UPDATE SET u = 'c' WHERE n > 5",
            "INSERT OR REPLACE INTO t VALUES (2, 'b', 9) ON CONFLICT (id) DO UPDATE SET u = 'd'",
            "INSERT INTO t VALUES (3, 'd', 9) ON CONFLICT DO NOTHING",
        )


def test_cascades_and_self_references_are_logged_at_every_level() -> None:
    """Rows that a foreign key deletes or changes have entries of their own."""
    with Watched(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, up REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE b (id TEXT PRIMARY KEY, a REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE c (b REFERENCES b ON DELETE CASCADE ON UPDATE CASCADE, n, PRIMARY KEY (b, n)) WITHOUT ROWID",
        "PRAGMA foreign_keys = ON",
    ) as database:
        database.run(
            "INSERT INTO a VALUES (1, NULL), (2, 1), (3, 2)",
            "INSERT INTO b VALUES ('x', 3), ('y', 2)",
            "INSERT INTO c VALUES ('x', 1), ('y', 1)",
            "UPDATE b SET id = 'z' WHERE id = 'x'",
            "UPDATE a SET id = 20 WHERE id = 2",
            "REPLACE INTO a VALUES (3, NULL)",
            "DELETE FROM a WHERE id = 1",
        )
        assert database.rows("SELECT id FROM a UNION ALL SELECT id FROM b UNION ALL SELECT n FROM c") == [(3,)]


def test_set_null_and_set_default_are_logged_at_every_level() -> None:
    """A child that only loses its parent has changed, and may take its own children along."""
    with Watched(
        "CREATE TABLE a (id TEXT PRIMARY KEY)",
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a UNIQUE REFERENCES a ON DELETE SET NULL ON UPDATE SET DEFAULT)",
        "CREATE TABLE c (n INTEGER PRIMARY KEY, a DEFAULT 'd' REFERENCES b (a) ON UPDATE SET DEFAULT)",
        "PRAGMA foreign_keys = ON",
    ) as database:
        database.run("INSERT INTO a VALUES ('x'), ('y'), ('d')", "INSERT INTO b VALUES (1, 'x'), (2, 'y'), (3, 'd')")
        database.run("INSERT INTO c VALUES (1, 'x'), (2, 'y')", "DELETE FROM a WHERE id = 'x'")
        database.run("UPDATE a SET id = 'z' WHERE id = 'y'", "REPLACE INTO a VALUES ('z')")


def test_a_key_that_a_foreign_key_looks_up_is_logged_as_it_is_stored() -> None:
    """SQLite gives NEW and OLD of a parent the child's affinity in place, before AFTER triggers run: '05' becomes 5."""
    for options in ("", " WITHOUT ROWID"):
        for key in ("TEXT", "", "REAL"):
            with Watched(
                f"CREATE TABLE parent (id {key} PRIMARY KEY, v){options}",
                "CREATE TABLE child (p INT PRIMARY KEY REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
                "PRAGMA foreign_keys = ON",
            ) as database:
                database.run("BEGIN", "INSERT INTO child VALUES (5), (6)")
                database.run("INSERT INTO parent VALUES ('5', 1), ('06', 2), ('5.0', 3)", "UPDATE parent SET v = v + 1")
                database.run("UPDATE parent SET id = '6' WHERE id = '06'", "UPDATE parent SET id = id, v = 3")
                database.run(
                    "REPLACE INTO parent VALUES ('5', 9)", "DELETE FROM parent WHERE id = '5'", "DELETE FROM parent"
                )


def test_delete_without_where_logs_every_row() -> None:
    """A truncating DELETE would not look at rows: with triggers it does."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY)", "CREATE TABLE u (id TEXT PRIMARY KEY) WITHOUT ROWID"
    ) as database:
        database.run("INSERT INTO t VALUES (1), (2), (3)", "INSERT INTO u VALUES ('a'), ('b')")
        database.run("DELETE FROM t", "DELETE FROM u")


@pytest.mark.parametrize("options", ["", " WITHOUT ROWID", " STRICT", " WITHOUT ROWID, STRICT"])
def test_composite_keys_are_logged_in_tables_of_every_kind(options: str) -> None:
    """In the key's own order, whatever the columns' order."""
    with Watched(
        f"CREATE TABLE t (v TEXT UNIQUE, b TEXT, a INT, PRIMARY KEY (a DESC, b COLLATE NOCASE)){options}"
    ) as database:
        database.run(
            "INSERT INTO t VALUES ('one', 'x', 1), ('two', 'y', 1), ('three', 'x', 2)",
            "UPDATE t SET b = 'X' WHERE v = 'one'",
            "INSERT OR REPLACE INTO t VALUES ('two', 'x', 2)",
            "UPDATE OR REPLACE t SET a = 2 WHERE b = 'X'",
            "DELETE FROM t",
        )


def test_a_table_without_a_key_gets_markers() -> None:
    """There is nothing to call its rows by: it is copied whole."""
    with Watched("CREATE TABLE t (a, b UNIQUE)") as database:
        database.run("INSERT INTO t VALUES (1, 1), (2, 2)", "REPLACE INTO t VALUES (3, 2)", "UPDATE t SET a = 5")
        database.run("UPDATE OR REPLACE t SET b = 2", "DELETE FROM t")


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_writes_of_the_applications_own_triggers_are_logged(when: str, recursive: str) -> None:
    """changes() and last_insert_rowid() tell them what they told them before."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE audit (n INTEGER PRIMARY KEY, what UNIQUE, changed, last)",
        f"CREATE TRIGGER i {when} INSERT ON t BEGIN INSERT INTO audit (what, changed, last) "
        "SELECT new.v, changes(), last_insert_rowid(); END",
        f"CREATE TRIGGER u {when} UPDATE ON t BEGIN UPDATE OR REPLACE audit SET what = 'u', changed = changes(); END",
        f"CREATE TRIGGER d {when} DELETE ON t BEGIN DELETE FROM audit WHERE what = old.v; END",
        f"PRAGMA recursive_triggers = {recursive}",
    ) as database:
        database.run("INSERT INTO t VALUES (10, 'a'), (20, 'b'), (30, 'c')", "UPDATE t SET v = 'x' WHERE id = 10")
        database.run("REPLACE INTO t VALUES (20, 'd')", "DELETE FROM t WHERE id = 30", "INSERT INTO t (v) VALUES ('e')")


def test_a_trigger_that_ignores_the_rest_of_a_row_hides_nothing() -> None:
    """RAISE(IGNORE) ends all triggers of the row; ours were made later than the application's, and run before them."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)",
        "CREATE TRIGGER i AFTER INSERT ON t BEGIN SELECT raise(IGNORE); END",
        "CREATE TRIGGER u AFTER UPDATE ON t BEGIN SELECT raise(IGNORE); END",
        "CREATE TRIGGER d AFTER DELETE ON t BEGIN SELECT raise(IGNORE); END",
        "CREATE TRIGGER b BEFORE UPDATE ON t WHEN new.v = 'no' BEGIN SELECT raise(IGNORE); END",
    ) as database:
        database.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "UPDATE t SET v = 'no'", "UPDATE t SET id = id + 5")
        database.run("REPLACE INTO t VALUES (9, 'a')", "DELETE FROM t")


def test_a_statement_that_stops_between_a_victims_end_and_the_new_row_hides_nothing() -> None:
    """FAIL in a trigger of a cascade keeps the deletions; the row that was to come never does."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up REFERENCES t ON DELETE CASCADE)",
        "CREATE TRIGGER d AFTER DELETE ON t WHEN old.id = 2 BEGIN SELECT raise(FAIL, 'stop'); END",
        "PRAGMA foreign_keys = ON",
    ) as database:
        database.run("INSERT INTO t VALUES (1, NULL), (2, 1)", "REPLACE INTO t VALUES (1, NULL)")
        assert database.rows("SELECT id FROM t") == []


def test_instead_of_triggers_of_views_are_logged() -> None:
    """The view has no rows: its triggers write to tables, and those writes have entries."""
    with Watched(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)",
        "CREATE VIEW w AS SELECT id, upper(v) AS v FROM t",
        "CREATE TRIGGER i INSTEAD OF INSERT ON w BEGIN REPLACE INTO t VALUES (new.id, lower(new.v)); END",
        "CREATE TRIGGER u INSTEAD OF UPDATE ON w BEGIN UPDATE OR REPLACE t SET v = lower(new.v) WHERE id = old.id; END",
        "CREATE TRIGGER d INSTEAD OF DELETE ON w BEGIN DELETE FROM t WHERE id = old.id; END",
    ) as database:
        database.run(
            "INSERT INTO w VALUES (1, 'A'), (2, 'B'), (3, 'A')", "UPDATE w SET v = 'B' WHERE id = 3", "DELETE FROM w"
        )


def test_savepoints_and_rollbacks_take_rows_and_entries_back_together() -> None:
    """The changelog is part of the application's transaction."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)") as database:
        database.run("BEGIN", "INSERT INTO t VALUES (1, 'a')")
        kept = database.entries()
        database.run("SAVEPOINT s", "INSERT INTO t VALUES (2, 'b')", "REPLACE INTO t VALUES (3, 'a')", "ROLLBACK TO s")
        assert database.entries() == kept
        database.run("RELEASE s", "INSERT INTO t VALUES (4, 'c')", "COMMIT", "BEGIN", "DELETE FROM t", "ROLLBACK")
        database.run("INSERT INTO t VALUES (5, 'd')", "SAVEPOINT s", "DELETE FROM t", "ROLLBACK TO s", "COMMIT")
        assert database.rows("SELECT id FROM t") == [(1,), (4,), (5,)]


def test_returning_returns_what_it_returns_without_triggers() -> None:
    """Of inserts, replacements, updates and deletions."""
    with Watched("CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)") as database:
        database.run(
            "INSERT INTO t (v) VALUES ('a'), ('b') RETURNING id, v",
            "REPLACE INTO t VALUES (5, 'a') RETURNING *",
            "INSERT INTO t VALUES (6, 'b') ON CONFLICT (v) DO UPDATE SET id = 7 RETURNING id",
            "UPDATE OR REPLACE t SET v = 'b' RETURNING rowid",
            "DELETE FROM t RETURNING v",
        )


def test_a_database_attached_under_another_name_is_captured(tmp_path: Path) -> None:
    """Our triggers name no schema: the entries go to the file the table is in, past a TEMP table of the same name."""
    _captured(tmp_path / "app.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)").close()
    with closing(_captured(":memory:", "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")) as other:
        other.execute("ATTACH ? AS there", (str(tmp_path / "app.db"),))
        other.execute("CREATE TEMP TABLE _cdcsync_log (seq, tbl, at, k1)")
        other.execute("CREATE TEMP TABLE t (id, v)")
        other.execute("INSERT INTO there.t VALUES (1, 'a')")
        other.execute("REPLACE INTO there.t VALUES (2, 'a')")
        logged = other.execute("SELECT DISTINCT k1 FROM there._cdcsync_log ORDER BY k1").fetchall()
        assert logged == [(1,), (2,)]
        assert other.execute("SELECT count(*) FROM main._cdcsync_log").fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM temp._cdcsync_log").fetchone() == (0,)


def test_a_dump_played_into_a_captured_database_is_logged() -> None:
    """What iterdump writes is plain INSERTs; sqlite3's .dump does the same."""
    with (
        closing(sqlite3.connect(":memory:")) as old,
        closing(_captured(":memory:", "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")) as new,
    ):
        old.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE); INSERT INTO t VALUES (1, 'a'), (2, x'00ff')"
        )
        for line in old.iterdump():
            if not line.startswith("CREATE"):
                new.execute(line)
        assert _logged(new) == [(1, 1), (1, 2)]


def test_a_captured_database_survives_its_own_dump(tmp_path: Path) -> None:
    """Restored from a dump it has the same triggers in the same order, and goes on logging."""
    with (
        closing(_captured(":memory:", "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")) as old,
        closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as new,
    ):
        old.execute("INSERT INTO t VALUES (1, 'a')")
        new.executescript("\n".join(old.iterdump()))
        new.execute("REPLACE INTO t VALUES (2, 'a')")
        assert _logged(new)[:1] == [(1, 1)]
        assert {key for _, key in _logged(new)[1:]} == {1, 2}


def test_changes_and_last_insert_rowid_stay_and_total_changes_grows() -> None:
    """The application sees its own rows in both; total_changes() counts ours too."""
    with closing(_captured(":memory:", "CREATE TABLE t (id INTEGER PRIMARY KEY, v UNIQUE)")) as connection:
        connection.execute("INSERT INTO t VALUES (70, 'a'), (80, 'b')")
        assert connection.execute("SELECT changes(), last_insert_rowid()").fetchone() == (2, 80)
        connection.execute("REPLACE INTO t VALUES (75, 'a')")
        assert connection.execute("SELECT changes(), last_insert_rowid()").fetchone() == (1, 75)
        connection.execute("UPDATE t SET v = v || 'x'")
        assert connection.execute("SELECT changes(), last_insert_rowid()").fetchone() == (2, 75)
        assert connection.total_changes > 5

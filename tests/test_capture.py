"""Traps A1 to A5: every key whose row changed is in the changelog, whatever the statement."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator

import pytest

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import capture
from cdcsync.edges.schema import read_schema

TypedKey = tuple[tuple[str, object], ...]


OPEN: list[sqlite3.Connection] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Python 3.13 warns of a connection that is not closed."""
    yield
    while OPEN:
        OPEN.pop().close()


class Captured:
    """A database with our triggers, and an oracle beside them that compares all rows itself."""

    def __init__(self, schema: str) -> None:
        """Create the tables, then capture them."""
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        OPEN.append(self.connection)
        self.connection.executescript(schema)
        self.tables = list(read_schema(self.connection).tables)
        numbered = [(number, table, table.key) for number, table in enumerate(self.tables, 1)]
        for statement in capture.statements(numbered):
            self.connection.execute(statement)

    def rows(self, number: int) -> dict[TypedKey, object]:
        """Return every row of a table by its typed key."""
        table = self.tables[number - 1]
        names = ", ".join(f"typeof(t.{sqlite_name(n)}), t.{sqlite_name(n)}" for n in table.key_names)
        found: dict[TypedKey, object] = {}
        for row in self.connection.execute(f"SELECT {names}, t.* FROM {sqlite_name(table.name)} AS t"):
            width = 2 * len(table.key)
            found[tuple(zip(row[:width:2], row[1:width:2], strict=True))] = repr(row[width:])
        return found

    def logged(self, number: int, after: int) -> set[TypedKey]:
        """Return the typed keys of a table that were logged after a position."""
        width = len(self.tables[number - 1].key)
        keys = ", ".join(f"typeof(k{place}), k{place}" for place in range(1, width + 1))
        statement = f"SELECT {keys} FROM _cdcsync_log WHERE tbl = ? AND seq > ?"
        return {
            tuple(zip(row[::2], row[1::2], strict=True)) for row in self.connection.execute(statement, (number, after))
        }

    def run(self, statement: str, *parameters: object) -> None:
        """Run a statement; every key whose row it changed must be in the changelog."""
        numbers = range(1, len(self.tables) + 1)
        before = {number: self.rows(number) for number in numbers}
        head = self.connection.execute("SELECT coalesce(max(seq), 0) FROM _cdcsync_log").fetchone()[0]
        with contextlib.suppress(sqlite3.IntegrityError):
            self.connection.execute(statement, parameters)
        for number in numbers:
            after = self.rows(number)
            changed = {key for key in before[number].keys() | after.keys() if before[number].get(key) != after.get(key)}
            missed = changed - self.logged(number, head)
            assert not missed, f"{statement!r} {parameters!r} changed {missed} without an entry"


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u UNIQUE, v)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, v)",
        "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, v) WITHOUT ROWID",
        "CREATE TABLE t (id PRIMARY KEY, u TEXT UNIQUE COLLATE NOCASE, v)",
        "CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, u UNIQUE ON CONFLICT REPLACE, v)",
        "CREATE TABLE t (id INT PRIMARY KEY ON CONFLICT REPLACE, u, v, UNIQUE (u, v) ON CONFLICT REPLACE)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, u, v); CREATE UNIQUE INDEX i ON t (u COLLATE NOCASE, v DESC)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u, v); CREATE UNIQUE INDEX i ON t (lower(u)) WHERE v IS NOT NULL",
        "CREATE TABLE t (id, u, v, PRIMARY KEY (id, u)); CREATE UNIQUE INDEX i ON t (v)",
        "CREATE TABLE t (id, u, v, PRIMARY KEY (u, id)) WITHOUT ROWID",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT NOT NULL DEFAULT 'a' UNIQUE ON CONFLICT REPLACE, v)",
        "CREATE TABLE t (id NOT NULL, u, v, UNIQUE (id))",
    ],
)
def test_every_changed_key_is_logged_whatever_the_conflict_clause(schema: str) -> None:
    """Random statements with every conflict clause leave no changed row without an entry."""
    randomness = random.Random(f"cdcsync {schema}")
    database = Captured(schema)
    values: list[object] = [None, 0, 1, 2, 1.0, 2.0, "1", "a", "A", "b", "B", b"1", b"a", -1]
    clauses = ["", "OR REPLACE", "OR IGNORE", "OR ABORT", "OR FAIL", "OR ROLLBACK"]
    for _ in range(400):
        clause = randomness.choice(clauses)
        pick = [randomness.choice(values) for _ in range(3)]
        statements = [
            (f"INSERT {clause} INTO t (id, u, v) VALUES (?, ?, ?)", pick),
            ("REPLACE INTO t (id, u, v) VALUES (?, ?, ?)", pick),
            (f"UPDATE {clause} t SET u = ? WHERE v IS ?", pick[:2]),
            (f"UPDATE {clause} t SET id = ?, v = ? WHERE u IS ?", pick),
            (f"UPDATE {clause} t SET id = ? WHERE id = ?", pick[:2]),
            ("DELETE FROM t WHERE v IS ?", pick[:1]),
            ("INSERT INTO t (id, u, v) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET v = excluded.v", pick),
            ("DELETE FROM t", []),
        ]
        weights = [8, 6, 4, 4, 3, 2, 3, 0.2]
        statement, parameters = randomness.choices(statements, weights)[0]
        database.run(statement, *parameters)


def test_a_hidden_rowid_that_moves_onto_another_row_logs_the_victim() -> None:
    """UPDATE OR REPLACE of the rowid deletes a row that no DELETE trigger sees; its key is logged."""
    database = Captured("CREATE TABLE t (id TEXT PRIMARY KEY, v)")
    database.run("INSERT INTO t (rowid, id) VALUES (1, 'a'), (2, 'b')")
    database.run("UPDATE OR REPLACE t SET rowid = 2 WHERE id = 'a'")
    database.run("REPLACE INTO t (rowid, id) VALUES (2, 'c')")
    assert [row[0] for row in database.connection.execute("SELECT id FROM t")] == ["c"]


def test_a_key_that_changes_its_case_only_is_logged_under_both_names() -> None:
    """'Ab' becoming 'AB' under NOCASE, and 1 becoming 1.0 without affinity, are moves of the key."""
    nocase = Captured("CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, v)")
    nocase.run("INSERT INTO t VALUES ('Ab', 1)")
    nocase.run("UPDATE t SET id = 'AB'")
    untyped = Captured("CREATE TABLE t (id PRIMARY KEY, v)")
    untyped.run("INSERT INTO t VALUES (1, 1)")
    untyped.run("UPDATE t SET id = 1.0")
    untyped.run("UPDATE t SET id = '1'")


def test_an_outer_or_ignore_drops_no_entry() -> None:
    """The changelog has no constraint an outer INSERT OR IGNORE could silently apply to our entry."""
    database = Captured("CREATE TABLE t (id TEXT PRIMARY KEY, v)")
    for _ in range(3):
        database.run("INSERT OR IGNORE INTO t VALUES (NULL, 1)")
        database.run("INSERT OR IGNORE INTO t VALUES ('a', 1)")
    # Three rows with a NULL key, one with a; what was ignored may have entries too, which does no harm.
    assert database.connection.execute("SELECT count(*) FROM _cdcsync_log").fetchone()[0] >= 4


def test_cascades_and_self_references_are_logged_at_every_level() -> None:
    """Rows that a foreign key deletes or changes have entries of their own."""
    database = Captured(
        "PRAGMA foreign_keys = ON;"
        "CREATE TABLE a (id INTEGER PRIMARY KEY, up REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE);"
        "CREATE TABLE b (id TEXT PRIMARY KEY, a REFERENCES a ON DELETE SET NULL ON UPDATE CASCADE);"
        "CREATE TABLE c (b REFERENCES b ON UPDATE CASCADE, n, PRIMARY KEY (b, n)) WITHOUT ROWID"
    )
    database.run("INSERT INTO a VALUES (1, NULL), (2, 1), (3, 2)")
    database.run("INSERT INTO b VALUES ('x', 3), ('y', 2)")
    database.run("INSERT INTO c VALUES ('x', 1), ('y', 1)")
    database.run("UPDATE b SET id = 'z' WHERE id = 'x'")
    database.run("UPDATE a SET id = 20 WHERE id = 2")
    database.run("DELETE FROM a WHERE id = 1")
    assert database.connection.execute("SELECT count(*) FROM a").fetchone()[0] == 0


def test_names_of_every_kind_are_quoted() -> None:
    """Quotes, spaces, dots, dollars, braces, keywords and non-ASCII names make no trigger fail."""
    names = ['a "b"', "a'b", "a.b", "$table", "${key}", "{x}", "%s", "select", "größe", "new", "victim", "rowid"]
    for name in names:
        table, column = sqlite_name(name), sqlite_name(name)
        database = Captured(f"CREATE TABLE {table} ({column} PRIMARY KEY, other UNIQUE)")
        database.run(f"INSERT INTO {table} VALUES (1, 2)")
        database.run(f"REPLACE INTO {table} VALUES (2, 2)")
        database.run(f"DELETE FROM {table}")


@pytest.fixture(name="planted")
def _planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    from cdcsync.edges import statements  # noqa: PLC0415  only these tests plant bugs

    yield monkeypatch
    monkeypatch.undo()
    statements.trigger_template.cache_clear()


@pytest.mark.parametrize(
    ("template", "found", "planted_text"),
    [
        ("before_insert", "$victims", "SELECT 1"),
        ("before_update", "$victims", "SELECT 1"),
        ("changelog", "tbl, at,", "tbl, at NOT NULL CHECK (at < 0),"),
        ("after_update", "AFTER UPDATE ON", "AFTER UPDATE OF v ON"),
        ("after_update", "WHERE $moved", "WHERE 0"),
    ],
)
def test_the_oracle_finds_planted_bugs(
    planted: pytest.MonkeyPatch, template: str, found: str, planted_text: str
) -> None:
    """Each of these mistakes in a template makes the random histories fail: they are no empty ritual."""
    from string import Template  # noqa: PLC0415

    from cdcsync.edges import triggers  # noqa: PLC0415

    real = triggers.trigger_template

    def broken(name: str) -> Template:
        text = real(name).template
        return Template(text.replace(found, planted_text) if name == template else text)

    planted.setattr(triggers, "trigger_template", broken)
    # A CHECK on the log shows as an error of the application's own statement, or as a lost entry.
    with pytest.raises((AssertionError, sqlite3.IntegrityError)):
        test_every_changed_key_is_logged_whatever_the_conflict_clause(
            "CREATE TABLE t (id TEXT PRIMARY KEY, u UNIQUE, v)"
        )

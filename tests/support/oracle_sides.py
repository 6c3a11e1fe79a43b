"""The databases the oracle plays on: bare, captured, and with triggers that do nothing but write elsewhere."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Literal

from cdcsync.core.quoting import sqlite_name
from cdcsync.edges import capture
from cdcsync.edges.collisions import uncapturable
from cdcsync.edges.schema import read_schema, unique_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cdcsync.edges.triggers import Captured
    from cdcsync.words.nouns import KeyColumn, Table
    from support.oracle_schema import Schema

LONGEST = 1_000_000
"""Instructions of SQLite's machine in one statement."""
MOST_ROWS = 1_000
"""Rows in all tables: a history with more ends there."""

Kind = Literal["bare", "captured", "neutral"]
Snapshot = list[tuple[Any, ...]]
_HEAD = "SELECT -1, coalesce(max(seq), 0), 0 FROM _cdcsync_log"


class HistoryEndsError(Exception):
    """There is nothing to compare any more, or too much."""


class RefusedSchemaError(Exception):
    """A schema that `check` refuses to capture."""


class Plan:
    """The databases of one schema, made once as files in memory, and how to look at them."""

    def __init__(self, schema: Schema, *, mapped_keys: bool) -> None:
        """Try the schema out. Raises RefusedSchemaError where capture is refused."""
        self.pragmas = [text for text in schema.sql if text.startswith("PRAGMA")]
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            for text in schema.sql:
                # A random expression may be one that SQLite admits in no such place: the schema does without.
                with suppress(sqlite3.Error):
                    connection.execute(text)
            tables = read_schema(connection).tables
            bare = connection.serialize() if tables else b""
        self.captured = [
            (number, table, _mapped_key(table) if mapped_keys else table.key) for number, table in enumerate(tables, 1)
        ]
        if not tables or any(True for _, table, key in self.captured for _ in uncapturable(table, key)):
            raise RefusedSchemaError
        width = max((len(key) for _, _, key in self.captured), default=1) or 1
        own = "SELECT 0, changes(), last_insert_rowid()"
        rows = " UNION ALL ".join((own, *(_rows(*one, width) for one in self.captured)))
        self.rows = {"bare": rows, "neutral": rows, "captured": f"{rows} UNION ALL {_HEAD}"}
        logged = " || '|' || ".join(f"quote(k{place})" for place in range(1, width + 1))
        self.entries = f"SELECT tbl, {logged} FROM _cdcsync_log WHERE seq > ?"
        self._images: dict[Kind, bytes] = {"bare": bare}

    def image(self, kind: Kind) -> bytes:
        """Return a database file."""
        if kind not in self._images:
            triggers = capture.statements(self.captured) if kind == "captured" else _neutral(self.captured)
            self._images[kind] = _with(self._images["bare"], triggers)
        return self._images[kind]


def _with(image: bytes, statements: Iterable[str]) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(image)
        for text in statements:
            connection.execute(text)
        return connection.serialize()


class Side:
    """A database: bare, captured, or with triggers that do nothing but write elsewhere."""

    def __init__(self, plan: Plan, kind: Kind) -> None:
        """Make it."""
        self._plan, self._rows = plan, plan.rows[kind]
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.deserialize(plan.image(kind))
        self.connection.set_progress_handler(lambda: 1, LONGEST)
        for text in (*plan.pragmas, "PRAGMA journal_mode = MEMORY", "CREATE TEMP TABLE aside (n INTEGER PRIMARY KEY)"):
            self.connection.execute(text)

    def run(self, text: str) -> tuple[object, Snapshot]:
        """Run a statement of the application's; return its outcome and what the database then holds.

        Raises HistoryEndsError where either is too much to wait for: triggers and copies of copies can grow for ever.
        """
        outcome: object
        try:
            outcome = self.connection.execute(text).fetchall()
        except sqlite3.Error as error:
            if "interrupted" in str(error):
                raise HistoryEndsError from None
            outcome = f"{type(error).__name__}: {error}"
            if "FOREIGN KEY" in str(error):
                # With any trigger SQLite looks at foreign keys after the insert: last_insert_rowid() has moved by then.
                self.connection.execute("INSERT OR REPLACE INTO temp.aside VALUES (1)")
        rows = self.connection.execute(self._rows).fetchall()
        if len(rows) > MOST_ROWS:
            raise HistoryEndsError
        return outcome, rows

    def breaks_foreign_keys(self) -> bool:
        """Tell whether SQLite has let a row pass that refers to none."""
        with suppress(sqlite3.Error):
            return bool(self.connection.execute("PRAGMA foreign_key_check").fetchall())
        return False

    def entries(self, after: int) -> set[tuple[Any, ...]]:
        """Return table and key of the entries above a position."""
        return set(self.connection.execute(self._plan.entries, (after,)))

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def _mapped_key(table: Table) -> tuple[KeyColumn, ...]:
    keys = (unique_key(table, index) for index in table.indexes if index.origin != "pk")
    return next((key for key in keys if key), table.key)


def _neutral(captured: Iterable[Captured]) -> Iterator[str]:
    """Yield the least that any capture by triggers needs, without its purpose."""
    yield "CREATE TABLE _cdcsync_nothing (n)"
    for number, table, key in captured:
        events = ["BEFORE UPDATE", "BEFORE DELETE"]
        events += ["BEFORE INSERT"] if key or any(index.unique for index in table.indexes) else ["AFTER INSERT"]
        events += ["AFTER INSERT", "AFTER UPDATE"] if key else []
        for event in events:
            name = sqlite_name(f"_cdcsync_{number} {event}")
            body = "INSERT INTO _cdcsync_nothing VALUES (julianday('now'))"
            yield f"CREATE TRIGGER {name} {event} ON {sqlite_name(table.name)} BEGIN {body}; END"


def _rows(number: int, table: Table, key: tuple[KeyColumn, ...], width: int) -> str:
    parts = [f"quote({sqlite_name(column.name)})" for column in key]
    parts += ["'NULL'"] * (width - len(parts))
    image = [f"quote({sqlite_name(column.name)})" for column in table.columns]
    if table.hidden_rowid:
        image.append(table.hidden_rowid)
    told = " || '|' || "
    return f"SELECT {number}, {told.join(parts)}, {told.join(image)} FROM {sqlite_name(table.name)}"

"""Storage in a SQLite file."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from records import (
    ConfigError,
    Draft,
    Session,
    StorageError,
    draft_from,
    session_from,
    utc_text,
)

BUSY_TIMEOUT_SECONDS: Final = 5.0
JOURNAL_MODES: Final = ("WAL", "DELETE", "TRUNCATE", "PERSIST")
SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")
SCHEMA: Final = Path(__file__).with_name("schema.sql")

ADD_MESSAGE: Final = "INSERT INTO messages (session_id, role, text, created_at) VALUES (?, ?, ?, ?)"
# From sessions, so that an unknown session is no row rather than an error.
ADD_DRAFT: Final = """
    INSERT INTO drafts (session_id, content, created_at)
    SELECT id, ?, ? FROM sessions WHERE id = ?
"""
READ_SESSION: Final = """
    SELECT s.id, s.created_at, s.updated_at, s.summary,
           m.id, m.role, m.text, m.created_at
    FROM sessions AS s LEFT JOIN messages AS m ON m.session_id = s.id
    WHERE s.id = ? ORDER BY m.id
"""
READ_DRAFT: Final = """
    SELECT id, session_id, content, created_at
    FROM drafts WHERE session_id = ? ORDER BY id DESC LIMIT 1
"""


class SqliteStorage:
    """One connection to a SQLite file."""

    provider: Final = "sqlite"

    def __init__(self, path: str, journal_mode: str, synchronous: str) -> None:
        """Remember the settings; the first call opens the file."""
        self._path = path
        self._journal_mode = journal_mode
        self._synchronous = synchronous
        self._conn: sqlite3.Connection | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Take the settings from SQLITE_PATH and its companions."""
        path = environ.get("SQLITE_PATH", "")
        if not path:
            message = "SQLITE_PATH is not set"
            raise ConfigError(message)
        return cls(
            path,
            _choice(environ, "SQLITE_JOURNAL_MODE", "WAL", JOURNAL_MODES),
            _choice(environ, "SQLITE_SYNCHRONOUS", "NORMAL", SYNCHRONOUS),
        )

    def ping(self) -> None:
        """Return if the database answers."""
        with self._connection() as conn:
            conn.execute("SELECT 1 FROM sessions LIMIT 1").fetchone()

    def start(self, session_id: UUID, summary: str, now: datetime) -> None:
        """Create a session."""
        created_at = utc_text(now)
        with self._write() as conn:
            conn.execute(
                "INSERT INTO sessions (id, created_at, updated_at, summary) VALUES (?, ?, ?, ?)",
                (str(session_id), created_at, created_at, summary),
            )

    def chat(self, session_id: UUID, text: str, reply: str, now: datetime) -> tuple[int, int] | None:
        """Store a message and its reply in one transaction; return their ids."""
        ident, created_at = str(session_id), utc_text(now)
        with self._write() as conn:
            touched = conn.execute("UPDATE sessions SET updated_at = ? WHERE id = ?", (created_at, ident))
            if not touched.rowcount:
                return None
            user = conn.execute(ADD_MESSAGE, (ident, "user", text, created_at))
            assistant = conn.execute(ADD_MESSAGE, (ident, "assistant", reply, created_at))
            return _new_id(user), _new_id(assistant)

    def draft(self, session_id: UUID, content: str, now: datetime) -> int | None:
        """Store a draft; return its id."""
        with self._write() as conn:
            added = conn.execute(ADD_DRAFT, (content, utc_text(now), str(session_id)))
            return _new_id(added) if added.rowcount else None

    def session(self, session_id: UUID) -> Session | None:
        """Read a session with its messages, as of one moment."""
        with self._connection() as conn:
            rows = conn.execute(READ_SESSION, (str(session_id),)).fetchall()
        return session_from(rows)

    def latest_draft(self, session_id: UUID) -> Draft | None:
        """Read the newest draft of a session."""
        with self._connection() as conn:
            row = conn.execute(READ_DRAFT, (str(session_id),)).fetchone()
        return draft_from(row)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as conn, conn:
            # Taking the lock first lets the busy timeout apply: a transaction
            # that reads and then writes fails at once when another one writes.
            conn.execute("BEGIN IMMEDIATE")
            yield conn

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._conn is None:
                self._conn = self._open()
            yield self._conn
        except sqlite3.Error as error:
            self.close()
            raise StorageError(str(error)) from error

    def _open(self) -> sqlite3.Connection:
        conn = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
        try:
            conn.execute(f"PRAGMA journal_mode = {self._journal_mode}")
            conn.execute(f"PRAGMA synchronous = {self._synchronous}")
            conn.execute("PRAGMA foreign_keys = ON")
            conn.executescript(SCHEMA.read_text(encoding="utf-8"))
        except sqlite3.Error:
            conn.close()
            raise
        return conn


def _choice(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = (environ.get(name) or default).upper()
    if value not in allowed:
        message = f"{name} must be one of {', '.join(allowed)}, not {value!r}"
        raise ConfigError(message)
    return value


def _new_id(cursor: sqlite3.Cursor) -> int:
    if cursor.lastrowid is None:
        message = "the insert gave no id"
        raise StorageError(message)
    return cursor.lastrowid

"""Storage in PostgreSQL; libpq's environment says where. Creates no tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow
from records import Draft, Session, StorageError, draft_from, session_from

CONNECT_TIMEOUT_SECONDS: Final = 5

ADD_MESSAGE: Final = """
    INSERT INTO messages (session_id, role, text, created_at)
    VALUES (%s, %s, %s, %s) RETURNING id
"""
# From sessions, so that an unknown session is no row rather than an error.
ADD_DRAFT: Final = """
    INSERT INTO drafts (session_id, content, created_at)
    SELECT id, %s, %s FROM sessions WHERE id = %s RETURNING id
"""
READ_SESSION: Final = """
    SELECT s.id, s.created_at, s.updated_at, s.summary,
           m.id, m.role, m.text, m.created_at
    FROM sessions AS s LEFT JOIN messages AS m ON m.session_id = s.id
    WHERE s.id = %s ORDER BY m.id
"""
READ_DRAFT: Final = """
    SELECT id, session_id, content, created_at
    FROM drafts WHERE session_id = %s ORDER BY id DESC LIMIT 1
"""

Connection = psycopg.Connection[TupleRow]


class PostgresStorage:
    """One connection to PostgreSQL."""

    provider: Final = "postgres"

    def __init__(self) -> None:
        """Connect on the first call."""
        self._conn: Connection | None = None

    def ping(self) -> None:
        """Return if the database answers."""
        with self._connection() as conn:
            conn.execute("SELECT 1 FROM sessions LIMIT 1").fetchone()

    def start(self, session_id: UUID, summary: str, now: datetime) -> None:
        """Create a session."""
        with self._connection() as conn:
            conn.execute(
                "INSERT INTO sessions (id, created_at, updated_at, summary) VALUES (%s, %s, %s, %s)",
                (session_id, now, now, summary),
            )

    def chat(self, session_id: UUID, text: str, reply: str, now: datetime) -> tuple[int, int] | None:
        """Store a message and its reply in one transaction; return their ids."""
        with self._connection() as conn, conn.transaction():
            touched = conn.execute("UPDATE sessions SET updated_at = %s WHERE id = %s", (now, session_id))
            if not touched.rowcount:
                return None
            user = conn.execute(ADD_MESSAGE, (session_id, "user", text, now))
            assistant = conn.execute(ADD_MESSAGE, (session_id, "assistant", reply, now))
            return _new_id(user), _new_id(assistant)

    def draft(self, session_id: UUID, content: str, now: datetime) -> int | None:
        """Store a draft; return its id."""
        with self._connection() as conn:
            added = conn.execute(ADD_DRAFT, (content, now, session_id))
            return _new_id(added) if added.rowcount else None

    def session(self, session_id: UUID) -> Session | None:
        """Read a session with its messages, as of one moment."""
        with self._connection() as conn:
            rows = conn.execute(READ_SESSION, (session_id,)).fetchall()
        return session_from(rows)

    def latest_draft(self, session_id: UUID) -> Draft | None:
        """Read the newest draft of a session."""
        with self._connection() as conn:
            row = conn.execute(READ_DRAFT, (session_id,)).fetchone()
        return draft_from(row)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            if self._conn is None:
                self._conn = psycopg.connect(
                    autocommit=True,
                    client_encoding="utf8",
                    application_name="interview",
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                )
            yield self._conn
        except psycopg.Error as error:
            self.close()
            raise StorageError(str(error)) from error


def _new_id(cursor: psycopg.Cursor[TupleRow]) -> int:
    row = cursor.fetchone()
    if row is None:
        message = "the insert gave no id"
        raise StorageError(message)
    return int(row[0])

"""The storage interface, and the choice of the database behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from records import ConfigError, Draft, Session
from storage_sqlite import SqliteStorage


class Storage(Protocol):
    """One connection to the database, opened on first use, for one thread.

    Every method raises StorageError when the database fails. A write answers
    None if its session does not exist.
    """

    @property
    def provider(self) -> str:
        """The database's name in DB_PROVIDER."""

    def ping(self) -> None:
        """Return if the database answers."""

    def start(self, session_id: UUID, summary: str, now: datetime) -> None:
        """Create a session."""

    def chat(self, session_id: UUID, text: str, reply: str, now: datetime) -> tuple[int, int] | None:
        """Store a message and its reply in one transaction; return their ids."""

    def draft(self, session_id: UUID, content: str, now: datetime) -> int | None:
        """Store a draft; return its id."""

    def session(self, session_id: UUID) -> Session | None:
        """Read a session with its messages, as of one moment."""

    def latest_draft(self, session_id: UUID) -> Draft | None:
        """Read the newest draft of a session."""

    def close(self) -> None:
        """Close the connection; the next call opens another."""


def open_storage(environ: Mapping[str, str]) -> Storage:
    """Choose the storage that DB_PROVIDER names."""
    provider = environ.get("DB_PROVIDER", "")
    if provider == "sqlite":
        return SqliteStorage.from_environ(environ)
    if provider == "postgres":
        # Not at the top: on SQLite the service runs without psycopg.
        from storage_postgres import PostgresStorage  # noqa: PLC0415

        return PostgresStorage()
    message = f"DB_PROVIDER must be sqlite or postgres, not {provider!r}"
    raise ConfigError(message)

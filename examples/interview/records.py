"""What the service stores, in the one form both databases answer with."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

Row = tuple[Any, ...]


class ConfigError(Exception):
    """A setting in the environment is missing or wrong."""


class StorageError(Exception):
    """The database did not do what it was asked to."""


class Message(TypedDict):
    """One message of a session."""

    id: int
    role: str
    text: str
    created_at: str | None


class Session(TypedDict):
    """A session with its messages in order."""

    id: str
    created_at: str | None
    updated_at: str | None
    summary: str | None
    messages: list[Message]


class Draft(TypedDict):
    """A draft written from a session."""

    id: int
    session_id: str
    content: str
    created_at: str | None


def utc_text(value: datetime | str | None) -> str | None:
    """Write a stored time as ISO-8601 in UTC; a naive one is UTC already."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        message = f"not an ISO-8601 time: {value!r}"
        raise StorageError(message) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def session_from(rows: Sequence[Row]) -> Session | None:
    """Fold the rows of a session joined with its messages into one record."""
    if not rows:
        return None
    ident, created_at, updated_at, summary = rows[0][:4]
    return {
        "id": str(ident).lower(),
        "created_at": utc_text(created_at),
        "updated_at": utc_text(updated_at),
        "summary": summary,
        "messages": [
            {
                "id": message_id,
                "role": role,
                "text": text,
                "created_at": utc_text(written_at),
            }
            for _, _, _, _, message_id, role, text, written_at in rows
            if message_id is not None
        ],
    }


def draft_from(row: Row | None) -> Draft | None:
    """Turn a row of drafts into a record."""
    if row is None:
        return None
    ident, session_id, content, created_at = row
    return {
        "id": ident,
        "session_id": str(session_id).lower(),
        "content": content,
        "created_at": utc_text(created_at),
    }

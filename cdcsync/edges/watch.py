"""What PostgreSQL tells of itself: connections, errors, slow statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from cdcsync.edges.target import Target

_FILE = "watch.sql"


@dataclass(frozen=True, slots=True)
class DatabaseCounts:
    """What was counted in this database since `since`; None: since it was made."""

    commits: int
    rollbacks: int
    deadlocks: int
    conflicts: int
    sessions_fatal: int
    sessions_killed: int
    temporary_bytes: int
    since: datetime | None


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A statement of pg_stat_statements; times in milliseconds."""

    statement: str
    calls: int
    mean_ms: float
    max_ms: float


def connections(target: Target) -> tuple[int, int]:
    """Return how many connections there are, of all users, and how many there may be."""
    used, most = target.ask(_FILE, "connections")
    return used, most


def database_counts(target: Target) -> DatabaseCounts:
    """Return the counts of this database."""
    return DatabaseCounts(*target.ask(_FILE, "database"))


def slowest_statements(target: Target) -> list[SlowStatement] | None:
    """Return the slowest statements; None where pg_stat_statements is not installed, not loaded or not for us."""
    row = target.ask(_FILE, "statements_schema")
    if row is None:
        return None
    view = sql.Identifier(row[0], "pg_stat_statements")
    try:
        return [SlowStatement(*line) for line in target.rows(_FILE, "slowest", {"statements": view})]
    except psycopg.DatabaseError:
        # The extension can be created without its library being loaded.
        return None

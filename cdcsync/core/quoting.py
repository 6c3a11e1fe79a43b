"""The one place where an SQLite identifier or literal is quoted, and PostgreSQL's beside it."""

from __future__ import annotations

from psycopg import sql


def sqlite_name(name: str) -> str:
    """Quote an SQLite identifier; any name without a NUL is possible."""
    return '"' + name.replace('"', '""') + '"'


def sqlite_text(value: str) -> str:
    """Quote an SQLite string literal."""
    return "'" + value.replace("'", "''") + "'"


def postgres_name(*names: str) -> str:
    """Quote a PostgreSQL identifier, dotted where several names are given."""
    return sql.Identifier(*names).as_string()

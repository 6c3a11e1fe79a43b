"""A pair in step whose schema is about to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdcsync.machine import look

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from support.pair import Pair

SCHEMA = """
CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE item (id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE, name TEXT, n INTEGER);
CREATE TABLE note (body TEXT);
INSERT INTO parent VALUES (1, 'one'), (2, 'two');
INSERT INTO item VALUES (1, 1, 'a', 10), (2, 1, 'b', 20), (3, 2, 'c', 30);
INSERT INTO note VALUES ('n');
"""
FOUND = (
    "CREATE TABLE note (body text)",
    "CREATE TABLE parent (id bigint PRIMARY KEY, name text UNIQUE)",
    "CREATE TABLE item (n bigint %s, name text, parent bigint REFERENCES parent, id bigint PRIMARY KEY)",
)
"""The same tables, as somebody may have made them in PostgreSQL; `%s` is what `n` is, besides."""


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no migration to end."""
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)


def start(make_pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Return a pair that is in step, and that waits for nothing."""
    hurry(monkeypatch)
    pair = make_pair(SCHEMA)
    pair.install()
    pair.sync()
    return pair


def in_step(pair: Pair) -> None:
    """Sync, and see that both sides are equal."""
    pair.sync()
    report = pair.verify()
    assert report.equal, report.shown


def rebuild(columns: str, select: str = "*", table: str = "item") -> tuple[str, ...]:
    """Return the steps that make a table anew."""
    return (
        f"CREATE TABLE made ({columns})",
        f"INSERT INTO made SELECT {select} FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE made RENAME TO {table}",
    )

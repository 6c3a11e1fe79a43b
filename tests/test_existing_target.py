"""Tables found in place are adopted as they are, and get back every constraint; what cannot be filled is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from support.shape import CONSTRAINTS, INDEXES, shape_of

from cdcsync.machine import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users (id) ON DELETE CASCADE, slug TEXT UNIQUE,
    at DATETIME, UNIQUE (author, slug));
INSERT INTO users VALUES (1, 'a', 'Ada'), (2, 'b', 'Bob'), (3, NULL, NULL);
INSERT INTO posts VALUES (10, 1, 'x', '2024-01-01'), (20, 2, 'y', NULL), (30, 2, 'z', NULL);
"""
# As an ORM makes them: columns in another order, ids always generated, indexes for unique columns, more of its own.
ORM = """
CREATE TABLE users (
    name varchar(80), email text, created timestamptz NOT NULL DEFAULT now(),
    twice bigint GENERATED ALWAYS AS (id * 2) STORED,
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text
);
CREATE UNIQUE INDEX ix_users_email ON users (email);
CREATE UNIQUE INDEX ix_users_lower ON users (lower(email)) WHERE name IS NOT NULL;
CREATE INDEX ix_users_name ON users (name);
CREATE TABLE posts (
    at timestamptz, slug text CONSTRAINT posts_slug UNIQUE DEFERRABLE INITIALLY DEFERRED,
    author bigint CONSTRAINT posts_author REFERENCES users (id) ON DELETE CASCADE, id bigint PRIMARY KEY,
    CONSTRAINT posts_twice UNIQUE (author, slug), CONSTRAINT slug_length CHECK (length(slug) < 50)
);
CREATE TABLE comments (id int PRIMARY KEY, post bigint CONSTRAINT comments_post REFERENCES posts (id));
"""


def _unchecked(pair: Pair) -> list[str]:
    return [name for _, name, _, is_valid in pair.target(CONSTRAINTS) if not is_valid]


def _enforced(pair: Pair) -> set[str]:
    """Constraints and unique indexes that could refuse or cascade while rows arrive."""
    names = {name for _, name, text, _ in pair.target(CONSTRAINTS) if text.startswith(("FOREIGN", "UNIQUE"))}
    return names | {name for name, text in pair.target(INDEXES) if "UNIQUE" in text and not name.endswith("_pkey")}


def test_adopted_tables_are_filled_and_get_back_every_constraint(make_pair: Make) -> None:
    """Detached by install, unique ones back after the catch-up, foreign keys at the handover: the very same shape."""
    pair = make_pair(SOURCE)
    pair.execute(ORM)
    before = shape_of(pair)
    pair.install()
    assert _enforced(pair) == set()
    pair.sync()
    assert _enforced(pair) == {"ix_users_email", "ix_users_lower", "posts_slug", "posts_twice"}
    # A swap of unique values, a parent that goes before its children, an orphan: nothing is in the way.
    pair.write(
        "UPDATE users SET email = 'tmp' WHERE id = 1",
        "UPDATE users SET email = 'a' WHERE id = 2",
        "UPDATE users SET email = 'b' WHERE id = 1",
        "DELETE FROM users WHERE id = 1",
        "INSERT INTO users VALUES (4, 'd', 'Dan')",
    )
    pair.sync()
    assert pair.target("SELECT id, author FROM posts ORDER BY id") == [(10, 1), (20, 2), (30, 2)]
    pair.write("DELETE FROM posts WHERE author = 1")
    report = pair.drain()
    assert report.handover is not None
    assert report.handover.remarks == []
    assert shape_of(pair) == before
    assert "posts_author" not in _unchecked(pair)
    assert pair.target("SELECT id, email, name, twice, note FROM users ORDER BY id") == [
        (2, "a", "Bob", 4, None),
        (3, None, None, 6, None),
        (4, "d", "Dan", 8, None),
    ]
    pair.execute("INSERT INTO users (email) VALUES ('new')")
    assert pair.target("SELECT max(id) FROM users") == [(5,)]
    with pytest.raises(psycopg.errors.UniqueViolation):
        pair.execute("INSERT INTO users (email) VALUES ('a')")


@pytest.mark.parametrize(
    "unique",
    ["CREATE UNIQUE INDEX u ON t (u)", "ALTER TABLE t ADD UNIQUE (u)", "CREATE UNIQUE INDEX u ON t (lower(u))"],
)
def test_a_unique_value_that_moves_during_the_copy_is_no_error(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch, unique: str
) -> None:
    """A row copied, deleted, and its unique value given to a row that is copied later: nothing refuses the copy."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE)")
    pair.insert("t", [(n, f"v{n}") for n in range(50)])
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, u text)", unique)
    pair.install()
    monkeypatch.setattr(snapshot, "PAGE_ROWS", 10)
    real, moved = snapshot.pages, []

    def pages(*arguments: object) -> object:
        for page in real(*arguments):  # type: ignore[arg-type]
            yield page
            if not moved:
                moved.append(1)
                pair.write("DELETE FROM t WHERE id = 5", "INSERT INTO t VALUES (5000, 'v5')")

    monkeypatch.setattr(snapshot, "pages", pages)
    pair.sync()
    assert moved
    assert pair.target("SELECT * FROM t ORDER BY id") == pair.source("SELECT * FROM t ORDER BY id")
    with pytest.raises(psycopg.errors.UniqueViolation):
        pair.force("INSERT INTO t VALUES (6000, 'v5')")


@pytest.mark.parametrize("when", ["installed", "copied"])
def test_uninstall_gives_back_what_install_detached(make_pair: Make, when: str) -> None:
    """Before the copy or after it, the tables get their constraints back, and the guard goes."""
    pair = make_pair(SOURCE)
    pair.execute(ORM)
    before = shape_of(pair)
    pair.install()
    if when == "copied":
        pair.sync()
    pair.uninstall()
    assert shape_of(pair) == before
    pair.execute("INSERT INTO users (id, email) OVERRIDING SYSTEM VALUE VALUES (1000, 'new')")


@pytest.mark.parametrize("end", ["uninstall", "handover"])
def test_a_foreign_key_that_was_valid_is_valid_again(make_pair: Make, end: str) -> None:
    """PostgreSQL vouched for it before install, also for one of a table that is not synced; it does so again."""
    pair = make_pair(SOURCE)
    pair.execute(ORM)
    pair.install()
    pair.sync()
    if end == "uninstall":
        pair.uninstall()
    else:
        assert pair.drain().handed_over
    assert _unchecked(pair) == []

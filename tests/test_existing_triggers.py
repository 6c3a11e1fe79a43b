"""Triggers of tables found in place see nothing of what is copied, and fire as before after the handover."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.shape import TRIGGERS, shape_of

from cdcsync.edges import control
from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.machine.context import Context, Installation

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, updated_at TEXT);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES users (id));
INSERT INTO users VALUES (1, 'a', '2001-01-01 00:00:00'), (2, 'b', '2002-02-02 00:00:00');
INSERT INTO posts VALUES (10, 1);
"""
TARGET = """
CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, updated_at timestamp);
CREATE TABLE posts (id bigint PRIMARY KEY, author bigint REFERENCES users (id));
CREATE TABLE audit (at timestamptz DEFAULT now(), what text);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.updated_at := now(); INSERT INTO audit (what) VALUES (TG_NAME); RETURN NEW; END';
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO audit (what) VALUES (TG_NAME); RETURN NULL; END';
CREATE TRIGGER usual BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER "Always 'so'" BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER off BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER replica AFTER INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE users ENABLE ALWAYS TRIGGER "Always 'so'";
ALTER TABLE users DISABLE TRIGGER off;
ALTER TABLE users ENABLE REPLICA TRIGGER replica;
"""


def _detached(pair: Pair) -> set[str]:
    with Context(pair.settings) as context, context.open_source() as source, context.open_target() as target:
        store = CheckpointStore(target, Installation(source).source_id)
        return {pending.name for pending in store.detached()}


def _fail(*_: object) -> None:
    message = "cut short"
    raise RuntimeError(message)


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """Two tables found in place, one with triggers in each state there is."""
    pair = make_pair(SOURCE)
    pair.execute(TARGET)
    return pair


def test_no_trigger_sees_the_copy_or_the_stream_and_all_fire_again_afterwards(pair: Pair) -> None:
    """updated_at arrives as it is; each trigger is in the very state it was in, whether enabled or not."""
    before = shape_of(pair)
    pair.install()
    pair.sync()
    pair.write("UPDATE users SET email = 'c' WHERE id = 1", "INSERT INTO users VALUES (3, 'd', NULL)")
    pair.sync()
    assert pair.target("SELECT * FROM audit") == []
    assert pair.verify().equal
    report = pair.drain()
    assert report.handover is not None
    assert report.handover.remarks == []
    assert shape_of(pair) == before
    pair.execute("UPDATE users SET email = 'e' WHERE id = 1")
    assert pair.target("SELECT what FROM audit ORDER BY what") == [("Always 'so'",), ("usual",)]


def test_what_is_detached_is_told_until_it_is_back(pair: Pair) -> None:
    """Unique constraints until the first catch-up, foreign keys and triggers until the handover."""
    pair.install()
    assert _detached(pair) == {"users_email_key", "posts_author_fkey", "usual", "Always 'so'", "late"}
    pair.sync()
    assert _detached(pair) == {"posts_author_fkey", "usual", "Always 'so'", "late"}
    pair.drain()
    assert _detached(pair) == set()


def test_an_uninstall_that_is_cut_short_changes_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is detached is still told, and the next uninstall brings it back: each trigger fires again as it did."""
    before = shape_of(pair)
    pair.install()
    told = _detached(pair)

    with monkeypatch.context() as patch:
        patch.setattr(control, "forget", _fail)
        with pytest.raises(RuntimeError, match="cut short"):
            pair.uninstall()
    assert _detached(pair) == told
    pair.uninstall()
    assert shape_of(pair) == before


def test_a_handover_that_is_called_off_leaves_triggers_disabled(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream goes on afterwards, and still nothing of ours fires them; the next handover succeeds."""
    before = shape_of(pair)
    pair.install()
    pair.sync()
    disabled = pair.target(TRIGGERS)

    with monkeypatch.context() as patch:
        patch.setattr("cdcsync.edges.checkpoint.CheckpointStore.cut_over", _fail)
        with pytest.raises(RuntimeError, match="cut short"):
            pair.drain()
    assert pair.target(TRIGGERS) == disabled
    pair.write("UPDATE users SET email = 'z' WHERE id = 2")
    pair.sync()
    assert pair.target("SELECT * FROM audit") == []
    assert pair.drain().handed_over
    assert shape_of(pair) == before

"""The way back, at its worst moments: PostgreSQL is busy, migrated or gone, and somebody ends it half way."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from cdcsync.edges.checkpoint import CheckpointStore
from cdcsync.edges.target import Target
from cdcsync.machine import locks
from cdcsync.machine import rollback as rollback_module
from cdcsync.machine.context import Context
from cdcsync.machine.status import status
from cdcsync.words.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair

    Make = Callable[..., Pair]

SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE c (id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE, at DATETIME);
INSERT INTO p VALUES (1, 'a'), (2, 'b');
INSERT INTO c VALUES (1, 1, '2024-01-01 00:00:00');
"""
MOVED = "moved to PostgreSQL"
FILLED = "is being filled from SQLite"


@pytest.fixture
def pair(make_pair: Make) -> Pair:
    """A source that can be cut over at once."""
    return _ready(make_pair)


def _ready(make_pair: Make, **settings: object) -> Pair:
    made = make_pair(SCHEMA, **settings)
    made.make_ready()
    return made


def test_a_busy_postgresql_is_not_taken_for_one_that_is_gone(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a transaction of the application's holds a table nothing happens, whatever may be discarded."""
    assert pair.cutover().done
    monkeypatch.setattr(locks, "LONGEST_WAIT", 0.3)
    with psycopg.connect(pair.settings.target) as application:
        application.execute("INSERT INTO p VALUES (3, 'not committed')")
        assert pair.rollback().target_writes == {"p": 1}
        with pytest.raises(RefusedError, match=r"held by another transaction .* nothing was changed: let it end"):
            pair.rollback(discard=True)
        with pytest.raises(sqlite3.OperationalError, match=MOVED):
            pair.application.execute("DELETE FROM c")
        application.commit()
    assert pair.rollback().target_writes == {"p": 1}


@pytest.mark.parametrize("level", [psycopg.IsolationLevel.REPEATABLE_READ, psycopg.IsolationLevel.SERIALIZABLE])
def test_a_transaction_of_before_the_way_back_cannot_write_after_it(pair: Pair, level: psycopg.IsolationLevel) -> None:
    """It sees PostgreSQL as it was when it accepted writes: it has to begin anew, and is refused then."""
    pair.execute("CREATE TABLE elsewhere (a int)")
    assert pair.cutover().done
    with psycopg.connect(pair.settings.target) as application:
        application.isolation_level = level
        application.execute("SELECT FROM elsewhere")
        assert pair.rollback().done
        with pytest.raises(psycopg.errors.SerializationFailure):
            application.execute("INSERT INTO p VALUES (3, 'on both sides')")
        application.rollback()
        with pytest.raises(psycopg.Error, match=FILLED):
            application.execute("INSERT INTO p VALUES (3, 'on both sides')")
        application.rollback()
    assert pair.cutover().done
    with psycopg.connect(pair.settings.target) as application:
        application.isolation_level = level
        application.execute("INSERT INTO p VALUES (3, 'there')")


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    "migration", ["ALTER TABLE c DROP COLUMN at", "DROP TABLE c", "ALTER TABLE p RENAME COLUMN name TO called"]
)
def test_a_migration_of_either_side_does_not_bar_the_way_back(pair: Pair, side: str, migration: str) -> None:
    """After the handover the tables are the application's; the stream answers what changed when it goes on."""
    pair.write("DELETE FROM c")
    pair.sync()
    assert pair.cutover().done
    if side == "source":
        pair.application.execute(migration)
    else:
        pair.execute("INSERT INTO p VALUES (3, 'given up')", migration)
        assert pair.rollback().target_writes == {"p": 1}
    assert pair.rollback(discard=True).done
    pair.write("INSERT INTO p VALUES (4, 'on SQLite')")
    with pytest.raises(psycopg.Error, match=FILLED):
        pair.execute("DELETE FROM p")
    if (side, migration) == ("source", "DROP TABLE c"):
        pair.sync()
        pair.execute("DROP TABLE c")
    pair.sync()
    assert pair.verify().equal
    assert pair.cutover().done


@pytest.mark.parametrize("how", ["killed", "failing"])
def test_a_hook_that_did_not_run_is_run_by_the_next_rollback(
    make_pair: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Until then the application is still on PostgreSQL, which does not take its writes."""
    called, ready = tmp_path / "called", tmp_path / "ready"
    command = f"test -e '{ready}' && touch '{called}'"
    pair = _ready(make_pair, hooks={"after_rollback": command})
    assert pair.cutover().done
    if how == "killed":
        with monkeypatch.context() as patch:
            patch.setattr(rollback_module, "switch_back", _cut)
            with pytest.raises(KeyboardInterrupt):
                pair.rollback()
    else:
        assert any("cdcsync rollback runs it again" in remark for remark in pair.rollback().remarks)
    pair.sync()
    ready.touch()
    assert pair.rollback().done
    assert called.exists()
    with pytest.raises(RefusedError, match="nothing was handed over"):
        pair.rollback()


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_going_back_without_postgresql_switches_the_application_too(make_pair: Make, tmp_path: Path) -> None:
    """The hook is told where the move stands as far as the source knows."""
    told = tmp_path / "told"
    pair = _ready(make_pair, hooks={"after_rollback": f"env > '{told}'"})
    assert pair.cutover().done
    pair.change_settings(target="host=127.0.0.1 port=1 dbname=gone password=secret")
    assert pair.rollback(discard=True).done
    lines = told.read_text().splitlines()
    assert {"PGPORT=1", "PGDATABASE=gone", f"CDCSYNC_SOURCE={pair.path}", "CDCSYNC_HOOK_STATE=streaming"} <= set(lines)
    assert not any("secret" in line for line in lines)


def test_losing_postgresql_after_the_fence_is_lifted_is_a_remark(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite accepts writes by then, and PostgreSQL is guarded: nothing is left to be discarded."""
    assert pair.cutover().done

    def lost(*_: object) -> None:
        message = "the connection is lost"
        raise psycopg.OperationalError(message)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "note", lost)
        report = pair.rollback()
    assert report.done
    assert any("could not be told" in remark for remark in report.remarks)
    pair.write("DELETE FROM c")
    pair.sync()
    assert pair.verify().equal


def test_a_move_that_postgresql_does_not_know_to_be_undone_is_not_gone_on_with(make_pair: Make, tmp_path: Path) -> None:
    """The application is on SQLite again: no verb says that it moved, and no hook moves it."""
    called = tmp_path / "called"
    pair = _ready(make_pair, hooks={"after_handover": f"touch '{called}'"})
    assert pair.cutover().done
    called.unlink()
    _go_back_alone(pair)
    for verb in (pair.cutover, pair.drain, pair.run_once):
        with pytest.raises(RefusedError, match="run cdcsync rollback --discard-target-writes"):
            verb()
    assert not called.exists()
    assert "went back to SQLite" in _warnings(pair)[0]


@pytest.mark.parametrize("way", ["cutover", "drain"])
def test_what_was_remembered_of_a_fence_lifted_alone_is_forgotten_when_postgresql_knows(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The next move is like any other: nobody is told to discard what is written after it."""
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "cut_over", _cut)
        with pytest.raises(KeyboardInterrupt):
            pair.cutover()
    assert "run cdcsync cutover to go on, or cdcsync rollback" in _warnings(pair)[0]
    _go_back_alone(pair)
    if way == "cutover":
        assert pair.cutover().done
    else:
        assert pair.drain().handed_over
    assert _warnings(pair) == []
    pair.run_once()


def _go_back_alone(pair: Pair) -> None:
    there = pair.settings.target
    pair.change_settings(target="host=127.0.0.1 port=1 dbname=gone")
    assert pair.rollback(discard=True).done
    pair.change_settings(target=there)


def _warnings(pair: Pair) -> list[str]:
    with Context(pair.settings) as context:
        return list(status(context)["warnings"])


@pytest.mark.parametrize("fault", ["killed", "cut off"])
def test_wherever_a_rollback_is_cut_one_side_at_most_accepts_writes(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, fault: str, *, full: bool
) -> None:
    """At every statement to PostgreSQL; run again it comes to its end. A connection lost once is no lost server."""
    ended, at = False, 2
    while not ended:
        assert pair.cutover().done
        with monkeypatch.context() as patch:
            statements = _fail_at(patch, at, fault)
            with suppress(KeyboardInterrupt):
                assert pair.rollback(discard=True).done
        ended = len(statements) < at
        assert _accepting(pair) in ({"SQLite"}, {"PostgreSQL"}, set())
        with suppress(RefusedError):
            pair.rollback(discard=True)
        assert _accepting(pair) == {"SQLite"}
        pair.sync()
        pair.verify()
        at += 1 if full else 6


def _fail_at(patch: pytest.MonkeyPatch, at: int, fault: str) -> list[str]:
    real, statements = Target.execute, []

    def execute(self: Target, file: str, name: str, names: Any = None, /, **parameters: Any) -> object:
        statements.append(name)
        if len(statements) == at and fault == "killed":
            self.cut()
            raise KeyboardInterrupt
        if len(statements) == at:
            self.cut()
        return real(self, file, name, names, **parameters)

    patch.setattr(Target, "execute", execute)
    return statements


def _accepting(pair: Pair) -> set[str]:
    found = {"SQLite", "PostgreSQL"}
    with closing(sqlite3.connect(pair.path, isolation_level=None)) as application:
        try:
            application.execute("UPDATE p SET name = name")
        except sqlite3.OperationalError:
            found.remove("SQLite")
    try:
        pair.execute("UPDATE p SET name = name")
    except psycopg.Error:
        found.remove("PostgreSQL")
    return found

"""Status tells what is worth watching: the copy while it runs, what is missing, and PostgreSQL after the handover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cdcsync.cli.status import facts, table_line
from cdcsync.machine import snapshot
from cdcsync.machine.context import Context
from cdcsync.machine.session import Session
from cdcsync.machine.snapshot import copy_all
from cdcsync.machine.status import status
from cdcsync.words.errors import StopRequestedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

MANY = "(WITH RECURSIVE g (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g LIMIT 3000) SELECT value FROM g)"


def _status(pair: Pair) -> dict[str, Any]:
    with Context(pair.settings) as context:
        return status(context)


def _text(found: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in facts(found))


def test_a_copy_shows_what_is_still_to_come_and_how_long_it_will_take(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the copy, from the rows copied so far and their time; unknown before anything is copied."""
    pair = make_pair(
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY, a INT REFERENCES a);"
        "CREATE TABLE c (k TEXT PRIMARY KEY) WITHOUT ROWID;"
        f"INSERT INTO a SELECT value FROM {MANY}; INSERT INTO b SELECT id, id FROM a",
        copy_commit_rows=1000,
    )
    monkeypatch.setattr(snapshot, "PAGE_ROWS", 500)
    monkeypatch.setattr(snapshot, "SECTION_ROWS", 500)
    pair.install()
    found = _status(pair)
    assert found["copy_order"] == ["a", "c", "b"]
    assert found["estimated_copy_seconds"] is None
    pages: list[int] = []

    def watch() -> None:
        pages.append(1)
        if len(pages) == 5:
            raise StopRequestedError

    with Context(pair.settings) as context, Session(context) as session:
        session.take("drain")
        session.prepare()
        with pytest.raises(StopRequestedError):
            copy_all(session, watch)
        session.release()
    found = _status(pair)
    a, c, b = found["tables"]
    assert found["copy_order"] == ["a", "c", "b"]
    assert 0 < a["rows_copied"] < a["rows_total"] == 3000
    assert a["estimated_copy_seconds"] is not None
    assert b["estimated_copy_seconds"] >= a["estimated_copy_seconds"]
    assert c["estimated_copy_seconds"] is None
    assert "to copy: a, then c, then b" in _text(found)
    assert "s left" in table_line(a)
    pair.sync()
    found = _status(pair)
    assert found["copy_order"] == []
    assert {table["estimated_copy_seconds"] for table in found["tables"]} == {None}


def test_after_the_handover_it_shows_postgresql_and_what_became_of_the_source(make_pair: Make) -> None:
    """Connections, what PostgreSQL counted, write statements by table; DDL that no fence stops; no extension needed."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE o (id INTEGER PRIMARY KEY)")
    pair.make_ready()
    assert _status(pair)["watch"] is None
    assert pair.cutover().done
    found = _status(pair)
    assert found["watch"]["write_statements"] == {"t": 0, "o": 0}
    assert found["watch"]["slowest_statements"] is None
    assert 0 < found["watch"]["connections"]["used"] <= found["watch"]["connections"]["max"]
    assert found["source_changes"] == []
    assert "rollback loses nothing" in _text(found)
    pair.execute("INSERT INTO o VALUES (1)", "UPDATE o SET id = 2")
    pair.write("ALTER TABLE t ADD COLUMN late TEXT", "CREATE TABLE newcomer (id INTEGER PRIMARY KEY)")
    found = _status(pair)
    assert found["watch"]["write_statements"] == {"t": 0, "o": 2}
    assert found["watch"]["database"]["commits"] >= 0
    assert [change.split()[1] for change in found["source_changes"]] == ["t"]
    assert found["new_tables"] == ["newcomer"]
    text = _text(found)
    for part in ("statements: o 2", "connections: ", "deadlocks", "source changed: table t", "newcomer"):
        assert part in text


def test_what_was_detached_and_is_not_back_is_shown(make_pair: Make) -> None:
    """A constraint of a table found in place; one PostgreSQL refused to take back is a warning with its reason."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 7), (2, 7)")
    pair.execute("CREATE TABLE t (id bigint PRIMARY KEY, v bigint, CONSTRAINT alone UNIQUE (v))")
    pair.install()
    found = _status(pair)
    assert [(one["table"], one["name"], one["error"]) for one in found["detached"]] == [("t", "alone", None)]
    assert found["warnings"] == []
    assert "detached: alone of table t" in _text(found)
    pair.sync()
    found = _status(pair)
    assert "duplicate" in found["detached"][0]["error"] or "unique" in found["detached"][0]["error"]
    assert "alone of table t was detached and is not back" in found["warnings"][0]

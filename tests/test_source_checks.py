"""A CHECK of the source never keeps a row of the source out: it comes at the handover, and guards new rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from cdcsync.machine import look

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair

    Make = Callable[..., Pair]

CHECKS = (
    "SELECT conname, convalidated FROM pg_constraint WHERE contype = 'c' AND conrelid = to_regclass('t') ORDER BY 1"
)


def test_rows_that_break_a_check_arrive_and_it_is_not_valid_at_the_handover(make_pair: Make) -> None:
    """SQLite took them with ignore_check_constraints; a check that holds is valid, and both refuse new rows."""
    pair = make_pair(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0), m INTEGER CONSTRAINT low CHECK (m < 9))"
    )
    pair.application.execute("PRAGMA ignore_check_constraints = 1")
    pair.insert("t", [(1, -1, 1), (2, 2, 2)])
    pair.install()
    pair.sync()
    pair.insert("t", [(3, 0, 3)])
    pair.sync()
    assert pair.quarantined() == []
    assert pair.target("SELECT * FROM t ORDER BY id") == pair.source("SELECT * FROM t ORDER BY id")
    assert pair.verify().equal
    assert pair.target(CHECKS) == []
    report = pair.drain().handover
    assert report is not None
    assert pair.target(CHECKS) == [("low", True), ("t_n_check", False)]
    assert [remark.partition(" (")[0] for remark in report.remarks if "check" in remark] == [
        "check t_n_check of t does not hold for all rows"
    ]
    for row in ("(4, -1, 1)", "(5, 1, 10)"):
        with pytest.raises(psycopg.errors.CheckViolation):
            pair.execute(f"INSERT INTO t VALUES {row}")


def test_a_check_that_postgresql_does_not_understand_is_listed_at_install(make_pair: Make) -> None:
    """Nobody has to wait for the handover to hear of it; the mapping's own check is there from the start."""
    schema = "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT CHECK (n > 'a'), m TEXT)"
    columns = {"n": {"type": "integer"}, "m": {"type": "text", "check": "m <> 'x'"}}
    pair = make_pair(schema, tables={"t": {"columns": columns}})
    report = pair.install()
    assert any("CHECK" in left.what or "check" in left.what for left in report.not_carried)
    assert pair.target(CHECKS) == [("t_m_check", True)]
    pair.insert("t", [(1, None, "x")])
    pair.sync()
    assert pair.quarantined() == [("t", "1", "of constraint t_m_check")]


def test_a_check_changed_while_rows_stream_is_the_one_that_comes(
    make_pair: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's schema at the handover decides."""
    monkeypatch.setattr(look, "STILL_SECONDS", 0.0)
    monkeypatch.setattr(look, "MISSING_SECONDS", 0.0)
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 0))")
    pair.install()
    pair.sync()
    pair.write(
        "CREATE TABLE new_t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n > 5))",
        "DROP TABLE t",
        "ALTER TABLE new_t RENAME TO t",
    )
    pair.sync()
    pair.drain()
    assert pair.target(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'"
    ) == [("CHECK ((n > 5))",)]

"""Connections that met the permanent fence go on by themselves when it is lifted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cdcsync.edges import fence as fence_module

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.pair import Pair


def test_a_connection_that_was_refused_writes_again_after_a_rollback(make_pair: Callable[..., Pair]) -> None:
    """It need not read first, nor be opened again: SQLite must not hold on to a schema that is gone."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.make_ready()
    assert pair.cutover().done
    writes = ("INSERT OR IGNORE INTO t VALUES (2)", "UPDATE OR REPLACE t SET id = 3", "DELETE FROM t")
    for write in writes:
        with pytest.raises(sqlite3.OperationalError, match=r"moved to PostgreSQL at .*; to return run"):
            pair.application.execute(write)
    assert pair.rollback().done
    for write in writes:
        pair.application.execute(write)
    assert pair.source("SELECT count(*) FROM t") == [(0,)]


def test_a_decision_outlasts_a_power_failure_whatever_sqlite_was_built_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some builds sync less by default: PostgreSQL would be handed over, and the fence gone."""
    path, real = tmp_path / "app.db", fence_module.connect
    with closing(sqlite3.connect(path)) as application:
        application.execute("CREATE TABLE _cdcsync_meta (name TEXT PRIMARY KEY, value TEXT)")

    def hasty(path: Path, *, mode: str, shared: bool = False) -> sqlite3.Connection:
        made = real(path, mode=mode, shared=shared)
        made.execute("PRAGMA synchronous = NORMAL")
        connections.append(made)
        return made

    connections: list[sqlite3.Connection] = []
    monkeypatch.setattr(fence_module, "connect", hasty)
    with fence_module.fence(path, [], "moved", 5.0, lambda: None):
        assert connections[0].execute("PRAGMA synchronous").fetchone() == (2,)

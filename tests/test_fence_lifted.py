"""Connections that met the permanent fence go on by themselves when it is lifted."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.pair import Pair


def test_a_connection_that_was_refused_writes_again_after_a_rollback(make_pair: Callable[..., Pair]) -> None:
    """It need not read first, nor be opened again: SQLite must not hold on to a schema that is gone."""
    pair = make_pair("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.install()
    pair.sync()
    pair.verify()
    assert pair.cutover().done
    writes = ("INSERT OR IGNORE INTO t VALUES (2)", "UPDATE OR REPLACE t SET id = 3", "DELETE FROM t")
    for write in writes:
        with pytest.raises(sqlite3.OperationalError, match=r"moved to PostgreSQL at .*; to return run"):
            pair.application.execute(write)
    assert pair.rollback().done
    for write in writes:
        pair.application.execute(write)
    assert pair.source("SELECT count(*) FROM t") == [(0,)]

"""Quarantine as an operator meets it: told everywhere, listed, shown, tried again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli

SETTINGS = """
source = "../app.db"
[tables.t.columns]
n = "integer"
v = { type = "text", check = "v <> 'refused'" }
"""


@pytest.fixture
def moved(cli: Cli, tmp_path: Path) -> Cli:
    """An installed source with two bad rows, one in a table without a key."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.executescript(
            "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, n, v TEXT); CREATE TABLE k (v TEXT);"
            "INSERT INTO t VALUES (1, 1, 'v'), (2, 'two', 'v'); INSERT INTO k VALUES ('a'), ('nul' || char(0));"
        )
    (cli.cwd / "cdcsync.toml").write_text(SETTINGS)
    cli("install")
    return cli


def test_an_operator_finds_mends_and_retries_what_is_in_quarantine(moved: Cli, tmp_path: Path) -> None:
    """Exit codes, counts and JSON as the contract has them; one line for each row; nothing is handed over before."""
    once = moved("run", "--once", "--json", expect=1)
    assert once.json["quarantined"] == 2
    assert once.json["rows"] == 2
    assert moved("status", "--json").json["quarantined"] == 2
    assert "2 rows: cdcsync quarantine list" in moved("status").out
    lag = moved("lag", "--json", expect=1)
    assert (lag.json["status"], lag.json["quarantined"]) == ("WARNING", 2)
    rows = {row["table"]: row for row in moved("quarantine", "list", "--json").json["rows"]}
    assert {*rows["t"]} >= {"table", "key", "column", "reason", "value", "seq", "since"}
    assert (rows["t"]["key"], rows["t"]["column"], rows["t"]["value"]) == ("2", "n", "'two'")
    assert rows["t"]["since"].endswith("Z")
    assert "table t, key 2, column n: " in moved("quarantine", "list", "--table", "t").out
    shown = moved("quarantine", "show", "t", "2").out
    assert "text  'two'" in shown
    assert "quarantine retry" in shown
    assert moved("verify", "--json").json["quarantined"] == 2
    assert "--accept-quarantine" in moved("drain", "--handover", "--quiet-seconds", "0", expect=1).err
    assert moved("quarantine", "retry", expect=1).out == "2 were in quarantine, 2 still are\n"
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("UPDATE t SET n = 2 WHERE id = 2")
        connection.execute("DELETE FROM k WHERE v <> 'a'")
        connection.commit()
    assert moved("run", "--once").code == 0
    assert moved("quarantine", "list").out == "nothing is in quarantine\n"


def test_the_daemon_goes_on_past_bad_rows(moved: Cli, tmp_path: Path) -> None:
    """And takes the checkpoint back after a retry."""
    daemon = moved.daemon()
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO t VALUES (3, 3, 'refused'), (4, 4, 'good')")
        wait_until(lambda: moved.database.rows("SELECT 1 FROM t WHERE id = 4"), "the good row")
        assert moved("quarantine", "retry", "--table", "t", expect=1).out.endswith("still are\n")
        connection.execute("INSERT INTO t VALUES (5, 5, 'good')")
        wait_until(lambda: moved.database.rows("SELECT 1 FROM t WHERE id = 5"), "the next good row")
    assert daemon.is_running()
    assert daemon.terminate() == 0


def test_mistakes_are_told_in_one_line(moved: Cli) -> None:
    """An unknown table is a usage error; a row that is not there is a negative answer."""
    assert "no captured table is called 'nope'" in moved("quarantine", "list", "--table", "nope", expect=2).err
    moved("run", "--once", expect=1)
    assert "no row with key 99" in moved("quarantine", "show", "t", "99", expect=1).err

"""Lines an operator reads in a hurry: each is true by itself, and names the next thing to do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cdcsync.cli.demonstration import picture
from cdcsync.cli.demonstration.gauges import copying
from cdcsync.cli.status import table_line
from cdcsync.edges.target import Target
from cdcsync.words.errors import TargetError

if TYPE_CHECKING:
    from support.cli import Cli


def test_a_table_that_is_not_being_copied_tells_no_rows_of_the_copy() -> None:
    """Rows written meanwhile make those fewer than there are, which reads as if some were missing."""
    table = {"state": "joined", "rows_copied": 20_619, "rows_total": 20_648, "estimated_copy_seconds": None}
    assert table_line(table) == "joined, 20648 rows at the last count"
    assert table_line({**table, "state": "copying"}) == "copying, 20619 rows copied of 20648"


def test_a_host_that_is_not_found_is_named_though_the_environment_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says which host, and where it may stand."""
    monkeypatch.setenv("PGHOST", "nosuch.invalid")
    with pytest.raises(TargetError, match=r"host 'nosuch\.invalid'.*PGDATABASE"):
        Target("")


def test_what_is_left_to_do_after_a_handover_is_said(cli: Cli) -> None:
    """`cutover` names its backup, `uninstall` the fence it leaves and how it is lifted, `rollback` the daemon."""
    with closing(sqlite3.connect(cli.cwd / "app.db")) as db:
        db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, NULL), (2, 'b')")
    (cli.cwd / "cdcsync.toml").write_text('source = "app.db"\n')
    cli("install")
    cli("run", "--once")
    cli("verify")
    assert f"backup: {cli.cwd / 'before.db'}" in cli("cutover", "--backup", "before.db").out
    assert "start cdcsync run to follow again" in cli("rollback").out
    cli("cutover", "--no-backup")
    assert "--source-only --lift-fence takes it off" in cli("uninstall").out
    # What the fence says names a rollback, which there is no more.
    assert "--lift-fence lets SQLite accept writes" in cli("rollback", expect=1).err
    assert "fence" not in cli("uninstall", "--source-only", "--lift-fence").out


def test_the_demo_says_a_line_once_until_it_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal a line a second would fill the page with what is known already."""
    monkeypatch.setattr(picture, "PLAIN_SECONDS", 0.0)
    screen = picture.Screen(stderr=False)
    for line in ("the daemon starts", "the daemon starts", "copying", "the daemon starts"):
        screen.show(partial(picture.View, line))
    assert capsys.readouterr().out.split("\n")[:-1] == [
        " " * picture.INDENT + line for line in ("the daemon starts", "copying", "the daemon starts")
    ]


def test_rows_that_come_while_the_copy_is_under_way_are_counted_among_all() -> None:
    """No table has more rows copied than there are."""
    table = {"name": "t", "rows_copied": 119, "rows_total": 118}
    assert copying({"state": "copying", "tables": [table]}).line == "copying: 119 of 119 rows copied"

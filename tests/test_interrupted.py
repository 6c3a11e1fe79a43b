"""Ctrl-C at any moment ends a verb with exit 130 and a line of its own, never with a traceback."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.cli import Cli

INTERRUPTED_WHILE_IMPORTING = """
import builtins
imports = builtins.__import__
def interrupted(name, *rest):
    if name == "typer":
        raise KeyboardInterrupt
    return imports(name, *rest)
builtins.__import__ = interrupted
from cdcsync.__main__ import main
main()
"""


def test_an_interrupt_while_modules_are_imported_is_no_traceback() -> None:
    """Importing takes most of the first second."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "cdcsync: interrupted\n")


@pytest.mark.parametrize(
    ("hook", "told"), [("before_fence", "goes on with SQLite"), ("after_handover", "run cdcsync cutover again")]
)
def test_an_interrupted_cutover_says_on_which_side_the_application_is(cli: Cli, hook: str, told: str) -> None:
    """Before the decision and after it."""
    with closing(sqlite3.connect(cli.cwd / "app.db")) as db:
        db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    (cli.cwd / "cdcsync.toml").write_text(f'source = "app.db"\n[hooks]\n{hook} = "touch there; sleep 30"\n')
    cli("install")
    cli("run", "--once")
    cli("verify")
    running = cli.start("cutover", "--no-backup")
    wait_until((cli.cwd / "there").exists, hook)
    running.send(signal.SIGINT)
    assert running.wait() == 130
    assert told in running.err
    assert "cdcsync: interrupted" in running.err

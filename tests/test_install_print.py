"""What install would do can be seen before, to the letter, and asked for by a program."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from cdcsync.machine.install import capture_statements

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli


def objects(source: Path) -> list[tuple[str]]:
    """Return the texts of everything of ours in a database, as SQLite keeps them."""
    with closing(sqlite3.connect(source)) as db:
        return db.execute("SELECT sql FROM sqlite_master WHERE name LIKE '\\_cdcsync\\_%' ESCAPE '\\'").fetchall()


def test_print_shows_every_statement_and_runs_none(cli: Cli, source: Path) -> None:
    """The printed statements make exactly what install makes, and nothing is changed by printing them."""
    printed = cli("install", "--print").out
    assert objects(source) == []
    cli("install")
    installed = objects(source)
    assert len(installed) > 10
    for (text,) in installed:
        assert f"{text};" in printed


def test_the_statements_can_be_had_for_an_open_connection(cli: Cli, source: Path) -> None:
    """A public function returns the same list and executes nothing."""
    printed = cli("install", "--print").out
    with closing(sqlite3.connect(source)) as db:
        statements = capture_statements(db)
        assert db.total_changes == 0
    assert objects(source) == []
    assert [statement for statement in statements if f"{statement};" not in printed] == []
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
        written = objects(source)
        assert len(written) == len(statements)

"""The runbook is true: its commands run in its order, with its settings, and its table of refusals is complete."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import make_conninfo
from support.processes import clean_environment

if TYPE_CHECKING:
    from support.cli import Cli
    from support.postgres import Database

ROOT = Path(__file__).parents[1]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: exit=(\d))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers, placed_at DATETIME);
INSERT INTO customers (name) VALUES ('a'), ('b');
INSERT INTO orders VALUES (1, 1, '2026-01-01T00:00:00Z');
"""
# What the runbook's hooks call besides a shell, told to leave a trace.
STUBS = ("systemctl", "curl", "logger")
WRITE = "INSERT INTO customers (name) VALUES ('written after the handover')"


def _shell(script: str, cli: Cli, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-ec", script], cwd=cli.cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def environment(cli: Cli, database: Database, tmp_path: Path) -> dict[str, str]:
    """A shell's environment with the runbook's placeholders, and a service manager that only takes notes."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in STUBS:
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/called"\n')
        (programs / name).chmod(0o755)
    (tmp_path / "app.env").write_text("DB_PROVIDER=sqlite\n")
    (tmp_path / "backups").mkdir()
    with database.server.admin(database.name) as admin:
        if not admin.execute("SELECT FROM pg_roles WHERE rolname = 'app'").fetchone():
            admin.execute("CREATE ROLE app")
        administrator = admin.info
        conninfo = make_conninfo(
            "", host=administrator.host, port=administrator.port, user=administrator.user, dbname=database.name
        )
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), str(database.server.bin_dir)])
    return clean_environment(
        **cli.environment,
        PATH=f"{path}{os.pathsep}{os.environ['PATH']}",
        ADMIN=conninfo,
        APP_ENV=str(tmp_path / "app.env"),
        BACKUPS=str(tmp_path / "backups"),
    )


@pytest.mark.timeout(900)
def test_every_command_of_the_runbook_runs_as_it_says(
    cli: Cli, database: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    """One database goes through the whole of it, from the first check to the end of the fence."""
    with closing(sqlite3.connect(cli.cwd / "app.db")) as db:
        db.executescript(SCHEMA)
    ran, providers = 0, []
    for language, code, text in BLOCK.findall(RUNBOOK):
        if language == "toml":
            (cli.cwd / "cdcsync.toml").write_text(text)
        if language != "sh":
            continue
        if text == "cdcsync rollback\n" and code == "1":
            database.rows(f"{WRITE} RETURNING id")
        done = _shell(text, cli, environment)
        assert done.returncode == int(code or 0), f"{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        ran += 1
        providers.append((tmp_path / "app.env").read_text().strip().partition("=")[2])
    assert ran > 12
    assert [name for name, before in zip(providers, ["", *providers], strict=False) if name != before] == [
        "sqlite",
        "postgres",
        "sqlite",
        "postgres",
        "sqlite",
    ]
    called = (tmp_path / "called").read_text()
    assert "systemctl restart app.service" in called
    assert "curl --fail" in called
    assert sorted(path.name for path in (tmp_path / "backups").iterdir()) == ["app-before.db", "app-cutover.db"]
    with closing(sqlite3.connect(cli.cwd / "app.db")) as db:
        db.execute(WRITE)
        assert not db.execute("SELECT name FROM sqlite_master WHERE name LIKE '\\_cdcsync\\_%' ESCAPE '\\'").fetchall()


def test_the_runbook_names_every_refusal_and_every_hook() -> None:
    """A gate or hook added later has to be explained."""
    gates = (ROOT / "cdcsync" / "machine" / "gates.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'Refusal\("(\w+)"', gates))
    section = RUNBOOK[RUNBOOK.index("### What is refused") : RUNBOOK.index("## The cutover")]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == codes
    hooks = RUNBOOK[RUNBOOK.index("## The hooks") : RUNBOOK.index("## Before the day")]
    listed = set(re.findall(r"^\| `(\w+)` \|", hooks, re.MULTILINE))
    assert listed == {"before_fence", "after_handover", "smoke_test", "on_abort", "after_rollback"}

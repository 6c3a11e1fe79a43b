"""Cutovers under load, killed at a random step: every acknowledged write is on one side, and only there."""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import moving_client
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes, Running

SCHEMA = """
PRAGMA journal_mode = wal;
CREATE TABLE entries (id TEXT PRIMARY KEY, client TEXT NOT NULL, text TEXT);
CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT REFERENCES entries (id) ON DELETE CASCADE);
"""
CLIENTS = 3
STEPS = ("gates", "before_fence", "catch_up", "lock", "drain", "verify", "complete", "decide", "handover", "count")
MAX_PAUSE = 3.0


@dataclass
class Move:
    """One application with its clients, and the verbs that move it."""

    cli: Cli
    source: Path
    database: Database
    folder: Path
    clients: list[Running]
    given_up: set[str]
    """What PostgreSQL had acknowledged and a rollback was told to discard."""

    @property
    def ledger(self) -> list[tuple[str, str, float]]:
        """Every acknowledged write: id, side, seconds."""
        lines = [line.split() for path in self.folder.glob("ledger-*") for line in path.read_text().splitlines()]
        return [(line[0], line[1], float(line[2])) for line in lines]

    def acknowledged(self, side: str) -> set[str]:
        """Return the ids a side acknowledged."""
        return {ident for ident, where, _ in self.ledger if where == side} - self.given_up

    def wait_for_writes(self, side: str, more: int = 20) -> None:
        """Wait until a side has acknowledged more writes."""
        before = len(self.acknowledged(side))
        wait_until(lambda: len(self.acknowledged(side)) >= before + more, f"writes to {side}")

    def in_sqlite(self) -> set[str]:
        """Return the ids SQLite holds."""
        with closing(sqlite3.connect(self.source)) as connection:
            return {ident for (ident,) in connection.execute("SELECT id FROM entries")}

    def in_postgres(self) -> set[str]:
        """Return the ids PostgreSQL holds."""
        return {ident for (ident,) in self.database.rows("SELECT id FROM entries")}


@pytest.fixture
def move(cli: Cli, processes: Processes, tmp_path: Path, database: Database) -> Move:
    """Install, copy and verify an application whose clients write all the while."""
    source = tmp_path / "app.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.executescript(SCHEMA)
    (cli.cwd / "cdcsync.toml").write_text('source = "../app.db"\nverify_rows_per_second = 1000000\n')
    made = Move(cli, source, database, tmp_path, [], set())
    cli("install")
    for number in range(CLIENTS):
        ledger = tmp_path / f"ledger-{number}"
        arguments = (source, database.conninfo(), ledger, f"c{number}")
        made.clients.append(processes.start(sys.executable, moving_client.__file__, *arguments))
    cli.daemon()
    made.wait_for_writes("sqlite")
    return made


def _killed_cutover(move: Move, dice: random.Random) -> str:
    """Run a cutover and kill it in a random step, or let it end; return the last step it told."""
    cutover = move.cli.start("cutover", "--no-backup", "--max-pause", str(MAX_PAUSE), "--json")
    step, delay = dice.choice(STEPS), dice.choice([0.0, 0.002, 0.01, 0.05])

    def reached() -> bool:
        return f"step {step}" in cutover.err or not cutover.is_running()

    deadline = time.monotonic() + 60
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(delay)
    cutover.kill()
    return step


def _check(move: Move) -> None:
    """Nobody stopped with an error, no write waited longer than it may, none was taken by both."""
    for client in move.clients:
        assert client.is_running(), client.err
    ledger = move.ledger
    assert len({ident for ident, _, _ in ledger}) == len(ledger), "a write was acknowledged twice"
    slowest = max(seconds for _, _, seconds in ledger)
    assert slowest < MAX_PAUSE + 1, f"a write waited {slowest} s"


def _go_on(move: Move) -> None:
    """Run the cutover again until it is done; the clients go on with PostgreSQL."""

    def done() -> bool:
        return move.cli("cutover", "--no-backup", "--max-pause", str(MAX_PAUSE), expect=None).code == 0

    wait_until(done, "a cutover")
    move.wait_for_writes("postgres")
    _check(move)
    here, there = move.in_sqlite(), move.in_postgres()
    assert move.acknowledged("sqlite") <= here <= there
    assert not move.acknowledged("postgres") & here
    assert move.acknowledged("postgres") <= move.in_postgres()


def _go_back(move: Move) -> None:
    """Roll back, wherever the cutover stopped; the clients go on with SQLite."""
    back = move.cli("rollback", "--discard-target-writes", expect=None)
    assert back.code == 0 or "nothing was handed over" in back.err
    move.given_up |= move.acknowledged("postgres")
    move.wait_for_writes("sqlite")
    _check(move)
    assert move.acknowledged("sqlite") <= move.in_sqlite()


def test_a_killed_cutover_goes_on_or_back_and_no_write_is_lost_or_doubled(move: Move, *, full: bool) -> None:
    """Wherever it is killed: run again it ends on PostgreSQL, rolled back on SQLite, and the clients go on."""
    dice = random.Random(20)
    for _ in range(200 if full else 8):
        _killed_cutover(move, dice)
        _check(move)
        if dice.random() < 0.6:
            _go_on(move)
        _go_back(move)
        if not move.cli("status", "--json").json["daemon"]["running"]:
            # It ends by itself after a handover.
            move.cli.daemon(state=None)
        wait_until(lambda: move.cli.state() == "streaming", "streaming")
    for client in move.clients:
        assert client.terminate() == 0
    assert move.cli("verify", "--timeout", "60").code == 0

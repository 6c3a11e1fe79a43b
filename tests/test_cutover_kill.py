"""Cutovers under load, killed at a random step: every acknowledged write is on one side, and only there."""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.sides import SCHEMA, Sides
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

STEPS = ("gates", "before_fence", "catch_up", "lock", "drain", "verify", "complete", "decide", "handover", "count")
MAX_PAUSE = 3.0


@pytest.fixture
def sides(cli: Cli, processes: Processes, tmp_path: Path, database: Database) -> Sides:
    """Install, copy and verify an application whose clients write all the while."""
    made = Sides(tmp_path / "app.db", database, tmp_path)
    with closing(sqlite3.connect(made.source)) as connection:
        connection.executescript(f"PRAGMA journal_mode = wal; {SCHEMA}")
    (cli.cwd / "cdcsync.toml").write_text('source = "../app.db"\nverify_rows_per_second = 1000000\n')
    cli("install")
    made.start(processes)
    cli.daemon()
    return made


def _killed_cutover(cli: Cli, dice: random.Random) -> str:
    """Run a cutover and kill it in a random step, or let it end; return the last step it told."""
    cutover = cli.start("cutover", "--no-backup", "--max-pause", str(MAX_PAUSE), "--json")
    step, delay = dice.choice(STEPS), dice.choice([0.0, 0.002, 0.01, 0.05])

    def reached() -> bool:
        return f"step {step}" in cutover.err or not cutover.is_running()

    deadline = time.monotonic() + 60
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.0005)
    time.sleep(delay)
    cutover.kill()
    return step


def _go_on(cli: Cli, sides: Sides) -> None:
    """Run the cutover again until it is done; the clients go on with PostgreSQL."""

    def done() -> bool:
        return cli("cutover", "--no-backup", "--max-pause", str(MAX_PAUSE), expect=None).code == 0

    wait_until(done, "a cutover")
    sides.assert_moved()


def _go_back(cli: Cli, sides: Sides) -> None:
    """Roll back, wherever the cutover stopped; the clients go on with SQLite."""
    back = cli("rollback", "--discard-target-writes", expect=None)
    assert back.code == 0 or "nothing was handed over" in back.err
    sides.assert_back()


@pytest.mark.parametrize("seed", [20, 21])
def test_a_killed_cutover_goes_on_or_back_and_no_write_is_lost_or_doubled(
    cli: Cli, sides: Sides, seed: int, *, full: bool
) -> None:
    """Wherever it is killed: run again it ends on PostgreSQL, rolled back on SQLite, and the clients go on."""
    dice = random.Random(seed)
    for _ in range(100 if full else 10):
        _killed_cutover(cli, dice)
        sides.assert_nobody_harmed(MAX_PAUSE + 1)
        if dice.random() < 0.6:
            _go_on(cli, sides)
        _go_back(cli, sides)
        sides.assert_nobody_harmed(MAX_PAUSE + 1)
        if not cli("status", "--json").json["daemon"]["running"]:
            # It ends by itself after a handover.
            cli.daemon(state=None)
        wait_until(lambda: cli.state() == "streaming", "streaming")
    sides.stop()
    assert cli("verify", "--timeout", "60").code == 0

"""Kills, restarts and broken connections under load: afterwards both sides are equal."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.cli import Cli
from support.compare import assert_same
from support.postgres import Database, Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.processes import Processes, Running
    from support.proxy import Proxy

KILLS, KILLS_IN_FULL = 6, 50
LONGEST_LIFE_SECONDS = 2.5
CUSTOMERS_TO_COPY = 6_000


def _assert_well(writer: Running) -> int:
    """Stop the application; it met no error. Return its commits."""
    assert writer.terminate() == 0
    summary = json.loads(writer.out.splitlines()[-1])
    assert summary["errors"] == []
    return int(summary["commits"])


def _assert_equal(cli: Cli, source: Path, database: Database) -> None:
    """Both sides are equal by cdcsync's account and by our own."""
    assert cli("drain", "--json", "--quiet-seconds", "0.5").json["drained"]
    assert cli("verify", "--json").json["equal"]
    assert_same(source, database)


@pytest.mark.timeout(1800)
def test_daemon_killed_at_random_moments_under_load_loses_nothing(
    cli: Cli, database: Database, source: Path, start_writer: Callable[..., Running], *, full: bool
) -> None:
    """SIGKILL and an immediate restart, again and again while the application writes, end in equal databases."""
    chance = random.Random(3)
    writer = start_writer()
    cli("install")
    for _ in range(KILLS_IN_FULL if full else KILLS):
        daemon = cli.start("run")
        time.sleep(chance.random() * LONGEST_LIFE_SECONDS)
        assert daemon.is_running(), daemon.err
        daemon.kill()
    survivor = cli.daemon()
    commits = _assert_well(writer)
    _assert_equal(cli, source, database)
    assert commits > KILLS
    assert survivor.terminate() == 0


@pytest.mark.timeout(900)
def test_snapshot_continues_where_a_killed_daemon_left_it(
    cli: Cli, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """A copy that is killed again and again goes on from its last commit: no row is copied twice, none is missed."""
    source.unlink()
    shop.create(source, customers=CUSTOMERS_TO_COPY)
    settings = (cli.cwd / "cdcsync.toml").read_text() + "copy_commit_rows = 1000\n"
    (cli.cwd / "cdcsync.toml").write_text(settings)
    writer = start_writer(rate=50)
    cli("install")
    progress = "SELECT name, start_seq, rows_copied FROM cdcsync.tables ORDER BY number"
    seen = database.rows(progress)
    for _ in range(4):
        daemon = cli.start("run")
        _wait_for_a_commit(database, daemon, sum(row[2] for row in seen))
        daemon.kill()
        now = database.rows(progress)
        for (name, start, rows), (_, start_now, rows_now) in zip(seen, now, strict=True):
            assert rows_now >= rows, f"{name} was copied again"
            assert start_now == start or not rows, f"the copy of {name} began anew"
        seen = now
    cli.daemon()
    _assert_well(writer)
    _assert_equal(cli, source, database)


def _wait_for_a_commit(database: Database, daemon: Running, before: int) -> None:
    query = "SELECT sum(rows_copied) FROM cdcsync.tables"
    wait_until(lambda: database.value(query) > before or not daemon.is_running(), "one more commit of the copy")


def test_postgres_killed_under_load_is_caught_up_after_its_recovery(
    private_server: Server, processes: Processes, tmp_path: Path, source: Path, start_writer: Callable[..., Running]
) -> None:
    """The daemon survives crashes of PostgreSQL and goes on from the position that recovery left."""
    database = private_server.create_database()
    cli = Cli(processes, tmp_path / "cwd", database)
    writer = start_writer()
    cli("install")
    daemon = cli.daemon()
    for _ in range(2):
        time.sleep(1)
        private_server.kill()
        time.sleep(1)
        assert daemon.is_running()
        private_server.start()
        before = cli.applied()
        wait_until(lambda before=before: cli.applied() > before, "the daemon goes on after the crash")
    _assert_well(writer)
    _assert_equal(cli, source, database)
    assert daemon.terminate() == 0


def test_connections_cut_at_random_end_in_equal_databases(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Connections reset at random moments, in the copy and while streaming, lose and repeat nothing."""
    chance = random.Random(5)
    writer = start_writer()
    proxied_cli("install")
    daemon = proxied_cli.daemon()
    for _ in range(8):
        time.sleep(chance.random())
        proxy.cut()
    _assert_well(writer)
    assert daemon.is_running(), daemon.err
    _assert_equal(proxied_cli, source, database)


def test_lost_acknowledgement_of_commit_neither_loses_nor_repeats_a_batch(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """A connection cut between COMMIT and its answer, or just before COMMIT, changes nothing in the end."""
    writer = start_writer()
    proxied_cli("install")
    proxy.cut_at_commits(before=2, after=2)
    daemon = proxied_cli.daemon()
    for _ in range(3):
        cut = proxy.commits_cut
        proxy.cut_at_commits(before=1, after=2)
        wait_until(lambda cut=cut: proxy.commits_cut >= cut + 3, "three commits were cut")
    _assert_well(writer)
    assert daemon.is_running(), daemon.err
    _assert_equal(proxied_cli, source, database)


def test_daemon_frozen_while_another_verb_takes_its_place_does_no_harm_when_it_wakes(
    cli: Cli, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """A daemon that SIGSTOP froze holds its lock: `drain` is refused, and the daemon finds its way back afterwards."""
    cli("install")
    daemon = cli.daemon()
    daemon.send(signal.SIGSTOP)
    writer = start_writer()
    time.sleep(0.5)
    _assert_well(writer)
    refused = cli("drain", "--quiet-seconds", "0.5", expect=1)
    assert len(refused.error_lines) == 1
    daemon.send(signal.SIGCONT)
    _assert_equal(cli, source, database)
    assert daemon.is_running()
    assert daemon.terminate() == 0

"""The daemon: one for each source, quick to stop, hard to stop by accident."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Running
    from support.proxy import Proxy

STOP_SECONDS = 1.0
# What a busy machine may add to it.
GRACE_SECONDS = 1.5
EVENT = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ +\S"


def _assert_stops_at_once(daemon: Running) -> None:
    """SIGTERM ends it within a second, with exit 0 and nothing but log events on stderr."""
    seconds = daemon.seconds_to_terminate()
    assert daemon.wait() == 0, daemon.err
    assert seconds < STOP_SECONDS + GRACE_SECONDS, f"{seconds:.2f} s: {daemon.err}"
    assert "Traceback" not in daemon.err, daemon.err
    assert "error ignored" not in daemon.err, daemon.err


def test_second_daemon_on_one_source_is_refused_in_one_line(cli: Cli, source: Path) -> None:
    """The second ends with 1 and names the first, which goes on."""
    assert source.exists()
    cli("install")
    first = cli.daemon()
    second = cli("run", expect=1)
    assert len(second.error_lines) == 1, second.err
    assert second.err.startswith("cdcsync: another daemon is running")
    assert str(first.pid) in second.err
    assert first.is_running()
    _assert_stops_at_once(first)


def test_sigterm_ends_an_idle_daemon_within_a_second(cli: Cli, source: Path) -> None:
    """Nothing to do is no reason to be slow."""
    assert source.exists()
    cli("install")
    _assert_stops_at_once(cli.daemon())


def test_sigterm_ends_a_streaming_daemon_within_a_second(
    cli: Cli, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Under load it stops after the transaction at hand, and the next one goes on from there."""
    cli("install")
    writer = start_writer()
    daemon = cli.daemon()
    time.sleep(1)
    _assert_stops_at_once(daemon)
    again = cli.daemon()
    assert writer.terminate() == 0
    assert cli("drain", "--quiet-seconds", "0.2", "--json").json["drained"]
    assert cli.database is not None
    assert_same(source, cli.database)
    _assert_stops_at_once(again)


def test_sigterm_ends_a_copying_daemon_within_a_second_and_the_copy_goes_on_later(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path
) -> None:
    """A copy is stopped at its last commit, which the next daemon continues."""
    source.unlink()
    shop.create(source, customers=20_000)
    with (proxied_cli.cwd / "cdcsync.toml").open("a") as settings:
        settings.write("copy_commit_rows = 2000\n")
    proxied_cli("install")
    proxy.delay(0.05)
    daemon = proxied_cli.daemon(state="copying")
    copied = "SELECT sum(rows_copied) FROM cdcsync.tables"
    wait_until(lambda: database.value(copied) > 0, "some rows are copied")
    _assert_stops_at_once(daemon)
    before = database.value(copied)
    proxy.delay(0)
    assert proxied_cli.state() == "copying"
    rows = proxied_cli("run", "--once", "--json").json["rows"]
    assert rows > before > 0
    assert_same(source, database)


@pytest.mark.parametrize("phase", ["streaming", "copying", "idle", "reconnecting"])
def test_sigterm_ends_a_daemon_whose_postgres_does_not_answer_within_a_second(
    proxied_cli: Cli, proxy: Proxy, source: Path, start_writer: Callable[..., Running], phase: str
) -> None:
    """A server that hangs, or a network that drops everything, does not keep the daemon alive."""
    if phase == "copying":
        source.unlink()
        shop.create(source, customers=10_000)
        proxied_cli("install")
        proxy.delay(0.02)
        daemon = proxied_cli.daemon(state="copying")
    else:
        proxied_cli("install")
        daemon = proxied_cli.daemon()
    if phase == "streaming":
        start_writer()
        time.sleep(0.5)
    proxy.stall()
    if phase == "reconnecting":
        proxy.cut()
    time.sleep(2.5)
    assert daemon.is_running(), daemon.err
    _assert_stops_at_once(daemon)


def test_lost_postgres_is_retried_until_it_is_back(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Once PostgreSQL was reached, losing it is no reason to end."""
    writer = start_writer(rate=100)
    proxied_cli("install")
    daemon = proxied_cli.daemon()
    for seconds in (1.0, 4.0):
        proxy.refuse()
        time.sleep(seconds)
        assert daemon.is_running(), daemon.err
        proxy.accept()
        applied = proxied_cli.applied()
        wait_until(lambda applied=applied: proxied_cli.applied() > applied, "it goes on when PostgreSQL is back")
    assert "trying again in" in daemon.err
    assert writer.terminate() == 0
    assert json.loads(writer.out.splitlines()[-1])["errors"] == []
    assert proxied_cli("drain", "--json").json["drained"]
    assert_same(source, database)
    _assert_stops_at_once(daemon)


def test_hanging_postgres_is_left_and_retried_when_the_connection_breaks(
    proxied_cli: Cli, proxy: Proxy, database: Database, source: Path, start_writer: Callable[..., Running]
) -> None:
    """A stall in mid-transaction ends in equal databases, whether it passes or the connection is cut."""
    writer = start_writer()
    proxied_cli("install")
    daemon = proxied_cli.daemon()
    for cut in (False, True):
        proxy.stall()
        time.sleep(1.5)
        if cut:
            proxy.cut()
        proxy.resume()
        applied = proxied_cli.applied()
        wait_until(lambda applied=applied: proxied_cli.applied() > applied, "it goes on after the stall")
    assert writer.terminate() == 0
    assert proxied_cli("drain", "--json").json["drained"]
    assert_same(source, database)
    assert daemon.is_running()


def test_daemon_started_right_after_a_kill_waits_for_the_dead_ones_session(
    proxied_cli: Cli, proxy: Proxy, source: Path
) -> None:
    """PostgreSQL may learn late that the killed daemon's connection is gone: the next one waits and takes over."""
    assert source.exists()
    proxy.linger = 2.0
    proxied_cli("install")
    first = proxied_cli.daemon()
    first.kill()
    second = proxied_cli.start("run")
    wait_until(lambda: "streaming from" in second.err or not second.is_running(), "the second streams")
    assert second.is_running(), second.err
    _assert_stops_at_once(second)


def test_every_line_of_the_log_is_one_event_in_either_format(
    cli: Cli, source: Path, start_writer: Callable[..., Running]
) -> None:
    """Stderr holds log events only: as text with time and level, or as JSON for journald."""
    writer = start_writer()
    cli("install")
    assert source.exists()
    for form in ("text", "json"):
        daemon = cli.daemon("--log-format", form)
        wait_until(lambda daemon=daemon: "streaming from" in daemon.err, "it streams")
        daemon.terminate()
        lines = daemon.err.splitlines()
        assert lines
        for line in lines:
            if form == "json":
                assert {"time", "level", "message"} <= json.loads(line).keys()
            else:
                assert re.match(EVENT, line), line
        assert daemon.out == ""
    assert writer.terminate() == 0

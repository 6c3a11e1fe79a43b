"""In rollback-journal mode a commit may wait for one short read of cdcsync's, and for nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support import shop
from support.applications import Application, head_of
from support.compare import assert_same
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.processes import Processes
    from support.proxy import Proxy

SECONDS_IN_FULL = 60.0
SLOW_SECONDS = 0.5
"""How long each piece takes on its way between cdcsync and PostgreSQL."""

CRASHED_SECONDS = 1.0
KILLED_IN_THE_MIDDLE = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 5")
db.execute("BEGIN")
db.execute("UPDATE customers SET name = hex(randomblob(500))")
os.kill(os.getpid(), 9)
"""
VERIFIED = {0, 3}
"""Equal, or rows that never stood still: which is no harm, and no difference."""

RATE = 50.0
MANY = 25
"""More entries than an application commits that is held up by every read."""


def _applied_at_once(cli: Cli) -> int:
    """Return by how much the position moves when it moves next."""
    position = cli.applied()
    wait_until(lambda: cli.applied() != position, "the position moves")
    return cli.applied() - position


@pytest.mark.parametrize(("kind", "journal"), [("deferred", "delete"), ("atomic", "persist")])
def test_application_commits_through_copy_and_stream_without_an_error(
    proxied_cli: Cli, proxy: Proxy, source: Path, processes: Processes, kind: str, journal: str, *, full: bool
) -> None:
    """A writer that waits up to five seconds for a lock never waits in vain, however slow PostgreSQL is."""
    source.unlink()
    shop.create(source, customers=10_000, journal=journal)
    proxied_cli("install")
    proxy.delay(0.02)
    daemon = proxied_cli.daemon(state="copying")
    application = Application(processes, kind, source, rate=RATE, timeout=5)
    proxy.delay(SLOW_SECONDS)
    head = head_of(source)
    wait_until(lambda: head_of(source) > head + MANY, "commits while PostgreSQL is slow")
    assert proxied_cli.state() == "copying", "no commit came through before the copy was over"
    proxy.delay(0)
    proxied_cli.wait_for_state("streaming", daemon)
    proxy.delay(SLOW_SECONDS)
    # The first of them may bring what came in before PostgreSQL was slow.
    _, applied = [_applied_at_once(proxied_cli) for _ in range(2)]
    assert applied > MANY, "the application was held up while a batch was on its way"
    proxy.delay(0)
    time.sleep(SECONDS_IN_FULL if full else 0)
    assert proxied_cli("verify", expect=None).code in VERIFIED
    report = application.stop()
    report.tell()
    assert not report.failures
    assert proxied_cli("drain", "--quiet-seconds", "0.1", "--json").json["drained"]
    assert proxied_cli.database is not None
    assert_same(source, proxied_cli.database)


def test_daemon_waits_while_a_killed_applications_journal_is_hot(cli: Cli, source: Path) -> None:
    """What a reader may not roll back the application does when it opens the file again; then the stream goes on."""
    source.unlink()
    shop.create(source, customers=3_000, journal="delete")
    cli("install")
    daemon = cli.daemon()
    subprocess.run([sys.executable, "-c", KILLED_IN_THE_MIDDLE, source], check=False)
    assert source.with_name("app.db-journal").exists()
    time.sleep(CRASHED_SECONDS)
    assert daemon.is_running(), daemon.err
    said = cli("lag", expect=3).out
    assert "run as the user who owns it" not in said
    with closing(shop.open_as_application(source)) as application:
        application.execute("UPDATE customers SET name = 'after the crash' WHERE id = 1")
    head = head_of(source)
    wait_until(lambda: cli.applied() >= head, "it streams on")
    assert daemon.is_running()
    assert cli("verify", "--json").json["equal"]

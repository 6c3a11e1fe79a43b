"""The interview service moves to PostgreSQL while it is being written to, in a pause of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.compare import assert_same
from support.interview import Interview
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

STREAMING_SECONDS = 2.0


@pytest.fixture
def interview(request: pytest.FixtureRequest, processes: Processes, tmp_path: Path, cli: Cli) -> Interview:
    """The service, with its mapping where the commands find it."""
    found = Interview(processes, tmp_path, request.param)
    (cli.cwd / "cdcsync.toml").write_text(found.settings())
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("interview", "database"),
    [("DELETE", "wheel"), ("WAL", "debian")],
    indirect=True,
    ids=["rollback journal", "wal to Debian's PostgreSQL"],
)
def test_interview_moves_under_load_without_losing_a_write(
    interview: Interview, cli: Cli, database: Database, *, full: bool
) -> None:
    """Under 200 writes a second every acknowledged write arrives, and clients see the same answers before and after."""
    interview.fill(full=full)
    old = interview.serve_sqlite()
    load = interview.load(old.url)
    wait_until(load.acknowledged, "the load begins")
    cli("install")
    daemon = cli.daemon()
    time.sleep(STREAMING_SECONDS)
    assert cli("lag").out.startswith("CDCSYNC OK")

    assert old.post("/admin/pause") == (200, {"paused": True})
    paths = interview.paths()
    before = old.get_all(paths)
    highest = interview.highest_ids()
    verified = cli("verify", "--json").json
    assert verified["equal"]
    assert verified["differences"] == []
    drained = cli("drain", "--handover", "--json").json
    assert drained["handed_over"]
    assert drained["new_changes"] == 0
    assert daemon.wait() == 0
    counts = assert_same(interview.file, database)
    assert sum(counts.values()) == verified["rows_compared"]
    acknowledged = load.acknowledged()
    assert len(acknowledged) > STREAMING_SECONDS * 100
    interview.assert_stored(acknowledged, database.rows)

    new = interview.serve_postgres(database)
    assert new.get("/health") == (200, {"db": "up", "provider": "postgres"})
    assert new.get_all(paths) == before
    load.follow(new.url)
    old.stop()
    wait_until(lambda: len(load.acknowledged()) > len(acknowledged) + 100, "clients go on on PostgreSQL")
    summary = load.stop()
    new.stop()
    assert summary["failed"] == 0
    assert set(summary["errors"]) <= {"paused", "connection"}
    everything = load.acknowledged()
    interview.assert_stored(everything, database.rows)
    for table, last in highest.items():
        later = [row["id"] for row in everything[len(acknowledged) :] if row["table"] == table]
        assert not later or min(later) > last

"""The novels service, a Node application, moves to PostgreSQL while it is being written to, in a pause of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import node
from support.compare import assert_same
from support.novels import EXAMPLE, Novels
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

STREAMING_SECONDS = 2.0


@pytest.fixture
def novels(request: pytest.FixtureRequest, processes: Processes, tmp_path: Path, cli: Cli) -> Novels:
    """The service, with its mapping where the commands find it."""
    code = node.prepare(EXAMPLE, request.config.rootpath / ".pytest_cache" / "d" / "novels", tmp_path / "code")
    found = Novels(processes, code, tmp_path, request.param)
    (cli.cwd / "cdcsync.toml").write_text(found.settings())
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("novels", "database"),
    [("DELETE", "debian")],
    indirect=True,
    ids=["rollback journal to Debian's PostgreSQL"],
)
def test_novels_move_under_load_without_losing_a_write(
    novels: Novels, cli: Cli, database: Database, *, full: bool
) -> None:
    """Under 200 writes a second every acknowledged write arrives, and clients see the same answers before and after."""
    novels.fill(full=full)
    old = novels.serve_sqlite()
    load = novels.load(old.url)
    wait_until(load.acknowledged, "the load begins")
    cli("install")
    daemon = cli.daemon()
    time.sleep(STREAMING_SECONDS)

    assert old.post("/admin/pause") == (200, {"paused": True})
    paths = [path for path in novels.paths() if path != "/health"]
    before = old.get_all(paths)
    verified = cli("verify", "--json", seconds=1200).json
    assert verified["equal"], verified["differences"][:5]
    drained = cli("drain", "--handover", "--json").json
    assert drained["handed_over"]
    assert drained["new_changes"] == 0
    assert daemon.wait() == 0
    counts = assert_same(novels.file, database)
    assert sum(counts.values()) == verified["rows_compared"]
    acknowledged = load.acknowledged()
    assert len(acknowledged) > STREAMING_SECONDS * 100
    novels.assert_stored(acknowledged, database.rows)

    highest = database.value("SELECT max(id) FROM audio_cache")
    new = novels.serve_postgres(database)
    assert new.get_all(paths) == before
    load.follow(new.url)
    old.stop()
    wait_until(lambda: len(load.acknowledged()) > len(acknowledged) + 100, "clients go on on PostgreSQL")
    summary = load.stop()
    new.stop()
    assert summary["failed"] == 0, summary
    novels.assert_stored(load.acknowledged(), database.rows)
    assert database.value("SELECT count(*) FROM audio_cache WHERE id > %s", highest) > 0

"""The interview service moves to PostgreSQL while it is being written to."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.compare import assert_same
from support.services import LoadOf, Service, environment_of
from support.waiting import wait_until

if TYPE_CHECKING:
    from support.cli import Cli
    from support.postgres import Database
    from support.processes import Processes

EXAMPLE = Path(__file__).parents[1] / "examples" / "interview"
MESSAGES, MESSAGES_IN_FULL = 2_000, 200_000
SESSIONS_ASKED = 200
STREAMING_SECONDS = 2.0
TEXT_OF = {"sessions": "summary", "messages": "text", "drafts": "content"}


class Interview:
    """The service with its database file."""

    def __init__(self, processes: Processes, folder: Path, journal: str) -> None:
        """Keep everything in this folder."""
        self.file = folder / "interview.db"
        self._processes, self._folder, self._journal = processes, folder, journal

    def fill(self, messages: int) -> None:
        """Write a history to the file."""
        command = [sys.executable, EXAMPLE / "history.py", "--db", self.file, "--messages", str(messages)]
        subprocess.run(command, check=True, capture_output=True)

    def serve_sqlite(self) -> Service:
        """Start the service on the file."""
        settings = {"DB_PROVIDER": "sqlite", "SQLITE_PATH": str(self.file), "SQLITE_JOURNAL_MODE": self._journal}
        return self._serve(environment_of(EXAMPLE, **settings))

    def serve_postgres(self, database: Database) -> Service:
        """Start the service on PostgreSQL."""
        return self._serve(environment_of(EXAMPLE, DB_PROVIDER="postgres", **database.environment()))

    def _serve(self, environment: dict[str, str]) -> Service:
        command = (sys.executable, EXAMPLE / "service.py", "--port", "0")
        return Service(self._processes.start(*command, environment=environment))

    def load(self, service: Service) -> LoadOf:
        """Start the load generator."""
        return LoadOf(self._processes, [sys.executable, EXAMPLE / "load.py"], self._folder, service.url)

    def paths(self) -> list[str]:
        """Return a path of every GET endpoint for the oldest and the newest sessions, and for one that is unknown."""
        query = "SELECT id FROM sessions ORDER BY created_at {} LIMIT ?"
        with closing(sqlite3.connect(self.file)) as db:
            rows = [row for order in ("", "DESC") for row in db.execute(query.format(order), (SESSIONS_ASKED // 2,))]
        idents = [*dict.fromkeys(ident for (ident,) in rows), "00000000-0000-4000-8000-000000000000"]
        return [f"/interview/{what}/{ident}" for what in ("session", "draft/latest") for ident in idents]

    def highest_ids(self) -> dict[str, int]:
        """Return the highest ids there are."""
        with closing(sqlite3.connect(self.file)) as db:
            return {name: db.execute(f"SELECT max(id) FROM {name}").fetchone()[0] for name in ("messages", "drafts")}


@pytest.fixture
def interview(request: pytest.FixtureRequest, processes: Processes, tmp_path: Path, cli: Cli) -> Interview:
    """The service, with its mapping where the commands find it."""
    settings = (EXAMPLE / "cdcsync.toml").read_text().replace('"interview.db"', '"../interview.db"')
    (cli.cwd / "cdcsync.toml").write_text(settings)
    return Interview(processes, tmp_path, request.param)


def _assert_in_postgres(acknowledged: list[dict[str, Any]], database: Database) -> None:
    """Every write the service acknowledged is there, with the text it had."""
    stored = {table: dict(database.rows(f"SELECT id::text, {text} FROM {table}")) for table, text in TEXT_OF.items()}
    lost = [row for row in acknowledged if stored[row["table"]].get(str(row["id"])) != row[TEXT_OF[row["table"]]]]
    assert not lost, f"{len(lost)} acknowledged writes are not in PostgreSQL, such as {lost[:3]}"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("interview", "database"),
    [("WAL", "wheel"), ("DELETE", "wheel"), ("WAL", "debian")],
    indirect=True,
    ids=["wal", "rollback journal", "wal to Debian's PostgreSQL"],
)
def test_interview_moves_under_load_without_losing_a_write(
    interview: Interview, cli: Cli, database: Database, *, full: bool
) -> None:
    """Under 200 writes a second every acknowledged write arrives, and clients see the same answers before and after."""
    interview.fill(MESSAGES_IN_FULL if full else MESSAGES)
    old = interview.serve_sqlite()
    load = interview.load(old)
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
    _assert_in_postgres(acknowledged, database)

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
    _assert_in_postgres(everything, database)
    for table, last in highest.items():
        later = [row["id"] for row in everything[len(acknowledged) :] if row["table"] == table]
        assert not later or min(later) > last
